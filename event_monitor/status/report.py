"""Report: what was found out about workers and queues, and the verdict on it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..liveness import SignOfLife
from ..metrics.levels import Level, level_of
from ..settings import Settings
from ..snapshot import TaskInFlight
from ..survey import QueueDepth, WorkerAnswer
from ..text import printable
from .phrases import duration, number, workers_answer

__all__ = ["Level", "Report", "Verdict", "judge"]


_WORST_FIRST = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The cluster now. None is unknown; ``unknown`` has a sentence for each such thing.

    ``unreadable`` is why the workers cannot be known, however often one asks; else empty.
    ``running`` are the tasks that run; ``at`` is wall-clock seconds since the epoch. ``monitor`` is
    the sign of life of the monitor, if it runs on this machine.
    """

    at: float
    workers: tuple[WorkerAnswer, ...] | None = None
    running: tuple[TaskInFlight, ...] = ()
    queues: tuple[QueueDepth, ...] | None = None
    unknown: tuple[str, ...] = ()
    unreadable: str = ""
    monitor: SignOfLife | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The worst level, a sentence per problem, the worst first, and the level of each queue.

    ``queues`` is in the order of the report's. None is a queue without limits, or one of which
    too little is known.
    """

    level: Level
    problems: tuple[str, ...] = ()
    queues: tuple[Level | None, ...] = ()


def judge(report: Report, settings: Settings, *, min_workers: int) -> Verdict:
    """Return what is wrong: queues at their limits, too few workers, what is unknown."""
    queues = tuple(level_of(queue, settings) for queue in report.queues or ())
    problems = sorted(
        _problems(report, queues, min_workers=min_workers),
        key=lambda problem: _WORST_FIRST.index(problem[0]),
    )
    return Verdict(
        level=problems[0][0] if problems else Level.OK,
        problems=tuple(sentence for _, sentence in problems),
        queues=queues,
    )


def _problems(
    report: Report, levels: tuple[Level | None, ...], *, min_workers: int
) -> Iterator[tuple[Level, str]]:
    # Workers and queues are on one broker: what else is unknown is so for the same reason.
    for sentence in report.unknown[:1]:
        yield Level.UNKNOWN, sentence
    if report.unreadable:
        yield (
            Level.UNKNOWN,
            f"nothing is known of the workers: {report.unreadable}; "
            "--no-probe-workers leaves them out",
        )
    if report.workers is not None and len(report.workers) < min_workers:
        few = f"{workers_answer(report.workers)}, fewer than {min_workers}"
        yield Level.CRITICAL, few if report.workers else "no worker answers"
    for queue, level in zip(report.queues or (), levels, strict=True):
        if level:
            yield level, f"queue {printable(queue.name)}: {_waiting(queue)}"


def _waiting(queue: QueueDepth) -> str:
    waiting = f"{number(queue.ready)} waiting"
    if queue.oldest_seconds is None:
        return waiting
    return f"{waiting}, the oldest for {duration(queue.oldest_seconds)}"
