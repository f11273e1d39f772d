"""Notices: what a snapshot gives to the log, each thing once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import BrokerLink, ScheduledTask, Snapshot, WorkerLoss, WorkerStatus
from .details import log_details
from .notice import GOOD_TO_KNOW, Notice, NoticeKind
from .workers import WorkerChanges

__all__ = ["Notices"]

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 3_600.0  # a lasting condition is logged once in this time
_MAX_NAMED = 20  # unfinished tasks that a notice names
_MAX_LINES = 10  # of one kind, of one snapshot; one more says what the rest is about
_SILENT_SECONDS = 10.0  # an interval may be shorter than the time between two heartbeats


class Notices:
    """Logs what is worth a line in each snapshot, as a ``SnapshotConsumer``; one thread at a time.

    Of each kind ten lines at most, then one that sums up.

    A worker that stalls, or a task that fails or stays away, is logged when it begins to; what
    keeps one of the workers from being counted or judged is logged once an hour.
    """

    def __init__(self, *, stalled_seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._stalled_seconds = stalled_seconds
        self._clock = clock
        self._stalled: frozenset[str] = frozenset()
        self._failing: frozenset[str] = frozenset()
        self._overdue: frozenset[str] = frozenset()
        self._unseen: frozenset[str] = frozenset()
        self._is_silent = False
        self._workers = WorkerChanges()
        self._is_standby = False
        self._logged_at: dict[tuple[str, NoticeKind], float] = {}  # worker, what → our clock

    def __call__(self, snapshot: Snapshot) -> None:
        """Log the notices of this snapshot."""
        log_details(snapshot)
        by_kind: dict[NoticeKind, list[Notice]] = {}
        for notice in self.find(snapshot):
            by_kind.setdefault(notice.kind, []).append(notice)
        for kind, notices in by_kind.items():
            level = logging.INFO if kind in GOOD_TO_KNOW else logging.WARNING
            for notice in notices[:_MAX_LINES]:
                log.log(level, "%s", notice.text, extra=notice.facts)
            rest = Notice.rest_of(notices[_MAX_LINES:])
            if rest is not None:
                log.log(level, "%s", rest.text, extra=rest.facts)

    def find(self, snapshot: Snapshot) -> tuple[Notice, ...]:
        """Return the notices of this snapshot; what was found is remembered for the next."""
        return (
            *self._of_link(snapshot),
            *self._workers.find(snapshot),
            *self._of_silence(snapshot),
            *(_of_loss(loss, "worker-leaving") for loss in snapshot.leaving),
            *(_of_loss(loss) for loss in snapshot.losses),
            *_of_vanished(snapshot),
            *_of_missing(snapshot),
            *self._newly_failing(snapshot),
            *self._newly_overdue(snapshot),
            *self._newly_unseen(snapshot),
            *self._of_workers(snapshot),
            *self._newly_stalled(snapshot),
        )

    def _of_link(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Tell of another monitor that reads the queue of events, and of its end."""
        was_standby, self._is_standby = self._is_standby, snapshot.link is BrokerLink.STANDBY
        if self._is_standby and not was_standby:
            yield Notice(kind="standby")
        elif was_standby and snapshot.link is BrokerLink.LISTENING:
            yield Notice(kind="takeover")

    def _of_silence(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Say that nothing came yet, for longer than a window: perhaps we listen elsewhere."""
        listened, window = snapshot.listening_seconds, snapshot.window
        longest = max(_SILENT_SECONDS, 0.9 * (window.closed_at - window.opened_at))
        has_heard = self._workers.has_found or snapshot.workers or window.tasks
        if has_heard or listened is None or listened < longest or not snapshot.has_heard_all:
            return
        answering = tuple(worker.hostname for worker in snapshot.survey.workers or ())
        kind: NoticeKind = "no-events" if answering else "nothing-heard"
        if window.events_received > sum(count for _, count in window.custom_events):
            kind = "nothing-belongs"
        if self._is_due("", kind):
            yield Notice(kind=kind, seconds=listened, workers=answering)

    def _is_due(self, worker: str, kind: NoticeKind) -> bool:
        """Return whether this was not logged within the hour; if so, it is now."""
        now = self._clock.monotonic()
        logged_at = self._logged_at.get((worker, kind))
        is_due = logged_at is None or now - logged_at >= _REPEAT_SECONDS
        if is_due:
            self._logged_at[worker, kind] = now
        return is_due

    def _of_workers(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Say loudly what keeps a worker from being counted or judged; -E is forgotten most."""
        for worker in snapshot.online:
            for kind in _conditions(worker):
                if self._is_due(worker.hostname, kind):
                    yield Notice(kind=kind, worker=worker.hostname)
        known = {"", *(worker.hostname for worker in snapshot.workers)}
        self._logged_at = {key: at for key, at in self._logged_at.items() if key[0] in known}

    def _newly_stalled(self, snapshot: Snapshot) -> Iterator[Notice]:
        stalled = frozenset(snapshot.survey.stalled or ())
        for hostname in sorted(stalled - self._stalled):
            yield Notice(kind="worker-stalled", worker=hostname, seconds=self._stalled_seconds)
        self._stalled = stalled

    def _newly_failing(self, snapshot: Snapshot) -> Iterator[Notice]:
        fresh = tuple(task for task in snapshot.failing if task.name not in self._failing)
        if fresh:
            named = fresh[:_MAX_NAMED]
            yield Notice(kind="tasks-failing", worker="", tasks=len(fresh), named=named)
        self._failing = frozenset(task.name for task in snapshot.failing)

    def _newly_overdue(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Name those that begin to stay away; while none comes at all, that is one line."""
        judged = snapshot.judged
        overdue = tuple(task for task in judged if task.overdue_seconds)
        fresh = tuple(task for task in overdue if task.name not in self._overdue)
        was_silent, self._is_silent = self._is_silent, _are_silent(judged, overdue)
        if self._is_silent and was_silent:
            return  # those that follow are named when some come again and they do not
        self._overdue = frozenset(task.name for task in overdue)
        if fresh:
            seen_at = max(task.seen_at or 0.0 for task in judged)
            yield Notice(
                kind="schedules-silent" if self._is_silent else "schedules-overdue",
                worker="",
                seconds=snapshot.window.closed_at - seen_at if self._is_silent else 0.0,
                tasks=len(fresh),
                named=fresh[:_MAX_NAMED],
            )

    def _newly_unseen(self, snapshot: Snapshot) -> Iterator[Notice]:
        unseen = tuple(t for t in snapshot.scheduled if t.seen_at is None and t.overdue_seconds)
        fresh = tuple(task for task in unseen if task.name not in self._unseen)
        if fresh:
            self._unseen |= {task.name for task in fresh}
            named = fresh[:_MAX_NAMED]
            yield Notice(kind="schedules-unseen", worker="", tasks=len(fresh), named=named)


def _are_silent(judged: Sequence[ScheduledTask], overdue: Sequence[ScheduledTask]) -> bool:
    """Return whether none of several has come since the first of these was due: beat is gone."""
    due_at = min((task.due_at for task in overdue), default=None)
    return (
        len(judged) > 1
        and due_at is not None
        and all(task.seen_at is not None and task.seen_at < due_at for task in judged)
    )


def _conditions(worker: WorkerStatus) -> Iterator[NoticeKind]:
    if worker.is_shared:
        yield "name-shared"
    if not worker.sends_heartbeats:
        yield "no-heartbeats"
    if not worker.sends_task_events:
        yield "no-task-events"


def _of_loss(loss: WorkerLoss, kind: NoticeKind | None = None) -> Notice:
    return Notice(
        kind=kind or ("worker-left" if loss.said_goodbye else "worker-lost"),
        worker=loss.hostname,
        seconds=loss.silent_seconds,
        tasks=len(loss.orphans),
        named=loss.orphans[:_MAX_NAMED],
    )


def _of_vanished(snapshot: Snapshot) -> Iterator[Notice]:
    """Name a few of the tasks that vanished: where `Ignore` is a habit there may be many."""
    count = sum(counts.vanished for _, counts in snapshot.window.tasks)
    if count:
        named = snapshot.window.vanished[:_MAX_NAMED]
        yield Notice(kind="tasks-vanished", worker="", tasks=count, named=named)


def _of_missing(snapshot: Snapshot) -> Iterator[Notice]:
    missing = snapshot.missing
    if missing is not None and missing.count:
        named = missing.named[:_MAX_NAMED]
        yield Notice(kind="tasks-missing", worker="", tasks=missing.count, named=named)
    if missing is not None and missing.returned:
        returned = missing.returned
        named = returned[:_MAX_NAMED]
        yield Notice(kind="tasks-returned", worker="", tasks=len(returned), named=named)
