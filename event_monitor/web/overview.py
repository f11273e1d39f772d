"""Overview: what stands on the first screen, in the order of what matters at night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..history import (
    MINUTE,
    FailureGroup,
    Incident,
    Kept,
    LongRun,
    QueuePoint,
    Reader,
    TaskPoint,
    long_runs,
)
from ..quantities import duration
from ..settings import Settings
from ..snapshot import BrokerLink, Role, ScheduledTask, Snapshot, WorkerState
from ..status.report import Level, Problem, Verdict
from ..status.sentences import Sentence, sentence_of
from .rows import QueueRow, Tone, WorkerRow, queue_rows, worker_rows
from .views import View

__all__ = [
    "HOUR_SECONDS",
    "Change",
    "Chart",
    "LastHour",
    "Overview",
    "QueueChart",
    "changes_of",
    "chart_of",
    "is_overdue",
    "problems_of",
    "queue_chart_of",
]

HOUR_SECONDS = 3_600.0

_MOST_CHANGES = 8
_MOST_FAILURES = 8
_MOST_GROUPS = 500  # looked at
_MOST_QUEUES = 12
_MOST_WORKERS = 8
_MOST_LONG = 8


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened at a time."""

    at: float
    sentence: Sentence
    tone: Tone


@dataclass(frozen=True, slots=True)
class Chart:
    """Minutes of what ended, for a chart: each list has one number for each of ``at``.

    ``wait`` is how long 95 % waited at most, in seconds; None where nothing waited.
    """

    at: list[int]
    succeeded: list[int]
    failed: list[int]
    wait: list[float | None]

    @property
    def words(self) -> str:
        """Return what the chart shows, for who does not see it."""
        return (
            f"Tasks per minute: {sum(self.succeeded):,} succeeded and {sum(self.failed):,} failed "
            f"in {len(self.at)} minutes; at most {max(self.succeeded, default=0):,} succeeded and "
            f"{max(self.failed, default=0):,} failed in one."
        )


def chart_of(points: Iterable[TaskPoint], *, now: float) -> Chart:
    """Return the last hour; a minute without a point is one in which nothing ended."""
    by_minute = {point.at: point for point in points}
    at = _minutes(now)
    found = [by_minute.get(minute) for minute in at]
    return Chart(
        at=at,
        succeeded=[point.succeeded if point else 0 for point in found],
        failed=[point.failed if point else 0 for point in found],
        wait=[point.wait_p95 if point else None for point in found],
    )


@dataclass(frozen=True, slots=True)
class QueueChart:
    """Minutes of a queue: how many wait, and how old the oldest is in seconds; None is unknown."""

    at: list[int]
    ready: list[int | None]
    oldest: list[float | None]

    @property
    def words(self) -> str:
        """Return what the chart shows, for who does not see it."""
        most = max((number for number in self.ready if number is not None), default=0)
        return f"Length and age of the queue in {len(self.at)} minutes; at most {most:,} waited."


def queue_chart_of(points: Iterable[QueuePoint], *, now: float) -> QueueChart:
    """Return the last hour; a minute without a point is unknown."""
    by_minute = {point.at: point for point in points}
    at = _minutes(now)
    found = [by_minute.get(minute) for minute in at]
    return QueueChart(
        at=at,
        ready=[point.ready_max if point else None for point in found],
        oldest=[point.oldest_max if point else None for point in found],
    )


