"""Verdict: how the cluster is, by the rules of ``event-monitor status``, from a snapshot.

And what only who listens can know: workers that are silent, lost or do nothing, tasks that do
nothing but fail, schedules that stay away, metrics that cannot be sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..history import LongRun
from ..history.incidents import conditions
from ..quantities import duration
from ..settings import Settings
from ..snapshot import BrokerLink, Snapshot
from ..status.failing import FailureShare, period_seconds
from ..status.report import (
    JUDGED_HERE,
    RECENT_SECONDS,
    Level,
    Problem,
    Recent,
    Report,
    Verdict,
    judge,
    problem_of,
    worst_first,
)
from ..survey import WorkerAnswer
from ..text import printable

__all__ = ["verdict_of"]

_LINKS = {
    BrokerLink.CONNECTING: "the monitor has not reached the broker yet",
    BrokerLink.SUBSCRIBED: "nothing has come from the durable queue yet",
    BrokerLink.STANDBY: "another monitor reads the queue of events",
    BrokerLink.AWAY: "the broker is away",
}
_TOO_SOON = "the monitor has not read for long enough to know the workers"


def verdict_of(
    snapshot: Snapshot | None,
    settings: Settings,
    *,
    silent: Sequence[tuple[str, float]] = (),
    too_long: tuple[LongRun, ...] = (),
    failing: tuple[FailureShare, ...] = (),
) -> Verdict:
    """Return the verdict. Before the first shot, and while no events come, it is unknown.

    ``silent``: who will be lost at the next shot, as ``Live`` has it; the others are as in a
    ``Report``.
    """
    if snapshot is None:
        return judge(Report(at=0.0, unknown=("no shot was taken yet",)), settings, min_workers=0)
    away = _LINKS.get(snapshot.link)
    if not snapshot.has_heard_all and not snapshot.online:
        away = away or _TOO_SOON
    answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
    report = Report(
        at=snapshot.window.closed_at,
        # One that is busy and does not answer is there all the same: its heartbeats come.
        workers=None
        if away
        else tuple(
            answers.get(worker.hostname)
            or WorkerAnswer(hostname=worker.hostname, active=worker.active)
            for worker in snapshot.online
        ),
        queues=snapshot.survey.queues,
        unknown=(away,) if away else (),
        too_long=too_long,
        recent=Recent(seconds=period_seconds(settings), failing=failing),
    )
    verdict = judge(report, settings, min_workers=1)
    more = (*_silent(snapshot, silent), *_heard(snapshot, settings, away is not None))
    return replace(verdict, found=worst_first((*verdict.found, *more)))


def _silent(snapshot: Snapshot, silent: Sequence[tuple[str, float]]) -> Iterator[Problem]:
    """Yield who is not lost yet: that is told by the next shot."""
    online = {worker.hostname for worker in snapshot.online}
    for hostname, seconds in silent:
        if hostname in online:
            sentence = f"{printable(hostname)} is silent for {duration(seconds)}"
            yield Problem(Level.WARNING, sentence, "worker", hostname)


def _heard(snapshot: Snapshot, settings: Settings, is_away: bool) -> Iterator[Problem]:
    """Yield what no question to broker and workers would show."""
    silent = {
        worker.hostname
        for worker in snapshot.workers
        if is_away or worker.silent_seconds >= RECENT_SECONDS
    }
    for condition in conditions(snapshot, settings).values():
        if condition.kind in JUDGED_HERE or (
            condition.kind == "worker-lost" and condition.subject in silent
        ):
            continue
        yield problem_of(condition.kind, condition.subject, tasks=condition.tasks)
