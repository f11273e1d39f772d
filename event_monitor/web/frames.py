"""Frames: one server-sent event a second for all who watch, made only while somebody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from .aside import Busy

__all__ = ["Frames"]

_FRAME_SECONDS = 1.0
_MOST_WATCHERS = 100


class Frames:
    """Makes each frame once, however many watch. Belongs to one loop.

    Who reads slowly misses frames and gets the latest: nothing is kept for him.
    """

    def __init__(self, frame: Callable[[], Awaitable[bytes]]) -> None:
        self._frame = frame
        self._watchers = 0
        self._latest: tuple[float, bytes] | None = None  # the loop's clock, the event
        self._making: asyncio.Task[bytes] | None = None

    def watch(self, *, comment_seconds: float) -> AsyncGenerator[bytes, None] | None:
        """Return a stream of events, with a comment when there was none for so long.

        None if there are too many who watch.
        """
        if self._watchers >= _MOST_WATCHERS:
            return None
        return self._events(comment_seconds)

    async def _events(self, comment_seconds: float) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        self._watchers += 1
        try:
            sent_at, sent = loop.time(), b""
            while True:
                try:
                    frame = await self._next(loop)
                except Busy:
                    frame = sent
                if frame is not sent:
                    yield frame
                    sent_at, sent = loop.time(), frame
                elif loop.time() - sent_at >= comment_seconds:
                    yield b": still here\n\n"
                    sent_at = loop.time()
                await asyncio.sleep(_FRAME_SECONDS)
        finally:
            self._watchers -= 1

    async def _next(self, loop: asyncio.AbstractEventLoop) -> bytes:
        """Return the frame of this second, made by whoever asks for it first."""
        if self._latest is not None and loop.time() - self._latest[0] < _FRAME_SECONDS / 2:
            return self._latest[1]
        if self._making is None:
            self._making = asyncio.ensure_future(self._make(loop))
        return await asyncio.shield(self._making)

    async def _make(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            event = b"event: live\ndata: " + await self._frame() + b"\n\n"
            self._latest = loop.time(), event
            return event
        finally:
            self._making = None
