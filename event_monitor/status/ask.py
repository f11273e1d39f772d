"""Ask: asks workers and broker once, for a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..broker.management import why_unusable
from ..broker.own_events import send_own_event, was_blocked
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..liveness import Identity, address_of
from ..over_sqs.configuration import event_queue_of
from ..probes.bound_queues import bound_queues
from ..probes.inspect import look_at_workers
from ..probes.join import with_consumers
from ..probes.queues import queue_names, queue_probe_to
from ..settings import Only, Settings
from ..snapshot import TaskInFlight
from ..survey import AbsentWorker, QueueDepth, WorkerAnswer
from .heard_workers import heard_workers
from .heartbeats import sends_heartbeats
from .monitor_health import monitors_of, sign_of_monitor
from .readable import BLOCKED, PICKLED, SILENT, why_nobody_answers
from .report import Report
from .too_long import find_too_long

__all__ = ["read_queues", "take_report", "with_known_consumers"]

_BEAT_SECONDS = 3.0  # one heartbeat of Celery's default, and time to subscribe
_QUIET_SECONDS = 1.0  # how long Celery's own `inspect` waits for workers that may still answer


def take_report(
    app: CeleryApp, settings: Settings, *, own: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> Report:
    """Ask once, within about twice ``probe_seconds``. Never raises for a broker that is away.

    ``own`` is the nodename of the worker that runs this, which may not be able to answer. Takes
    three seconds more where no worker answers, to find out whether there are any, two more where
    the broker takes no answers, and twice ``probe_seconds`` where the management API hangs. Over
    SQS nobody can be asked: what a monitor beside us hears of the workers counts.
    """
    unknown: list[str] = []
    workers, queues = None, None
    running: tuple[TaskInFlight, ...] = ()
    unreadable = (why_nobody_answers(app) or "") if settings.probe_workers else ""
    if settings.probe_workers and not unreadable:
        pickled: list[None] = []
        try:
            workers, running = look_at_workers(
                app,
                timeout=settings.probe_seconds,
                quiet_seconds=_QUIET_SECONDS,
                on_unreadable=lambda: pickled.append(None),
            )
        except ConnectionError as error:
            unknown.append(str(error))
        if pickled:  # partly known is unknown
            workers, running, unreadable = None, (), PICKLED
        elif workers == () and own is None:
            sent = send_own_event(app)  # while we listen
            if sends_heartbeats(app, seconds=_BEAT_SECONDS, clock=clock):
                workers, unreadable = None, SILENT
            elif was_blocked(sent):
                workers, unreadable = None, BLOCKED
    identity = Identity(
        broker=address_of(app.connection_for_read()),
        namespace=settings.namespace,
        dimensions=settings.dimensions,
    )
    if unreadable and own is None and event_queue_of(app) is not None:
        workers = heard_workers(settings.state_dir, identity, now=clock.wall())
        unreadable = unreadable if workers is None else ""
    management = ""
    if settings.probe_queues:
        if settings.management_url and own is None:
            management = why_unusable(
                app.connection_for_read(),
                settings.management_url,
                timeout_seconds=settings.probe_seconds,
            )
        if management:  # one sentence is enough
            settings = replace(settings, management_url="")
        # A worker asks again and again, so it looks for no queues that it does not know.
        look_further = own is None and not unknown
        try:
            queues = _look_at_queues(
                app, settings, workers, own=own, look_further=look_further, clock=clock
            )
        except ConnectionError as error:
            unknown.append(str(error))
    workers, running = _limited(settings.only, workers, running)
    now = clock.wall()
    return Report(
        at=now,
        workers=workers,
        running=running,
        too_long=find_too_long(running, settings, now=now),
        queues=queues,
        unknown=tuple(unknown),
        unreadable=unreadable,
        management=management,
        monitor=sign_of_monitor(monitors_of(settings.state_dir, identity), now=now),
    )


def _look_at_queues(
    app: CeleryApp,
    settings: Settings,
    workers: tuple[WorkerAnswer, ...] | None,
    *,
    own: str | None,
    look_further: bool,
    clock: Clock,
) -> tuple[QueueDepth, ...]:
    """Return the queues of app and workers; with ``look_further`` others in which messages wait."""
    answered = {worker.hostname for worker in workers or ()}
    absent = [AbsentWorker(own)] if own and own not in answered else []
    consumed = {name for worker in workers or () for name in worker.queues or ()}
    named = {*queue_names(app, settings), *consumed}
    others = bound_queues(app, settings, clock=clock) if look_further else ()
    names = tuple(sorted(filter(settings.only.has_queue, {*named, *others})))
    return tuple(
        with_known_consumers(depth, workers, absent)
        for depth in read_queues(app, settings, names)
        if depth.ready or depth.name in named
    )


def _limited(
    only: Only, workers: tuple[WorkerAnswer, ...] | None, running: tuple[TaskInFlight, ...]
) -> tuple[tuple[WorkerAnswer, ...] | None, tuple[TaskInFlight, ...]]:
    """Return the workers that belong to the service, and what runs of it.

    From which of its queues a worker got a task is not told.
    """
    if not only:
        return workers, running
    reads = {worker.hostname: worker.queues for worker in workers or ()}
    return (
        workers and tuple(w for w in workers if only.has_worker(w.hostname, w.queues)),
        tuple(
            task
            for task in running
            if only.has_task(task.name)
            and only.has_node(task.worker or "")
            and only.has_whence(task.queue or reads.get(task.worker or ""))
        ),
    )


def with_known_consumers(
    queue: QueueDepth, workers: Iterable[WorkerAnswer] | None, absent: Iterable[AbsentWorker]
) -> QueueDepth:
    """Return the depth with its consumers, which are unknown if only a silent worker may read it.

    Who that is nobody knows here, but messages that are with a worker prove that there is one.
    """
    joined = with_consumers(queue, workers, absent)
    if queue.consumers is None and joined.consumers == 0 and queue.unacked:
        return queue
    return joined


def read_queues(
    app: CeleryApp, settings: Settings, names: tuple[str, ...]
) -> tuple[QueueDepth, ...]:
    """Return how deep these queues are. Raises ``ConnectionError`` with a sentence."""
    probe = queue_probe_to(app, settings)
    try:
        return probe.read(names)
    except probe.gone as error:
        raise ConnectionError(str(error)) from error
    finally:
        probe.close()