def _minutes(now: float) -> list[int]:
    end = int(now // MINUTE) * MINUTE
    return list(range(end - int(HOUR_SECONDS), end + MINUTE, MINUTE))


@dataclass(frozen=True, slots=True)
class LastHour:
    """What the history tells of the last hour."""

    changes: list[Change]
    failures: tuple[FailureGroup, ...]
    failed: int  # tasks, of all groups
    kinds: int
    long: list[LongRun]
    chart: Chart
    kept: tuple[Kept, ...]
    orphans: dict[str, int]

    @classmethod
    def read(cls, reader: Reader, view: View) -> LastHour:
        """Read it. Raises ``UnavailableError`` where that cannot be done."""
        since = view.at - HOUR_SECONDS
        incidents = reader.incidents(since=view.at - 24 * HOUR_SECONDS, limit=200)
        groups = reader.failures(since=since, limit=_MOST_GROUPS)
        orphans: Counter[str] = Counter()
        for incident in incidents:
            if incident.kind == "tasks-orphaned":
                orphans[incident.subject] += incident.tasks
        new = [group for group in groups if group.first_at >= since]
        rest = sorted(
            (group for group in groups if group.first_at < since), key=lambda group: -group.recent
        )
        points = reader.task_points(MINUTE, since=since - MINUTE, until=view.at + 1)
        chart = chart_of(points, now=view.at)
        return cls(
            changes=changes_of(incidents, new)[:_MOST_CHANGES],
            failures=(*sorted(new, key=lambda group: -group.recent), *rest)[:_MOST_FAILURES],
            # By the second; of too many groups by the shot.
            failed=max(
                sum(group.recent for group in groups),
                sum(chart.failed) if len(groups) == _MOST_GROUPS else 0,
            ),
            kinds=len(groups),
            long=long_runs(view.live.running, at=view.live.taken_at, reader=reader),
            chart=chart,
            kept=reader.kept(since=view.at - 24 * HOUR_SECONDS),
            orphans=dict(orphans),
        )


def changes_of(incidents: Iterable[Incident], new: Iterable[FailureGroup]) -> list[Change]:
    """Return what began, what ended, and what failed for the first time; the latest first."""
    return sorted(_changes(incidents, new), key=lambda change: -change.at)


def _changes(incidents: Iterable[Incident], new: Iterable[FailureGroup]) -> Iterator[Change]:
    for incident in incidents:
        sentence = sentence_of(
            incident.kind,
            incident.subject,
            tasks=incident.tasks,
            is_over=incident.ended is not None,
        )
        is_bad = incident.kind in ("worker-lost", "tasks-orphaned", "queue-critical")
        tone: Tone = "dim" if incident.ended is not None and not is_bad else "warn"
        yield Change(incident.began, sentence, "bad" if is_bad else tone)
    for group in new:
        sentence = Sentence(f"first {group.exception} in ", group.name, "", "name")
        yield Change(group.first_at, sentence, "")


@dataclass(frozen=True, slots=True)
class Overview:
    """The first screen below its verdict.

    ``past`` is None where no history can be read; then ``why`` says why.
    """

    past: LastHour | None
    why: str
    queues: list[QueueRow]
    more_queues: int
    workers: list[WorkerRow]
    more_workers: int
    worker_counts: str
    running: int
    schedules: list[ScheduledTask]
    truth: list[tuple[str, Tone]]

    @classmethod
    def of(cls, view: View, settings: Settings, *, past: LastHour | None, why: str) -> Overview:
        """Put it together."""
        queues = queue_rows(view.snapshot, settings)
        workers = [
            row
            for row in worker_rows(view.snapshot, orphans=past.orphans if past else None)
            if row.state != "offline"
        ]
        bad = [row for row in workers if row.tone in ("bad", "warn")]
        shown = workers[: max(_MOST_WORKERS, min(len(bad), 3 * _MOST_WORKERS))]
        return cls(
            past=past,
            why=why,
            queues=queues[:_MOST_QUEUES],
            more_queues=max(0, len(queues) - _MOST_QUEUES),
            workers=shown,
            more_workers=len(workers) - len(shown),
            worker_counts=_worker_counts(view.snapshot),
            running=view.live.running_count,
            schedules=_schedules(view.snapshot),
            truth=list(_truth(view, past)),
        )


def problems_of(view: View, verdict: Verdict) -> tuple[Level, tuple[Problem, ...]]:
    """Return the verdict as it is now: of data that are old it is unknown whether they hold."""
    problems = list(verdict.found)
    level = verdict.level
    if view.live.link is BrokerLink.AWAY and (
        view.snapshot is None or view.snapshot.link is not BrokerLink.AWAY
    ):
        problems.insert(0, Problem(Level.UNKNOWN, "the broker is away"))
        level = Level.UNKNOWN if level is Level.OK else level
    if view.problem is not None:
        problems.insert(0, Problem(Level.UNKNOWN, view.problem.rstrip(".")))
        level = Level.UNKNOWN
    return level, tuple(problems)


def _worker_counts(snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return ""
    states = Counter(worker.state for worker in snapshot.workers)
    parts = [f"{states[WorkerState.ONLINE]:,} online"]
    if states[WorkerState.LOST]:
        parts.append(f"{states[WorkerState.LOST]:,} lost")
    draining = [
        worker
        for worker in snapshot.workers
        if worker.draining and worker.state is WorkerState.OFFLINE
    ]
    if draining:
        parts.append(f"{len(draining):,} draining")
    return ", ".join(parts)


def _schedules(snapshot: Snapshot | None) -> list[ScheduledTask]:
    """Return them, the overdue first."""
    scheduled = () if snapshot is None else snapshot.scheduled
    return sorted(scheduled, key=lambda task: (not is_overdue(task), task.due_at))


def is_overdue(task: ScheduledTask) -> bool:
    """Return whether it is known to stay away."""
    return task.seen_at is not None and task.overdue_seconds > 0


def _truth(view: View, past: LastHour | None) -> Iterator[tuple[str, Tone]]:
    """Yield what has to be known to believe these numbers."""
    snapshot = view.snapshot
    if snapshot is None:
        yield "nothing is known before the first shot", "warn"
        return
    lost = sum(number for _, number in snapshot.window.events_lost)
    yield f"{lost:,} events lost in the last window", "warn" if lost else ""
    mute = sum(not worker.sends_task_events for worker in snapshot.online)
    if mute:
        many = "1 worker sends" if mute == 1 else f"{mute:,} workers send"
        yield f"{many} no task events (start them with -E)", "warn"
    if past is not None:
        for kept in past.kept:
            if kept.ended and kept.kept < kept.ended:
                yield f"of {kept.state} {_share(kept)} listed, all are counted", ""
    queues = snapshot.survey.queues
    if queues is None:
        yield "nothing is known of the queues", "warn"
    else:
        known = sum(queue.oldest_seconds is not None or queue.ready == 0 for queue in queues)
        if known < len(queues):
            yield f"queue ages are known for {known:,} of {len(queues):,} queues", ""
    if snapshot.window.names_folded:
        yield f"{snapshot.window.names_folded:,} names are counted together", "warn"
    if snapshot.publisher.unsent:
        yield f"{snapshot.publisher.unsent:,} metrics wait to be sent", "warn"
    if view.role is Role.STANDBY:
        yield "this monitor stands by: another publishes", ""
        return
    if snapshot.standbys:
        others = (
            "another stands" if snapshot.standbys == 1 else f"{snapshot.standbys:,} others stand"
        )
        yield f"this monitor publishes, and {others} by", ""
    if view.accepted_at is not None:
        ago = max(0.0, view.at - view.accepted_at)
        yield f"metrics were last accepted {duration(ago)} ago", ""
    else:
        yield "no metrics were accepted yet", "warn"


def _share(kept: Kept) -> str:
    if 2 * kept.kept > kept.ended:
        return f"{100 * kept.kept / kept.ended:.0f} % are"
    return f"1 in {kept.ended / max(1, kept.kept):,.0f} is"
