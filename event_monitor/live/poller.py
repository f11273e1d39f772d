"""Poller: looks again and again in a thread of its own, so that the screen never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import EventMonitorError
from ..text import error_line, one_line
from .look import Look, Source

__all__ = ["Poller"]


class Poller:
    """Calls ``tell`` with each look, or with None and a sentence where there was none.

    That is called in the poller's thread, a daemon: a look that hangs does not keep the process
    from ending. ``seconds`` are between the end of a look and the next.
    """

    def __init__(
        self, source: Source, tell: Callable[[Look | None, str], None], *, seconds: float
    ) -> None:
        self._source = source
        self._tell = tell
        self._seconds = seconds
        self._is_closed = threading.Event()
        self._goes_on = threading.Event()
        self._goes_on.set()

    def open(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="live-poller", daemon=True).start()

    def close(self) -> None:
        """Look no more, after the look that is being taken now."""
        self._is_closed.set()
        self._goes_on.set()

    @property
    def is_paused(self) -> bool:
        """Return whether it waits until it is told to go on."""
        return not self._goes_on.is_set()

    def pause(self, is_wanted: bool) -> None:
        """Pause, or go on."""
        (self._goes_on.clear if is_wanted else self._goes_on.set)()

    def _run(self) -> None:
        while not self._is_closed.wait(self._seconds):
            self._goes_on.wait()
            if self._is_closed.is_set():
                return
            look, trouble = None, ""
            try:
                look = self._source.look()
            except EventMonitorError as error:
                trouble = error_line(error)
            except Exception as error:  # noqa: BLE001  the screen says so, and goes on
                trouble = f"something went wrong: {one_line(error)}."
            self._tell(look, trouble)
