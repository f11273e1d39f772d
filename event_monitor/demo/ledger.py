"""Ledger: the ground truth that CloudWatch is compared with. It knows nothing of Celery's events.

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

__all__ = ["Action", "GroundTruth", "append", "read"]

Action = Literal["sent", "started", "succeeded", "failed", "retried"]


def append(path: Path, action: Action, task: str) -> None:
    """Append one line. Safe from any process and thread."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{action} {task}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> GroundTruth:
    """Return everything recorded so far; nothing when there is no file yet."""
    try:
        return GroundTruth.of(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return GroundTruth(Counter())


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """How often each thing happened, by (action, task name)."""

    counts: Counter[tuple[str, str]]

    @classmethod
    def of(cls, lines: Iterable[str]) -> GroundTruth:
        """Count the lines of a ledger."""
        pairs = (line.partition(" ") for line in lines)
        return cls(Counter((action, task) for action, _, task in pairs))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, in the order they first appear."""
        return tuple(dict.fromkeys(task for _, task in self.counts))

    def of_task(self, action: Action, task: str) -> int:
        """Return how often one task did it."""
        return self.counts[action, task]

    def total(self, *actions: Action) -> int:
        """Return how often all tasks together did any of these."""
        return sum(count for (action, _), count in self.counts.items() if action in actions)

    @property
    def published(self) -> int:
        """Messages sent to a queue: a task that retries publishes itself again."""
        return self.total("sent", "retried")

    @property
    def unfinished(self) -> int:
        """Messages whose run has not ended, in a queue or in a worker."""
        return self.published - self.total("succeeded", "failed", "retried")
