"""Report: what was found out about workers and queues, and the verdict on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..history import Incident, LongRun
from ..liveness import SignOfLife
from ..metrics.levels import Level, level_of
from ..quantities import UNKNOWN, duration
from ..settings import Settings
from ..snapshot import TaskInFlight
from ..survey import QueueDepth, WorkerAnswer
from ..text import printable
from .failing import FailureShare
from .phrases import number, workers_answer
from .sentences import About, sentence_of

__all__ = [
    "JUDGED_HERE",
    "RECENT_SECONDS",
    "FailureKind",
    "Level",
    "Problem",
    "Recent",
    "Report",
    "Verdict",
    "judge",
    "problem_of",
    "worst_first",
]


#: For so long a worker that went silent is a problem; after that it is an incident of the past.
RECENT_SECONDS = 1_800.0

#: The kinds of incidents of which ``judge`` knows more than a monitor has written down.
JUDGED_HERE = frozenset({"broker-away", "queue-warning", "queue-critical"})

_WORST_FIRST = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """Tasks of one name that failed lately with one exception class in one place.

    ``count`` are those of the whole minutes, ``since_then`` those of the minute that goes on.
    """

    name: str
    exception: str
    place: str  # empty if no frame is the app's
    count: int
    last_id: str
    since_then: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What ended in the last ``seconds`` of whole minutes; the kind that failed last first.

    ``failed_since_then`` are those of the minute that goes on, whose successes are not known yet.
    ``failing`` are the names of which too many failed, the worst first, and ``incidents`` what the
    monitor says is wrong now.
    """

    seconds: float
    succeeded: int = 0
    failed: int = 0
    failed_since_then: int = 0
    kinds: tuple[FailureKind, ...] = ()
    failing: tuple[FailureShare, ...] = ()
    incidents: tuple[Incident, ...] = ()

    @property
    def success_rate(self) -> float | None:
        """Return the percentage of those that succeeded or failed; None if there was none."""
        ended = self.succeeded + self.failed
        return 100.0 * self.succeeded / ended if ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The cluster now. None is unknown; ``unknown`` has a sentence for each such thing.

    ``unreadable`` is why the workers cannot be known, however often one asks; else empty.
    ``management`` is why RabbitMQ's management API cannot be used; empty if it can, or need not.
    ``running`` are the tasks that run, and ``too_long`` those that do for far too long, the longest
    first; ``at`` is wall-clock seconds since the epoch. ``monitor`` is the sign of life of the
    monitor, if it runs on this machine, and ``recent`` from its history.
    """

    at: float
    workers: tuple[WorkerAnswer, ...] | None = None
    running: tuple[TaskInFlight, ...] = ()
    too_long: tuple[LongRun, ...] = ()
    queues: tuple[QueueDepth, ...] | None = None
    unknown: tuple[str, ...] = ()
    unreadable: str = ""
    management: str = ""
    monitor: SignOfLife | None = None
    recent: Recent | None = None

    def oldest(self) -> tuple[TaskInFlight, float] | None:
        """Return the task that has been running longest, and for how many seconds.

        None if no task runs, or no start is known.
        """
        started = [
            (task.running_since, task) for task in self.running if task.running_since is not None
        ]
        if not started:
            return None
        since, task = min(started, key=lambda pair: pair[0])
        return task, max(0.0, self.at - since)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, how bad it is, and the queue, worker or task name that it is about, if any."""

    level: Level
    sentence: str
    about: About = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, the worst first, and the level of each queue.

    ``queues`` is in the order of the report's. None is a queue without limits, or one of which
    too little is known.
    """

    found: tuple[Problem, ...] = ()
    queues: tuple[Level | None, ...] = ()

    @property
    def level(self) -> Level:
        """Return the worst level."""
        return self.found[0].level if self.found else Level.OK

    @property
    def problems(self) -> tuple[str, ...]:
        """Return a sentence per problem."""
        return tuple(problem.sentence for problem in self.found)


def judge(report: Report, settings: Settings, *, min_workers: int) -> Verdict:
    """Return what is wrong: queues at limits, few workers, tasks that hang, what is unknown."""
    queues = tuple(level_of(queue, settings) for queue in report.queues or ())
    return Verdict(
        found=worst_first(_problems(report, queues, min_workers=min_workers)), queues=queues
    )


def worst_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return them by how bad they are, and else in their order."""
    return tuple(sorted(problems, key=lambda problem: _WORST_FIRST.index(problem.level)))


