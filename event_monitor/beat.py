"""Beat: the gauges of workers and queues from a periodic task, where no monitor can be run.

    app.conf.imports = ("event_monitor.beat",)
    app.conf.beat_schedule = {**beat_schedule(seconds=60), ...}

This is the usual recipe (Celery beat, ``inspect``, CloudWatch) without its faults: nothing is
published that a task cannot know; the catalog's ``from_survey`` marks what it can. Counts and times
of tasks come from events only, so they need the monitor. So does the death of all workers: with
them dies what would report it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Protocol

from celery import shared_task

from .broker.protocols import CeleryApp
from .catalog import CATALOG
from .metrics import Metric, metrics_from
from .probes.join import join_survey
from .settings import Settings, conf_of
from .sinks.registry import make_sink
from .snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from .status.ask import take_report
from .survey import Survey

__all__ = ["TASK_NAME", "beat_schedule", "gauges_from", "publish_gauges"]

log = logging.getLogger(__name__)

TASK_NAME = "event_monitor.beat.publish_gauges"

_UNKNOWN_TO_A_TASK = tuple(metric.name for metric in CATALOG if not metric.from_survey)


class _Request(Protocol):
    """``celery.app.task.Context``: the message a worker runs the task for."""

    hostname: str | None  # the worker's nodename


class _BoundTask(Protocol):
    """``celery.Task``, as a task that is bound gets it."""

    app: CeleryApp
    request: _Request


def beat_schedule(
    *, seconds: float = 60.0, queue: str | None = None
) -> dict[str, dict[str, object]]:
    """Return an entry for ``app.conf.beat_schedule``: publish every so many seconds.

    Runs that found no worker in time expire. ``queue`` is where the task goes if not to the
    app's default; if that queue is backed up, the gauges come late or never.
    """
    options: dict[str, object] = {"expires": seconds}
    if queue is not None:
        options["queue"] = queue
    return {"event-monitor-gauges": {"task": TASK_NAME, "schedule": seconds, "options": options}}


def _publish_gauges(self: _BoundTask) -> int:
    """Ask workers and broker once, publish their answers, and return how many metrics were sent.

    Settings are those of the worker's environment and of ``app.conf.event_monitor``. The reply
    of the worker that runs this comes from its main process; a solo worker cannot answer then,
    so what it holds is unknown and left out. Takes about ``probe_seconds`` at most for each of
    the two. What cannot be sent is dropped with a WARNING: a late gauge is of no use.
    """
    settings = Settings.load(conf=conf_of(self.app))
    report = take_report(self.app, settings, own=self.request.hostname)
    for sentence in report.unknown:
        log.warning("%s", sentence)
    survey = Survey(queues=report.queues, workers=report.workers, failures=len(report.unknown))
    metrics = gauges_from(survey, settings, own=self.request.hostname, now=report.at)
    sink = make_sink(settings)
    try:
        outcome = sink.send(metrics)
    finally:
        sink.close()
    if outcome.error is not None:
        log.warning("gauges not published: %s", outcome.error)
    return len(metrics) - len(outcome.unsent) - outcome.dropped


#: A ``celery.Task``, which has no types: users call its ``delay`` and ``apply_async``.
publish_gauges: Any = shared_task(name=TASK_NAME, bind=True, ignore_result=True, acks_late=False)(
    _publish_gauges
)


def gauges_from(
    survey: Survey, settings: Settings, *, own: str | None, now: float
) -> tuple[Metric, ...]:
    """Return the metrics known from one survey, taken at ``now``, seconds since the epoch.

    ``own`` is the nodename of the worker that runs this: it is online even if it cannot answer,
    and counts once if it does. Pure.
    """
    answers = {answer.hostname: answer for answer in survey.workers or ()}
    online = {**dict.fromkeys([own] if own else []), **answers}
    workers = tuple(
        WorkerStatus(hostname, WorkerState.ONLINE, 0.0, active=answer.active if answer else None)
        for hostname, answer in online.items()
    )
    workers_answered = survey.workers is not None
    snapshot = Snapshot(
        Window(now, now),
        workers,
        link=BrokerLink.LISTENING if workers_answered else BrokerLink.CONNECTING,
    )
    chosen = replace(settings, without=(*settings.without, *_UNKNOWN_TO_A_TASK))
    return metrics_from(join_survey(snapshot, survey), chosen)
