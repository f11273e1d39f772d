"""Asking: calls an ASGI app as a server would, without one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True)
class Answer:
    """What an app answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.body)
        return document


async def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    client: str = "127.0.0.1",
    query: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Return what the app answers; without a header Host it is localhost."""
    sent = {"host": "localhost", **(headers or {})}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()
        ],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 9808),
        "scheme": "http",
        "http_version": "1.1",
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    begin = messages[0]
    return Answer(
        begin["status"],
        {name.decode(): value.decode() for name, value in begin["headers"]},
        b"".join(message.get("body", b"") for message in messages[1:]),
    )


def get(app: ASGIApp, path: str, **how: object) -> Answer:
    """Do as ``ask``, in a loop of its own."""
    return asyncio.run(ask(app, path, **how))  # type: ignore[arg-type]
