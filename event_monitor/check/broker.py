"""Broker: whether it can be reached, whether it carries events, and which workers send them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from ..broker.capabilities import carries_events
from ..broker.connections import shown
from ..broker.protocols import CeleryApp, Connection
from ..broker.refusals import remedy_for
from ..clock import SYSTEM_CLOCK, Clock
from ..over_sqs.configuration import event_queue_of
from ..settings import Settings
from ..text import one_line
from .advice import Known, advise
from .answers import ask_workers, of_service
from .configuration import Configuration, app_configuration
from .echo import examine_echo, examine_subscription
from .elsewhere import find_workers_elsewhere
from .evidence import WorkerEvidence, evidence_of
from .finding import Finding
from .held import HeldTask, by_its_own_clock
from .listener import Listener
from .queues import examine_queues
from .rights import needs_of
from .server import rabbitmq_alarms, redis_memory
from .workers import judge_workers

__all__ = ["examine_broker", "judge_transport", "reach"]

_CONNECT_SECONDS = 5.0
_SETTLE_SECONDS = 1.0  # a worker may hold its task events back a little longer than a heartbeat

_TESTED = frozenset({"amqp", "redis"})  # kombu's driver types

_NEEDS = "Celery's monitoring needs Redis or RabbitMQ as the broker."
_OVER_SQS = (
    "Let workers send them over a queue of their own, in the app:\n"
    "from event_monitor import send_events_over_sqs\n"
    "send_events_over_sqs(app)"
)
_REMEDY = "Is the URL right, is the server up, may this machine connect to that port?"


def examine_broker(
    app: CeleryApp,
    settings: Settings,
    *,
    listen_seconds: float,
    has_configuration: bool = True,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Finding]:
    """Yield findings on transport, broker, event exchange, workers and queues, then advice.

    ``has_configuration``: whether the app has the settings of those who use it.
    """
    queue = event_queue_of(app)
    if queue is not None:
        from .over_sqs import examine_over_sqs  # botocore is slow to import

        yield from examine_over_sqs(
            app, settings, queue, listen_seconds=listen_seconds, clock=clock
        )
        return
    transport = judge_transport(app)
    yield transport
    if transport.status == "failed":
        yield Finding("workers", "skipped", "without events nothing is known of them")
        return
    source = app.connection_for_read()
    broker = reach(source, clock=clock)
    yield broker
    if broker.status == "failed":
        yield Finding("events", "skipped", "the broker has to be reached first")
        return
    yield _judge_format(app)
    needs = needs_of(app, source)
    unreceived = examine_subscription(app, needs, clock=clock)
    if unreceived is not None:
        yield unreceived
        yield Finding("workers", "skipped", "without events nothing is known of them")
        return
    with Listener(app, clock=clock) as listener:
        started_at = clock.wall()
        yield examine_echo(app, listener, needs, clock=clock)
        answers = ask_workers(app, needs, enable_events=settings.enable_events, clock=clock)
        if answers.problem is not None:
            yield answers.problem
        clock.sleep(max(0.0, started_at + listen_seconds - clock.wall()))
        until = clock.wall()
        if answers.configurations:
            clock.sleep(_SETTLE_SECONDS)
        received = listener.received()
        workers = evidence_of(
            answers.configurations, received, until=until, replies=answers.replies
        )
    listened_seconds = until - started_at
    everybody = len(workers)
    if settings.only and everybody:
        workers, answers = of_service(workers, answers, settings.only)
        yield _judge_service(len(workers), everybody=everybody)
    if not everybody:
        yield _judge_absence(app, settings, listened_seconds=listened_seconds, clock=clock)
    yield from judge_workers(
        workers,
        turned_on=answers.turned_on,
        listened_seconds=listened_seconds,
        exchange=app.conf.event_exchange,
        asked=answers.problem is None,
        judged_by_answers=settings.probe_workers,
    )
    yield from examine_queues(app, settings, needs, consumed=answers.queues, clock=clock)
    yield from advise(
        Known(
            driver=str(source.transport.driver_type),
            app=app_configuration(app) if has_configuration else Configuration(),
            configurations=answers.settings,
            workers=answers.of_one_process,
            tasks=_by_their_own_clocks(answers.tasks, workers),
            versions={worker.hostname: worker.version for worker in workers},
            memory=redis_memory(source),
            alarms=rabbitmq_alarms(source, settings),
            sent_came=any(each.event.type == "task-sent" for each in received),
        )
    )


def _by_their_own_clocks(
    tasks: Sequence[HeldTask], workers: Sequence[WorkerEvidence]
) -> list[HeldTask]:
    skews = {worker.hostname: worker.skew_seconds for worker in workers}
    return [by_its_own_clock(task, skews.get(task.worker)) for task in tasks]


def _judge_service(number: int, *, everybody: int) -> Finding:
    """Return how many workers belong to the service that the settings are limited to."""
    if number:
        return Finding("service", "ok", f"workers that belong to it: {number} of {everybody}")
    return Finding(
        "service",
        "failed",
        f"workers that belong to it: none of {everybody}",
        "Do only_workers match their names, and only_queues queues that they read? A worker that "
        "cannot be asked tells no queue.",
    )


def _judge_absence(
    app: CeleryApp, settings: Settings, *, listened_seconds: float, clock: Clock
) -> Finding:
    """Return that there is no worker where this app looks, and where there are some."""
    silence = f"none answers, and no event of one came in {listened_seconds:.0f} s"
    places = find_workers_elsewhere(app, settings, clock=clock)
    if places:
        where = ", and ".join(place.where for place in places)
        return Finding(
            "workers",
            "failed",
            f"{silence}; on this server there are workers {where}",
            "\n".join(f"To watch them, give {place.remedy}." for place in places),
        )
    connection = app.connection_for_read()
    own = f"the exchange {app.conf.event_exchange!r}"
    if connection.transport.driver_type == "amqp":
        own = f"vhost {connection.virtual_host or '/'!r} and {own}"
        hint = "" if settings.management_url else "\nWith --management-url check finds others."
        remedy = f"Start one, or compare the workers' broker URL: this is {own}.{hint}"
    elif connection.transport.driver_type == "redis":
        prefix = connection.transport_options.get("global_keyprefix", "")
        own = f"database {connection.virtual_host or 0}, key prefix {prefix!r} and {own}"
        remedy = f"Start one, or compare the workers' settings: this is {own}."
    else:
        remedy = "Start one, or check that this is the broker the workers use."
    return Finding("workers", "failed", silence, remedy)


def judge_transport(app: CeleryApp) -> Finding:
    """Return whether Celery's events exist at all on this transport. Connects to nothing."""
    connection = app.connection_for_read()
    driver = str(connection.transport.driver_type)
    if not carries_events(connection):
        return Finding(
            "transport",
            "failed",
            f"{driver} carries no Celery events, so nothing can be counted",
            _OVER_SQS if driver == "sqs" else _NEEDS,
        )
    if driver == "memory":
        return Finding(
            "transport", "warning", "memory:// lives inside one process; no worker can use it"
        )
    if driver not in _TESTED:
        return Finding(
            "transport", "warning", f"{driver} is not a transport this monitor is tested on"
        )
    return Finding("transport", "ok", f"{driver} carries events")


