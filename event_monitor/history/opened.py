"""Opened history: a database to be read, and how it is asked. Knows no table."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from .file import explained, opened, require_file
from .rows import Cells

__all__ = ["OpenedHistory"]

Value = TypeVar("Value")
Opened = TypeVar("Opened", bound="OpenedHistory")


class OpenedHistory:
    """The history of a file, or of a monitor that has it in memory. A context manager."""

    def __init__(
        self,
        database: sqlite3.Connection,
        *,
        lock: AbstractContextManager[object] | None = None,
        path: Path | None = None,
    ) -> None:
        self._database = database
        self._lock = lock or threading.Lock()
        self._path = path

    @classmethod
    def open(cls: type[Opened], path: Path) -> Opened:
        """Open the history in this file, whether its monitor runs or not.

        Raises ``UnavailableError`` with a sentence for a person.
        """
        require_file(path)
        with explained(path):
            return cls(opened(path), path=path)

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What is in memory goes on being written."""
        if self._path is not None:
            self._database.close()

    def _rows(
        self,
        query: str,
        values: Sequence[object] | Mapping[str, object],
        make: Callable[[Cells], Value],
    ) -> tuple[Value, ...]:
        """Return what the query finds, each row made into a value."""
        with self._lock, explained(self._path):
            rows = self._database.execute(query, values).fetchall()
            return tuple(map(make, rows))
