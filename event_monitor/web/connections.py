"""Connections: how many there may be, and how long one may stay silent, or not read its answer.

Each takes a file descriptor, and the broker's connection needs one too.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BoundedProtocol", "bounded_protocol"]

_MOST_CONNECTIONS = 200


class BoundedProtocol(H11Protocol):
    """uvicorn's connection, cut off if there are too many, or if it lets us wait too long.

    That is for a whole request, or, while more is to be sent than asyncio wants to keep, for its
    reader. A stream may last for ever, but not for who does not read it.
    """

    request_seconds: float
    reader_seconds: float
    _no_request: asyncio.TimerHandle | None = None
    _no_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait for the reader."""
        super().pause_writing()
        self._no_reader = self._cut_off_after(self.reader_seconds)

    def resume_writing(self) -> None:
        """Wait for the reader no more."""
        super().resume_writing()
        _cancel(self._no_reader)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        _cancel(self._no_request)
        _cancel(self._no_reader)

    def _watch(self) -> None:
        is_our_turn = self.cycle is not None and not self.cycle.response_complete
        if is_our_turn:
            _cancel(self._no_request)
            self._no_request = None
        elif self._no_request is None:
            self._no_request = self._cut_off_after(self.request_seconds)

    def _cut_off_after(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


def bounded_protocol(*, request_seconds: float, reader_seconds: float) -> type[BoundedProtocol]:
    """Return the protocol with its patience: uvicorn makes it without any argument of ours."""
    patience = {"request_seconds": request_seconds, "reader_seconds": reader_seconds}
    return type("BoundedProtocol", (BoundedProtocol,), patience)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
