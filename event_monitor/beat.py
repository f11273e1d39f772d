"""Beat: beat's own sign of life, and gauges from a periodic task where no monitor can be run.

    from event_monitor.beat import beat_schedule

    app.conf.imports = (*app.conf.imports, "event_monitor.beat")
    app.conf.beat_schedule = {**app.conf.beat_schedule, **beat_schedule(seconds=60)}

In Django's settings.py, ``"event_monitor.beat"`` is one of ``CELERY_IMPORTS``. Once it is imported,
Celery's beat leaves a sign of life for ``event-monitor healthcheck --beat``.

The task is the usual recipe (Celery beat, ``inspect``, CloudWatch) without its faults: nothing is
published that a task cannot know; the catalog's ``from_survey`` marks what it can. Counts and times
of tasks come from events only, so they need the monitor. So does the death of all workers: with
them dies what would report it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from celery import shared_task
from celery.signals import beat_init

from .broker.protocols import CeleryApp
from .catalog import CATALOG
from .clock import SYSTEM_CLOCK, Clock
from .errors import SettingsError
from .liveness import Liveness, address_of, beat_identity
from .metrics import Metric, metrics_from
from .probes.join import join_survey
from .settings import Settings, conf_of
from .sinks.registry import make_sink
from .snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from .status.ask import take_report
from .survey import Survey

__all__ = ["TASK_NAME", "beat_schedule", "gauges_from", "leave_signs", "publish_gauges"]

log = logging.getLogger(__name__)

TASK_NAME = "event_monitor.beat.publish_gauges"

_UNKNOWN_TO_A_TASK = tuple(metric.name for metric in CATALOG if not metric.from_survey)


_SHORTEST_SECONDS = 1.0  # between two signs of life: where much is due, beat looks all the time


class _Scheduler(Protocol):
    """``celery.beat.Scheduler``."""

    tick: Callable[[], float | None]  # sends what is due; returns how many seconds to sleep


class _BeatService(Protocol):
    """``celery.beat.Service``: the loop that calls ``tick`` and sleeps."""

    app: CeleryApp
    scheduler: _Scheduler


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


def leave_signs(sender: _BeatService, *, clock: Clock = SYSTEM_CLOCK, **_signal: object) -> None:
    """Let beat leave a sign of life each time that it has sent what is due, before it sleeps.

    Its own loop leaves it, so that a beat that hangs leaves none. Settings that are wrong cost the
    sign, and a WARNING, never the beat.
    """
    try:
        settings = Settings.load(conf=conf_of(sender.app))
    except SettingsError as error:
        log.warning("no sign of life for `healthcheck --beat`: %s", error)
        return
    broker = address_of(sender.app.connection_for_read())
    liveness = Liveness(
        settings.state_dir, sign="beat", identity=beat_identity(broker), clock=clock
    )
    tick, told_at = sender.scheduler.tick, clock.monotonic()

    def tick_and_tell() -> float | None:
        nonlocal told_at
        seconds = tick()
        now = clock.monotonic()
        if (seconds or 0.0) >= _SHORTEST_SECONDS or now - told_at >= _SHORTEST_SECONDS:
            told_at = now
            liveness.beat(interval_seconds=seconds or 0.0)
        return seconds

    sender.scheduler.tick = tick_and_tell
    liveness.beat(interval_seconds=0.0)


beat_init.connect(leave_signs)


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
    online = {**dict.fromkeys([own] if own and settings.only.has_node(own) else []), **answers}
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