def reach(source: Connection, *, clock: Clock) -> Finding:
    """Connect, within a time limit of our own: not every transport keeps to its time-out."""
    connection = source.clone(connect_timeout=_CONNECT_SECONDS)
    outcome: list[Exception | None] = []  # None: it worked

    def connect() -> None:
        try:
            connection.connect()
            connection.release()
        except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
            outcome.append(error)
        else:
            outcome.append(None)

    began_at = clock.monotonic()
    thread = threading.Thread(target=connect, name="check-connect", daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS + 1.0)
    uri = shown(connection)
    error = outcome[0] if outcome else TimeoutError(f"no answer within {_CONNECT_SECONDS:.0f} s")
    if error is None:
        milliseconds = (clock.monotonic() - began_at) * 1_000
        return Finding("broker", "ok", f"{uri} answers ({milliseconds:.0f} ms)")
    reason = _masked(error, connection.password)
    remedy = remedy_for(reason) or _REMEDY
    return Finding("broker", "failed", f"{uri} cannot be used: {reason}", remedy)


def _masked(error: BaseException, password: str | None) -> str:
    """Return the error as one line without the password, which is masked before the line is cut."""
    text = str(error)
    if password:
        text = text.replace(str(password), "**")
    return one_line(text) if text.strip() else type(error).__name__


def _judge_format(app: CeleryApp) -> Finding:
    serializer = app.conf.event_serializer
    if serializer == "json":
        return Finding("event format", "ok", "event_serializer is json")
    return Finding(
        "event format",
        "failed",
        f"event_serializer is {serializer!r}; the monitor reads json and nothing else",
        "Remove event_serializer from the app's configuration: json is the default.",
    )
