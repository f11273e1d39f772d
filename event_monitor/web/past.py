"""Past: the way to the history, where one is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import UnavailableError
from ..history import Reader

__all__ = ["NoHistoryError", "Past"]


class NoHistoryError(UnavailableError):
    """No history is kept."""


class Past:
    """Opens the history for each who asks: its file may have been replaced since the last time."""

    def __init__(self, open_reader: Callable[[], Reader] | None) -> None:
        self._open_reader = open_reader

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Yield what reads it. Raises ``UnavailableError`` while that cannot be had."""
        if self._open_reader is None:
            raise NoHistoryError("no history is kept; set history = true.")
        with self._open_reader() as reader:
            yield reader
