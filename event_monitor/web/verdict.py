"""Verdict: how the cluster is, by the rules of ``event-monitor status``, from a snapshot."""

from __future__ import annotations

from ..settings import Settings
from ..snapshot import BrokerLink, Snapshot
from ..status.report import Report, Verdict, judge
from ..survey import WorkerAnswer

__all__ = ["verdict_of"]

_LINKS = {
    BrokerLink.CONNECTING: "the monitor has not reached the broker yet",
    BrokerLink.STANDBY: "another monitor reads the durable queue",
    BrokerLink.AWAY: "the broker is away",
}


def verdict_of(snapshot: Snapshot | None, settings: Settings) -> Verdict:
    """Return the verdict. Before the first shot, and while no events come, it is unknown."""
    if snapshot is None:
        return judge(Report(at=0.0, unknown=("no shot was taken yet",)), settings, min_workers=0)
    away = _LINKS.get(snapshot.link)
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
    )
    return judge(report, settings, min_workers=1)
