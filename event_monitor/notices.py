"""Notices: what a snapshot gives to the log, as values with a kind and facts. One text each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from .clock import SYSTEM_CLOCK, Clock
from .snapshot import Snapshot, WorkerLoss
from .text import printable

__all__ = ["Notice", "NoticeKind", "Notices"]

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 3_600.0  # a lasting condition is logged once in this time
_MAX_NAMED = 20  # unfinished tasks that a notice names

NoticeKind = Literal["worker-lost", "worker-left", "worker-stalled", "no-task-events"]

_TEXTS: Mapping[NoticeKind, str] = {
    "worker-lost": "worker {worker} is lost (silent for {seconds:.0f} s), "
    "unfinished tasks: {tasks}{named}",
    "worker-left": "worker {worker} left (silent for {seconds:.0f} s), "
    "unfinished tasks: {tasks}{named}",
    "worker-stalled": "worker {worker} is stalled: its heartbeats come, but for {seconds:g} s it "
    "has begun no task and runs none, while work waits in its queues; restart it",
    "no-task-events": "worker {worker} runs tasks but sends NO TASK EVENTS, so they are not "
    "counted: start it with -E, or set worker_send_task_events, or run this with --enable-events",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing an operator should know. ``seconds`` is how long it has lasted, where that counts.

    ``tasks`` are unfinished tasks; ``named`` are the first of them, as the text shows them.
    """

    kind: NoticeKind
    worker: str  # the full nodename
    seconds: float = 0.0
    tasks: int = 0
    named: str = ""

    @property
    def text(self) -> str:
        """Return the line for the log."""
        return _TEXTS[self.kind].format(
            worker=printable(self.worker), seconds=self.seconds, tasks=self.tasks, named=self.named
        )


class Notices:
    """Logs what is worth a line in each snapshot, as a ``SnapshotConsumer``; one thread at a time.

    A worker that stalls is logged when it begins to; one that sends no task events once an hour.
    """

    def __init__(self, *, stalled_seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._stalled_seconds = stalled_seconds
        self._clock = clock
        self._stalled: frozenset[str] = frozenset()
        self._logged_at: dict[str, float] = {}  # worker without task events → our clock

    def __call__(self, snapshot: Snapshot) -> None:
        """Log the notices of this snapshot, each as a WARNING."""
        for notice in self.find(snapshot):
            facts = {"notice": notice.kind, "worker": notice.worker, "tasks": notice.tasks}
            log.warning("%s", notice.text, extra=facts)

    def find(self, snapshot: Snapshot) -> tuple[Notice, ...]:
        """Return the notices of this snapshot; what was found is remembered for the next."""
        return (
            *(_of_loss(loss) for loss in snapshot.losses),
            *self._without_task_events(snapshot),
            *self._newly_stalled(snapshot),
        )

    def _without_task_events(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Say loudly when workers work but send no task events: -E is the commonest mistake."""
        now = self._clock.monotonic()
        for worker in snapshot.online:
            logged_at = self._logged_at.get(worker.hostname)
            is_due = logged_at is None or now - logged_at >= _REPEAT_SECONDS
            if not worker.sends_task_events and is_due:
                self._logged_at[worker.hostname] = now
                yield Notice(kind="no-task-events", worker=worker.hostname)
        known = {worker.hostname for worker in snapshot.workers}
        self._logged_at = {name: at for name, at in self._logged_at.items() if name in known}

    def _newly_stalled(self, snapshot: Snapshot) -> Iterator[Notice]:
        stalled = frozenset(snapshot.survey.stalled or ())
        for hostname in sorted(stalled - self._stalled):
            yield Notice(kind="worker-stalled", worker=hostname, seconds=self._stalled_seconds)
        self._stalled = stalled


def _of_loss(loss: WorkerLoss) -> Notice:
    names = ", ".join(f"{task.name}[{task.uuid}]" for task in loss.orphans[:_MAX_NAMED])
    more = ", …" if len(loss.orphans) > _MAX_NAMED else ""
    return Notice(
        kind="worker-left" if loss.said_goodbye else "worker-lost",
        worker=loss.hostname,
        seconds=loss.silent_seconds,
        tasks=len(loss.orphans),
        named=f": {printable(names)}{more}" if names else "",
    )
