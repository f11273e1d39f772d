"""Held: the tasks that workers run or keep for their eta, as they reply to inspect. Pure.

Replies come from whoever may write to the broker: what is malformed is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..events import epoch_of

__all__ = ["HeldTask", "by_its_own_clock", "held_tasks"]

_LONGEST_NAME = 255  # characters; the report shows it
_LARGEST = 2**53  # seconds; a later time is nonsense


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTask:
    """A task on a worker. ``running``, ``until_eta``: seconds since it began and until its eta.

    None: it does not run, or it waits for no eta. ``acknowledged``: whether the broker has
    forgotten it; None if that is unknown.
    """

    name: str
    worker: str
    running: float | None = None
    until_eta: float | None = None
    acknowledged: bool | None = None

    def __str__(self) -> str:
        return f"{self.name} on {self.worker}"


def held_tasks(worker: str, entries: object, *, now: float) -> Iterator[HeldTask]:
    """Yield the tasks in a reply to ``active`` or ``scheduled``; ``now`` is when it came."""
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping):
            continue
        request = entry.get("request", entry)
        if not isinstance(request, Mapping):
            continue
        name, started = request.get("name") or request.get("type"), request.get("time_start")
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            continue
        eta, acknowledged = epoch_of(entry.get("eta")), request.get("acknowledged")
        yield HeldTask(
            name=name,
            worker=worker,
            running=_since(started, now),
            until_eta=None if eta is None else eta - now,
            acknowledged=acknowledged if isinstance(acknowledged, bool) else None,
        )


def _since(started: object, now: float) -> float | None:
    if isinstance(started, bool) or not isinstance(started, int | float):
        return None
    return now - started if 0 < started <= _LARGEST else None


def by_its_own_clock(task: HeldTask, skew_seconds: float | None) -> HeldTask:
    """Return the task with its times corrected; the skew is our clock minus the worker's."""
    skew = skew_seconds or 0.0
    return replace(
        task,
        running=None if task.running is None else task.running - skew,
        until_eta=None if task.until_eta is None else task.until_eta + skew,
    )
