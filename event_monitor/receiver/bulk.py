"""Bulk: a connected socket that is read seldom, and as much as there is at a time.

What a read costs besides its bytes is paid some hundred times a second at most. And each call to
the kernel gives the interpreter away: while another thread computes it takes milliseconds to get it
back, so that who asks the kernel three times for every few bytes falls behind with an idle core.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from ..clock import SYSTEM_CLOCK, Clock

__all__ = ["BulkReader"]

# A read costs some 10 µs besides its bytes: with a quarter of this an event takes 3 to 9 % longer.
_READ_BYTES = 1 << 18
# After a read of a few bytes, more of them gather: nobody waits for an event. After one of many
# there may be as many again, in a kernel that keeps no more for us than a moment's worth of them.
_FEW_BYTES = 1 << 14
_GATHER_SECONDS = 0.005
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BulkReader:
    """Reads into ``buffer``. The socket is non-blocking from now on. Not thread-safe."""

    def __init__(self, connected: socket.socket, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self.buffer)
        self._socket = connected
        self._is_tls = isinstance(connected, ssl.SSLSocket)
        self._clock = clock
        self._readable = select.poll()
        self._readable.register(connected, select.POLLIN)
        self._read_at = float("-inf")
        self._expects_more = True  # TLS may have read ahead, what no poll would tell
        connected.settimeout(0)

    def read(self, timeout_seconds: float) -> int:
        """Return how many bytes are in the buffer now: all that have arrived, if it holds them.

        Raises ``TimeoutError`` if nothing comes in time, ``ConnectionResetError`` at the end.
        """
        received = self._take() if self._expects_more else 0
        if not received:
            if not self._readable.poll(1_000 * timeout_seconds):
                raise TimeoutError(f"nothing received in {timeout_seconds:g} s")
            early_seconds = self._read_at + _GATHER_SECONDS - self._clock.monotonic()
            if early_seconds > 0 and not self._expects_more:
                self._clock.sleep(early_seconds)
            received = self._take()
        if not received:
            raise TimeoutError("what came is part of a TLS record, or none of its data")
        self._read_at = self._clock.monotonic()
        self._expects_more = received >= _FEW_BYTES
        return received

    @contextmanager
    def writing(self, timeout_seconds: float) -> Iterator[None]:
        """Let the socket block as long as this, for who writes to it."""
        self._socket.settimeout(timeout_seconds)
        try:
            yield
        finally:
            self._socket.settimeout(0)

    def _take(self) -> int:
        received, size = 0, len(self.buffer)
        try:
            while received < size:
                portion = self._socket.recv_into(self._view[received:])
                received += portion
                if not portion or not self._is_tls:  # TLS returns one record at a time
                    break
        except _NOTHING_YET:
            return received
        except OSError:
            if not received:
                raise  # else the next read finds the end
        if not received:
            raise ConnectionResetError("the server closed the connection")
        return received
