"""Truth: what an exact monitor says, from the recording, the process table and the tasks' ledgers.

Pure. A run is one task on one worker process. What a ledger has and the recording has not, never
reached the broker: no monitor can know it, so it is listed apart. That a run is over shows
all the same where its next try was sent or received, or its worker said that it runs nothing; a
monitor may see that, or take the run for an orphan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .fleet import Life
from .recording import ENDINGS, Event

#: Metric → the event it counts.
COUNTS = {
    "TasksSent": "task-sent",
    "TasksReceived": "task-received",
    "TasksStarted": "task-started",
    "TasksSucceeded": "task-succeeded",
    "TasksFailed": "task-failed",
    "TasksRetried": "task-retried",
    "TasksRevoked": "task-revoked",
    "TasksRejected": "task-rejected",
}
UNKNOWN = "unknown"

What = Literal["begin", "end"]


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a ledger: a run began, or ended, in the process that ran it."""

    what: What
    uuid: str


@dataclass(frozen=True, slots=True, order=True)
class NeverSent:
    """An event of a run that no one on the broker has seen. ``was_killed``: its worker, later."""

    worker: str
    life: int
    uuid: str
    task: str
    what: What
    was_killed: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """What an exact monitor says. ``lost``, ``orphaned`` and ``events_lost`` are by nodename.

    Nobody can be sure of what a killed process had buffered: ``over`` are its runs that no event
    ends, though something else shows that they are over, and ``buffered`` are the starts that it
    counted in a heartbeat and that never came.
    ``contradictions`` are sentences: the sources do not fit each other, so the truth is not known.
    """

    lost: Counter[str]
    orphaned: Counter[str]
    over: Counter[str]
    events_lost: Counter[str]
    buffered: Counter[str]
    counts: Mapping[str, Counter[str]]  # metric → task name → sum
    online: int
    never_sent: tuple[NeverSent, ...] = ()
    contradictions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Runs:
    """The runs of one process, as its events or its ledger have them: begun − ended, by task.

    ``tries`` has, by task, how many tries went before the last one that it received; ``over`` the
    runs that were open when it said that it runs nothing.
    """

    begun: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    over: Counter[str] = field(default_factory=Counter)
    tries: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> Counter[str]:
        return self.begun - self.ended


def find_truth(
    *,
    events: Sequence[Event],
    lives: Sequence[Life],
    ledgers: Mapping[int, Sequence[Note]],
    names: Mapping[str, str],
) -> Truth:
    """Return the truth; ``ledgers`` are by the number of a life, ``names`` by the id of a task."""
    recorded = _recorded_runs(events)
    tries = _tries(events)
    processed = {event.pid: event.processed for event in events if event.processed is not None}
    goodbyes = {event.pid for event in events if event.type == "worker-offline"}
    lost: Counter[str] = Counter()
    orphaned: Counter[str] = Counter()
    over: Counter[str] = Counter()
    events_lost: Counter[str] = Counter()
    buffered: Counter[str] = Counter()
    never_sent: list[NeverSent] = []
    contradictions: list[str] = []
    for life in lives:
        runs = recorded.pop((life.name, life.pid), _Runs())
        ledger = _ledger_runs(ledgers.get(life.number, ()))
        never_sent += _missing(life, runs, ledger, names)
        if life.killed_at is not None:
            lost[life.name] += life.pid not in goodbyes
            certain = sum(
                times
                for uuid, times in (runs.open - runs.over).items()
                if tries.get(uuid, 0) <= runs.tries.get(uuid, 0)
            )
            orphaned[life.name] += certain
            over[life.name] += runs.open.total() - certain
        # Begun by its own count, as far as a heartbeat says so, and never seen by anyone.
        missing = events_lost if life.killed_at is None else buffered
        missing[life.name] += max(0, processed.get(life.pid, 0) - runs.begun.total())
        contradictions += _contradictions(life, runs, ledger)
    contradictions += [f"events of {name}, pid {pid}: not ours" for name, pid in recorded]
    return Truth(
        lost=+lost,
        orphaned=+orphaned,
        over=+over,
        events_lost=+events_lost,
        buffered=+buffered,
        counts=_counts(events, names),
        online=len({life.name for life in lives if life.exit_code is None}),
        never_sent=tuple(sorted(never_sent)),
        contradictions=tuple(contradictions),
    )


def _recorded_runs(events: Iterable[Event]) -> dict[tuple[str, int], _Runs]:
    by_process: dict[tuple[str, int], _Runs] = {}
    for event in events:
        if event.type == "task-sent" or not event.type.startswith(("task-", "worker-")):
            continue  # of a producer, of the child that retries, or of the monitor itself
        runs = by_process.setdefault((event.hostname, event.pid), _Runs())
        if event.type == "task-started":
            runs.begun[event.uuid] += 1
        elif event.type in ENDINGS:
            runs.ended[event.uuid] += 1
            runs.over -= Counter([event.uuid])
        elif event.type == "task-received":
            runs.tries[event.uuid] = event.retries or 0
        elif event.active == 0:
            runs.over = runs.open
    return by_process


def _tries(events: Iterable[Event]) -> dict[str, int]:
    """Return, by task, how many tries went before its last one that was sent or received."""
    tries: dict[str, int] = {}
    for event in events:
        if event.retries is not None:
            tries[event.uuid] = max(event.retries, tries.get(event.uuid, 0))
    return tries


def _ledger_runs(notes: Iterable[Note]) -> _Runs:
    runs = _Runs()
    for note in notes:
        (runs.begun if note.what == "begin" else runs.ended)[note.uuid] += 1
    return runs


def _missing(
    life: Life, runs: _Runs, ledger: _Runs, names: Mapping[str, str]
) -> Iterable[NeverSent]:
    """Yield what the ledger has and the recording has not."""
    sides: tuple[tuple[What, Counter[str]], ...] = (
        ("begin", ledger.begun - runs.begun),
        ("end", ledger.ended - runs.ended),
    )
    for what, missing in sides:
        for uuid in missing.elements():
            name = names.get(uuid, UNKNOWN)
            yield NeverSent(life.name, life.number, uuid, name, what, life.killed_at is not None)


def _contradictions(life: Life, runs: _Runs, ledger: _Runs) -> Iterable[str]:
    """Yield what cannot be: then the harness is wrong, or Celery is."""
    who = f"{life.name}, process {life.number} (pid {life.pid})"
    if life.killed_at is None:
        if life.exit_code not in (None, 0):
            yield f"{who} ended by itself with {life.exit_code}"
        if ledger.open:
            yield f"{who} was not killed and never ended {sorted(ledger.open)}"
    for what, more in (("began", runs.begun - ledger.begun), ("ended", runs.ended - ledger.ended)):
        # The pool says that it accepts a task a moment before the task itself begins.
        if more and (life.killed_at is None or what == "ended"):
            yield f"{who}: events say that it {what} {sorted(more)}, the tasks do not"


def _counts(events: Iterable[Event], names: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Count the events by metric and task name; an ending that is sent twice counts once."""
    metric_of = {type_: metric for metric, type_ in COUNTS.items()}
    counts: dict[str, Counter[str]] = {metric: Counter() for metric in COUNTS}
    latest: dict[tuple[str, int], str] = {}
    for event in events:
        metric = metric_of.get(event.type)
        if metric is None:
            continue
        key = (event.uuid, event.pid)
        is_repeated = event.type == "task-failed" and latest.get(key) == event.type
        latest[key] = event.type
        counts[metric][names.get(event.uuid, UNKNOWN)] += not is_repeated
    return counts
