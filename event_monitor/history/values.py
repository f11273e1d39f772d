"""Values: what the history tells, frozen. Times are wall-clock seconds since the epoch.

A name, an id or a text in here came from whoever may write to the broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "HOUR",
    "MINUTE",
    "STATES",
    "FailureGroup",
    "Incident",
    "Kept",
    "Page",
    "QueuePoint",
    "Run",
    "RunFilter",
    "Span",
    "TaskPoint",
]

#: How a run ended. An orphaned one did not: its worker died.
STATES = ("succeeded", "failed", "retried", "revoked", "rejected", "orphaned")

MINUTE: Literal[60] = 60
HOUR: Literal[3600] = 3_600
Span = Literal[60, 3600]  # seconds of one point of a series


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a task that ended. A task that was retried has several, under the same ``id``.

    ``number`` grows in the order in which the ends arrived, at ``at`` by our clock; the other times
    are by the clocks of those who sent the events, and None is unknown. ``weight`` is how many runs
    like this one it stands for: those that succeed are sampled. ``root`` and ``parent`` are the ids
    of the first and of the last task that it descends from; None: of none, as far as is known.
    ``details`` has what was asked for: traceback, args, kwargs, result.
    """

    number: int
    at: float
    id: str
    name: str | None
    state: str
    worker: str | None = None
    queue: str | None = None
    sent: float | None = None
    received: float | None = None
    started: float | None = None
    ended: float | None = None
    runtime: float | None = None  # seconds
    retries: int = 0
    exception: str | None = None  # its class
    place: str | None = None  # the innermost frame of the app's own code
    weight: float = 1.0
    root: str | None = None
    parent: str | None = None
    message: str | None = None  # of the exception, if it was asked for
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are wanted: those for which all of this holds. None, or empty, is any.

    ``name`` and ``worker`` and ``queue`` are whole names; ``text`` is anywhere in a name, an id, an
    exception, a message or a place; a Latin letter stands for both its cases. ``since`` and
    ``until`` are about ``at``.
    """

    states: tuple[str, ...] = ()
    name: str | None = None
    worker: str | None = None
    queue: str | None = None
    exception: str | None = None
    place: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, the newest first. ``next`` is what to ask with for those before; None: no more.

    A page may have fewer runs than were asked for, or none, and still not be the last: so many are
    looked at, and no more.
    """

    runs: tuple[Run, ...]
    next: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tasks of one name that failed with one exception class in one place. ``count`` is exact.

    ``recent`` is how many since the time that was asked for, by whole minutes. ``last_id`` is a
    task of it, and ``message`` that one's, if messages are kept.
    """

    number: int
    name: str
    exception: str
    place: str  # empty if no frame is the app's
    count: int
    recent: int
    first_at: float
    last_at: float
    last_id: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPoint:
    """What happened to tasks in one minute or hour that began ``at``: exact, but for percentiles.

    It is about a task name, or about a queue, or, where both are empty, about all tasks. Orphaned
    tasks are not told apart by queue. Runtimes are those of tasks that succeeded; None: there were
    none. All in seconds.
    """

    at: int
    name: str = ""
    queue: str = ""
    sent: int = 0
    received: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    rejected: int = 0
    orphaned: int = 0
    runtime_sum: float = 0.0
    runtime_p50: float | None = None
    runtime_p95: float | None = None
    runtime_p99: float | None = None
    runtime_max: float | None = None
    wait_p50: float | None = None
    wait_p95: float | None = None
    wait_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePoint:
    """A queue in one minute or hour that began ``at``: as it was last, and at its worst.

    None is unknown. Rates are messages a second.
    """

    at: int
    name: str
    ready: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    oldest: float | None = None  # seconds
    arrivals: float | None = None
    deliveries: float | None = None
    ready_max: int | None = None
    oldest_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that was wrong from ``began`` to ``ended``; None: it is still.

    ``kind`` is one of ``history.incidents.KINDS``, ``subject`` the worker, queue or task name that
    it is about, empty if none. ``tasks`` are the tasks concerned, of which the first are ``named``.
    ``seen`` is when it was last there.
    """

    number: int
    kind: str
    subject: str
    began: float
    seen: float
    ended: float | None
    tasks: int = 0
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How many runs ended in one state, and how many of them are, or were, rows of the history."""

    state: str
    ended: int
    kept: int
