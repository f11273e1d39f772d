"""Beat: the gauges of workers and queues from a periodic task, where no monitor can be run.

    app.conf.imports = ("event_monitor.beat",)
    app.conf.beat_schedule = {**beat_schedule(seconds=60), ...}

This is the usual recipe (Celery beat, ``inspect``, CloudWatch) without its faults: nothing is
published that a task cannot know. Counts and times of tasks come from events only, so they need
the monitor. So does the death of all workers: with them dies what would report it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from celery import shared_task

from .catalog import CATALOG
from .metrics import Metric, metrics_from
from .settings import Settings, conf_of
from .sinks.registry import make_sink
from .snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from .status.ask import take_report
from .survey import Survey

__all__ = ["TASK_NAME", "beat_schedule", "gauges_from", "publish_gauges"]

log = logging.getLogger(__name__)

TASK_NAME = "event_monitor.beat.publish_gauges"

_BY_EVENTS_ONLY = frozenset({"WorkersOffline", "WorkersStalled", "LoadAverage"})
_GAUGES = {
    one.name for one in CATALOG if one.kind == "gauge" and one.group in ("workers", "queues")
}
_PUBLISHED = (_GAUGES - _BY_EVENTS_ONLY) | {"ProbeFailures"}


def beat_schedule(*, seconds: float = 60.0, queue: str | None = None) -> dict[str, Any]:
    """An entry for ``app.conf.beat_schedule``: publish every so many seconds.

    Runs that found no worker in time expire. ``queue`` is where the task goes if not to the
    app's default; on one that is backed up, what is published says so late or never.
    """
    options: dict[str, Any] = {"expires": seconds}
    if queue is not None:
        options["queue"] = queue
    return {"event-monitor-gauges": {"task": TASK_NAME, "schedule": seconds, "options": options}}


def _publish_gauges(self: Any) -> int:
    """Ask workers and broker once and publish what they say; returns how many metrics were sent.

    Settings are those of the worker's environment and of ``app.conf.event_monitor``. The reply
    of the worker that runs this comes from its main process; a solo worker cannot answer then,
    so what it holds is unknown and left out. Takes about ``probe_seconds`` at most for each of
    the two. What cannot be sent is dropped with a WARNING: a late gauge is of no use.
    """
    settings = Settings.load(conf=conf_of(self.app))
    report = take_report(self.app, settings)
    for sentence in report.unknown:
        log.warning("%s", sentence)
    survey = Survey(queues=report.queues, workers=report.workers, failures=len(report.unknown))
    metrics = gauges_from(survey, settings, own=self.request.hostname, now=time.time())
    sink = make_sink(settings)
    try:
        outcome = sink.send(metrics)
    finally:
        sink.close()
    if outcome.error is not None:
        log.warning("gauges not published: %s", outcome.error)
    return len(metrics) - len(outcome.unsent) - outcome.dropped


publish_gauges: Any = shared_task(name=TASK_NAME, bind=True, ignore_result=True, acks_late=False)(
    _publish_gauges
)


def gauges_from(
    survey: Survey, settings: Settings, *, own: str | None, now: float
) -> tuple[Metric, ...]:
    """The metrics that can be told from one survey, taken at ``now``, seconds since the epoch.

    ``own`` is the nodename of the worker that runs this: it is online even if it cannot answer,
    and counts once if it does. Pure.
    """
    answers = {one.hostname: one for one in survey.workers or ()}
    online = {**dict.fromkeys([own] if own else []), **answers}
    workers = tuple(
        WorkerStatus(hostname, WorkerState.ONLINE, 0.0, active=answer.active if answer else None)
        for hostname, answer in online.items()
    )
    nobody_counted = survey.workers is None
    snapshot = Snapshot(
        Window(now, now),
        workers,
        link=BrokerLink.CONNECTING if nobody_counted else BrokerLink.LISTENING,
    )
    without = tuple(one.name for one in CATALOG if one.name not in _PUBLISHED)
    chosen = replace(settings, without=(*settings.without, *without))
    return metrics_from(snapshot.with_survey(survey), chosen)
