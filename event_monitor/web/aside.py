"""Aside: a thread beside the web server's, for what may wait for a lock or takes a while."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Full, Queue
from typing import TypeVar

__all__ = ["Aside", "Busy"]

log = logging.getLogger(__name__)

_MOST_WAITING = 500
_PATIENCE_SECONDS = 5.0  # what was asked for is waited for no longer

Value = TypeVar("Value")


class Busy(Exception):  # noqa: N818  it names the state, and is no fault of the request's
    """What was asked for is not done in time."""


class Aside:
    """Runs functions one after another. ``run`` belongs to the loop of the server.

    A daemon thread, so that what hangs in it does not keep the process from ending.
    """

    def __init__(self, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._work: Queue[Callable[[], None] | None] = Queue(_MOST_WAITING)

    def open(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="web-aside", daemon=True).start()

    def close(self) -> None:
        """Let the thread end once it has done what it does now."""
        with suppress(Full):  # then it hangs, and ends with the process
            self._work.put_nowait(None)

    async def run(self, function: Callable[[], Value]) -> Value:
        """Return what the function returns, called in the thread; ``Busy`` if it takes too long."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Value] = loop.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                value = function()
            except Exception as error:  # noqa: BLE001  it is raised where it was asked for
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_succeed, future, value)

        try:
            self._work.put_nowait(work)
            return await asyncio.wait_for(future, self._patience_seconds)
        except (Full, asyncio.TimeoutError):
            raise Busy from None

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                work()


def _fail(future: asyncio.Future[Value], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _succeed(future: asyncio.Future[Value], value: Value) -> None:
    if not future.done():
        future.set_result(value)
