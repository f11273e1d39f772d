"""Ledger: the truth that CloudWatch is compared with. It knows nothing of Celery's events.

The producer and the task bodies append one line for each thing they do, when they do it. One
short write to a file opened for appending is atomic, so any number of processes may share it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Deed", "Truth", "note", "read"]

Deed = Literal["sent", "started", "succeeded", "failed", "retried"]


def note(path: Path, deed: Deed, task: str) -> None:
    """Append one line. Safe from any process and thread."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{deed} {task}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> Truth:
    """Everything noted so far."""
    try:
        return Truth.of(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return Truth(Counter())


@dataclass(frozen=True, slots=True)
class Truth:
    """How often each thing happened, by (deed, task name)."""

    counts: Counter[tuple[str, str]]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Truth:
        """Count the lines of a ledger."""
        return cls(Counter((deed, task) for deed, _, task in (one.partition(" ") for one in lines)))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, in the order they were first seen."""
        return tuple(dict.fromkeys(task for _, task in self.counts))

    def of_task(self, deed: Deed, task: str) -> int:
        """How often one task did it."""
        return self.counts[deed, task]

    def total(self, *deeds: Deed) -> int:
        """How often all tasks did any of these."""
        return sum(count for (deed, _), count in self.counts.items() if deed in deeds)

    @property
    def published(self) -> int:
        """Messages sent to a queue: a task that retries publishes itself again."""
        return self.total("sent", "retried")

    @property
    def unfinished(self) -> int:
        """Messages whose run has not ended, in a queue or in a worker."""
        return self.published - self.total("succeeded", "failed", "retried")
