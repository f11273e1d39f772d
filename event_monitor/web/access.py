"""Access: which requests are let in. Reads only: GET and HEAD, of who may look, under our own name.

``/health`` is for anybody. ``/metrics`` asks for a password or token too, but for no ``Host`` and
no header of a proxy's: Prometheus goes past the proxy.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Iterator, MutableMapping
from ipaddress import IPv6Address, ip_address

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..settings import Credentials, Settings, networks_of

__all__ = ["OPEN_PATHS", "Access"]

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/metrics"})
_PIECE_BYTES = 1 << 16  # of an answer, at a time: as many as asyncio wants to keep
_HEADERS = (
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_ASKS_FOR = {
    "basic": 'Basic realm="event-monitor", charset="UTF-8"',
    "bearer": 'Bearer realm="event-monitor"',
}


class Access:
    """ASGI middleware: lets in what may look, and answers the rest itself.

    What fails behind it is logged and answered with 500. For the thread of the server.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, *, credentials: Credentials | None
    ) -> None:
        self._app = app
        self._page = settings.http_page
        self._prefix = settings.http_prefix
        self._hosts = frozenset((*settings.http_hosts, "localhost"))
        self._proxies = networks_of(settings.http_proxies)
        self._credentials = credentials
        secrets = credentials.secrets if credentials else ()
        self._digests = tuple(hashlib.sha256(secret).digest() for secret in secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it."""
        if scope["type"] != "http":
            return  # a WebSocket is closed by not being accepted
        has_begun = False

        async def send_safely(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                named = {name for name, _ in given}
                message["headers"] = given + [pair for pair in _HEADERS if pair[0] not in named]
            for piece in _pieces_of(message):
                await send(piece)

        path = self._path(scope)
        answer = self._refusal(scope, path) or self._app
        try:
            await answer({**scope, "path": path, "root_path": ""}, receive, send_safely)
        except Exception:
            log.exception("could not answer %s", path)
            if not has_begun:
                sorry = PlainTextResponse("The monitor's log says what went wrong.\n", 500)
                await sorry(scope, receive, send_safely)

    def _path(self, scope: Scope) -> str:
        """Return the path without the prefix; empty if it has to have one and has none.

        The open ones may be called without it, by who does not go through the proxy.
        """
        path: str = scope["path"]
        if path in OPEN_PATHS or not self._prefix:
            return path
        rest = path.removeprefix(self._prefix)
        if rest == path or rest[:1] not in ("", "/"):
            return ""
        return rest or "/"

    def _refusal(self, scope: Scope, path: str) -> PlainTextResponse | None:
        headers = _headers_of(scope)
        if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
            # A proxy may see its end elsewhere: the next request would be one that it never saw.
            return _says("No request has a body here.", 400, {"Connection": "close"})
        if scope["method"] not in ("GET", "HEAD"):
            return _says("Only GET and HEAD.", 405, {"Allow": "GET, HEAD"})
        if path == "/health":
            return None
        if path != "/metrics":
            if not path or not self._page:
                return _says("There is no such page here.", 404)
            if not self._is_our_name(headers.get("host", "")):
                return _says("http_hosts does not name this host.", 421)
        elif self._credentials is not None and self._credentials.scheme == "header":
            return None
        if self._credentials is None or self._knows(scope, headers, self._credentials):
            return None
        scheme = self._credentials.scheme
        if scheme == "header":
            return _says("Only through the proxy that says who you are.", 403)
        return _says("Who are you?", 401, {"WWW-Authenticate": _ASKS_FOR[scheme]})

    def _is_our_name(self, host: str) -> bool:
        """Return whether no page of a stranger's can have made a browser ask under this name.

        That takes a name that is made to lead here (DNS rebinding); an address leads nowhere else.
        """
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        return name in self._hosts or _address(name) is not None

    def _knows(
        self, scope: Scope, headers: MutableMapping[str, str], credentials: Credentials
    ) -> bool:
        if credentials.scheme == "header":
            client = _address(scope["client"][0]) if scope.get("client") else None
            is_proxy = client is not None and any(client in network for network in self._proxies)
            return is_proxy and bool(headers.get(credentials.header))
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != credentials.scheme:
            return False
        secret = given.strip().encode("latin-1")
        if scheme.lower() == "basic":
            try:
                secret = base64.b64decode(secret, validate=True)
            except binascii.Error:
                return False
        digest = hashlib.sha256(secret).digest()
        # All are compared, each in constant time.
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


def _address(text: str) -> object | None:
    """Return the IP address that this is; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _headers_of(scope: Scope) -> MutableMapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _pieces_of(message: Message) -> Iterator[Message]:
    """Yield a part of an answer in pieces.

    What waits for who reads slowly is copied for each of them; the whole they share.
    """
    body: bytes = message.get("body", b"")
    for start in range(0, len(body) or 1, _PIECE_BYTES):
        end = start + _PIECE_BYTES
        if end >= len(body):
            yield {**message, "body": body[start:]} if start else message
        else:
            yield {**message, "body": body[start:end], "more_body": True}


def _says(sentence: str, status: int, headers: dict[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(f"{sentence}\n", status, headers=headers)