def _problems(
    report: Report, levels: tuple[Level | None, ...], *, min_workers: int
) -> Iterator[Problem]:
    # Workers and queues are on one broker: what else is unknown is so for the same reason.
    for sentence in report.unknown[:1]:
        yield Problem(Level.UNKNOWN, sentence)
    if report.unreadable:
        yield Problem(
            Level.UNKNOWN,
            f"nothing is known of the workers: {report.unreadable}; "
            "--no-probe-workers leaves them out",
        )
    if report.workers is not None and len(report.workers) < min_workers:
        few = f"{workers_answer(report.workers)}, fewer than {min_workers}"
        yield Problem(Level.CRITICAL, few if report.workers else "no worker answers")
    for queue, level in zip(report.queues or (), levels, strict=True):
        if level:
            sentence = f"queue {printable(queue.name)}: {_waiting(queue)}"
            yield Problem(level, sentence, "queue", queue.name)
    if report.management:
        yield Problem(Level.WARNING, report.management)
    if report.monitor and report.monitor.second:
        yield problem_of("second-monitor", report.monitor.second, tasks=0)
    if report.too_long:
        yield _too_long(report.too_long)
    if report.recent and report.recent.failing:
        yield _failing(report.recent.failing, seconds=report.recent.seconds)
    for incident in report.recent.incidents if report.recent else ():
        is_told = incident.kind == "second-monitor" and report.monitor is not None
        if incident.kind not in JUDGED_HERE and not is_told:
            yield problem_of(incident.kind, incident.subject, tasks=incident.tasks)


def problem_of(kind: str, subject: str, *, tasks: int) -> Problem:
    """Return the problem that an incident is as long as it lasts."""
    sentence = sentence_of(kind, subject, tasks=tasks)
    subject = sentence.subject if sentence.about else ""
    return Problem(Level.WARNING, printable(str(sentence)), sentence.about, subject)


def _too_long(runs: tuple[LongRun, ...]) -> Problem:
    """Return the problem that is the longest run, and how many others there are."""
    run, others = runs[0], len(runs) - 1
    name = run.task.name or UNKNOWN
    where = f" on {printable(run.task.worker)}" if run.task.worker else ""
    usual = "" if run.longest is None else f", where 99 % take {duration(run.longest)} at most"
    more = (
        f", and {others:,} more {'runs' if others == 1 else 'run'} far too long" if others else ""
    )
    return Problem(
        Level.WARNING,
        f"{printable(name)} has been running for {duration(run.seconds)}{where}{usual}{more}",
        "name",
        name,
    )


def _failing(shares: tuple[FailureShare, ...], *, seconds: float) -> Problem:
    """Return the problem that is the worst share, and how many other names have such."""
    worst, others = shares[0], len(shares) - 1
    what = printable(worst.name) if worst.name else "all tasks"
    names = "name" if others == 1 else "names"
    more = f", and too many of {others:,} other {names}" if others else ""
    return Problem(
        Level.WARNING,
        f"{100 * worst.failed / worst.ended:.0f} % of {what} failed in the last "
        f"{seconds / 60:.0f} minutes ({worst.failed:,} of {worst.ended:,}){more}",
        "name" if worst.name else "",
        worst.name,
    )


def _waiting(queue: QueueDepth) -> str:
    waiting = f"{number(queue.ready)} waiting"
    if queue.oldest_seconds is None:
        return waiting
    return f"{waiting}, the oldest for {duration(queue.oldest_seconds)}"
