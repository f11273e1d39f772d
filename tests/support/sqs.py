"""SQS: an endpoint that takes messages, keeps them, and can be told to refuse."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from event_monitor.over_sqs.wire import Message, decode

from .waiting import wait_until

__all__ = ["EventEndpoint", "events_in"]


def events_in(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the events of these messages, in their order."""
    events: list[dict[str, Any]] = []
    for message in messages:
        for line in message.lines:
            value = json.loads(line)
            events += value if isinstance(value, list) else [value]
    return events


class EventEndpoint:
    """A context manager. It knows one queue, ``celeryev``, unless it is told otherwise.

    ``refusal`` is the code of the error that each request is answered with. ``hold`` keeps all
    answers back until it is set.
    """

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.requests: Counter[str] = Counter()
        self.refusal: str | None = None
        self.hold: threading.Event | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who ended early
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> EventEndpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def messages(self) -> list[Message]:
        """Return the messages that were accepted."""
        return [decode(body) for body in tuple(self.bodies)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the events in them."""
        return events_in(self.messages)

    def wait_for_events(self, count: int, deadline_seconds: float = 60) -> list[dict[str, Any]]:
        """Return the events when there are so many."""
        wait_until(lambda: len(self.events) >= count, deadline_seconds, f"{count} events arrive")
        return self.events

    def _answer(self, action: str, request: dict[str, str]) -> tuple[int, dict[str, str]]:
        self.requests[action] += 1
        if self.hold is not None:
            self.hold.wait(60)
        if self.refusal is not None:
            return 400, {"__type": f"com.amazonaws.sqs#{self.refusal}", "message": "as planned"}
        if action == "GetQueueUrl":
            return 200, {"QueueUrl": f"{self.url}/123456789012/{request['QueueName']}"}
        body = request["MessageBody"]
        self.bodies.append(body)
        return 200, {"MessageId": "1", "MD5OfMessageBody": hashlib.md5(body.encode()).hexdigest()}

    def _handler(endpoint) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                status, answer = endpoint._answer(action, json.loads(content))
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments: object) -> None:
                """Write nothing."""

        return Handler
