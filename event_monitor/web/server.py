"""Server: serves an ASGI app in a thread of its own. Nothing that happens here stops counting."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from starlette.types import ASGIApp
from uvicorn import Config, Server

from ..settings import Address
from .connections import bounded_protocol

__all__ = ["WebServer"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0  # after a port was taken, or the server has died
_KEEP_ALIVE_SECONDS = 75  # longer than the 60 s after which an ALB gives a connection up
_REQUEST_SECONDS = 90.0  # for a whole request to come; longer than idle connections are kept
_READER_SECONDS = 20.0  # for what asyncio keeps to be read
_STOP_SECONDS = 1.0  # a stop waits no longer for the thread
_MISSING = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # a machine without IPv6


class WebServer:
    """Serves one app at one address, from ``open`` to ``close``, which belong to one thread.

    A port that is taken, and a server that dies, is an error in the log and is tried again.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: Address,
        *,
        retry_seconds: float = _RETRY_SECONDS,
        reader_seconds: float = _READER_SECONDS,
    ) -> None:
        self._app = app
        self._address = address
        self._retry_seconds = retry_seconds
        self._reader_seconds = reader_seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None  # while it serves
        self._serving: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._told = ""  # the last error that was logged

    def open(self) -> None:
        """Begin to serve, or to try to."""
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more; whoever still looks is cut off."""
        self._stop.set()
        with self._lock:
            if self._loop is not None and self._serving is not None:
                self._loop.call_soon_threadsafe(self._serving.cancel)
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._serve())
            except OSError as error:
                self._tell(f"cannot serve HTTP at {self._shown()}: {error.strerror or error}")
            except BaseException:
                log.exception("the web server died; starting it again")
            else:
                if not self._stop.is_set():
                    self._tell("the web server has ended by itself")
            self._stop.wait(self._retry_seconds)

    async def _serve(self) -> None:
        sockets = _bound(self._address)
        server = Server(_config(self._app, reader_seconds=self._reader_seconds))
        serving = asyncio.ensure_future(server.serve(sockets=list(sockets)))
        with self._lock:
            self._loop, self._serving = asyncio.get_running_loop(), serving
        try:
            if not self._stop.is_set():
                log.info("serving HTTP at %s", self._shown())
                self._told = ""
                with suppress(asyncio.CancelledError):
                    await serving
        finally:
            with self._lock:
                self._loop = self._serving = None
            serving.cancel()
            for connection in tuple(server.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            for listener in (*getattr(server, "servers", ()), *sockets):
                listener.close()
            await asyncio.sleep(0)  # the aborted connections end in the next turn of the loop

    def _tell(self, sentence: str) -> None:
        """Log an error, once as long as it stays the same."""
        if sentence != self._told:
            log.error("%s; trying again every %g s", sentence, self._retry_seconds)
        self._told = sentence

    def _shown(self) -> str:
        host = self._address.host or "*"
        return f"{f'[{host}]' if ':' in host else host}:{self._address.port}"


def _config(app: ASGIApp, *, reader_seconds: float) -> Config:
    return Config(
        app,
        http=bounded_protocol(request_seconds=_REQUEST_SECONDS, reader_seconds=reader_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # strangers' bad requests are not for our log; the app's errors are
        access_log=False,
        proxy_headers=False,  # the client's address decides whose header is believed
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=16_384,
    )


def _bound(address: Address) -> Sequence[socket.socket]:
    """Return listening sockets, of each family that the address has. Raises ``OSError``."""
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    missing = OSError("no address")
    for family, _, _, _, where in found:
        try:
            sockets.append(_listener(family, where))
        except OSError as error:
            if error.errno not in _MISSING:
                for listener in sockets:
                    listener.close()
                raise
            missing = error
    if not sockets:
        raise missing
    return sockets


def _listener(family: socket.AddressFamily, where: object) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named; else each answer but
    # the first of a connection waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # the other family has a socket of its own
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)  # type: ignore[arg-type]  # as `getaddrinfo` has it
    except OSError:
        listener.close()
        raise
    return listener
