"""Broker: whether it can be reached, whether it carries events, and which workers send them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..broker.capabilities import carries_events
from ..broker.protocols import CeleryApp, Connection, Dispatcher, Errors
from ..clock import SYSTEM_CLOCK, Clock
from ..events import OWN_EVENT, CustomEvent
from ..probes.inspect import replies_of
from ..settings import Settings
from ..text import one_line
from .finding import Finding
from .listener import Listener
from .workers import evidence_of, judge_workers

__all__ = ["examine_broker", "judge_transport"]

_CONNECT_SECONDS = 5.0
_ECHO_SECONDS = 5.0
_RESEND_SECONDS = 0.5  # Redis forgets what is published before a subscription has arrived
_POLL_SECONDS = 0.005
_REPLY_SECONDS = 2.0
_SETTLE_SECONDS = 1.0  # a worker may hold its task events back a little longer than a heartbeat

_TESTED = frozenset({"amqp", "redis"})  # kombu's driver types


def examine_broker(
    app: CeleryApp,
    settings: Settings,
    *,
    listen_seconds: float,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Finding]:
    """Yield findings on transport, broker, event exchange and workers."""
    transport = judge_transport(app)
    yield transport
    if transport.status == "failed":
        yield Finding("workers", "skipped", "without events nothing is known of them")
        return
    broker = _reach(app.connection_for_read(), clock=clock)
    yield broker
    if broker.status == "failed":
        yield Finding("events", "skipped", "the broker has to be reached first")
        return
    yield _judge_format(app)
    with Listener(app, clock=clock) as listener:
        started_at = clock.wall()
        yield _echo(app, listener, clock=clock)
        try:
            answers = _ask_workers(app, enable_events=settings.enable_events, clock=clock)
        except ConnectionError as error:
            yield Finding("workers", "failed", one_line(error))
            return
        clock.sleep(max(0.0, started_at + listen_seconds - clock.wall()))
        until = clock.wall()
        if answers.configurations:
            clock.sleep(_SETTLE_SECONDS)
        workers = evidence_of(answers.configurations, listener.received(), until=until)
    yield from judge_workers(
        workers, turned_on=answers.turned_on, listened_seconds=until - started_at
    )


def judge_transport(app: CeleryApp) -> Finding:
    """Return whether Celery's events exist at all on this transport. Connects to nothing."""
    connection = app.connection_for_read()
    driver = str(connection.transport.driver_type)
    if not carries_events(connection):
        return Finding(
            "transport",
            "failed",
            f"{driver} carries no Celery events, so nothing can be counted",
            "Celery's monitoring needs Redis or RabbitMQ as the broker.",
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


def _reach(source: Connection, *, clock: Clock) -> Finding:
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
    uri = connection.as_uri()
    if not connection.password and not connection.userid:
        uri = uri.replace("//:**@", "//")  # kombu masks a password that does not exist
    error = outcome[0] if outcome else TimeoutError(f"no answer within {_CONNECT_SECONDS:.0f} s")
    if error is None:
        milliseconds = (clock.monotonic() - began_at) * 1_000
        return Finding("broker", "ok", f"{uri} answers ({milliseconds:.0f} ms)")
    return Finding(
        "broker",
        "failed",
        f"{uri} cannot be used: {_masked(error, connection.password)}",
        "Is the URL right, is the server up, may this machine connect to that port?",
    )


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


def _echo(app: CeleryApp, listener: Listener, *, clock: Clock) -> Finding:
    """Send an event of our own through the exchange, and wait until it is received."""
    if not listener.wait(_ECHO_SECONDS):
        return Finding(
            "events",
            "failed",
            f"could not subscribe to {app.conf.event_exchange!r} within {_ECHO_SECONDS:.0f} s",
            "May this user declare queues and bind them to that exchange?",
        )
    with app.connection_for_write().clone(connect_timeout=_CONNECT_SECONDS) as connection:
        lost: Errors = (*connection.connection_errors, *connection.channel_errors, OSError)
        try:
            with app.events.Dispatcher(connection) as dispatcher:
                seconds = _seconds_to_return(dispatcher, listener, clock=clock)
        except lost as error:
            return Finding(
                "events",
                "failed",
                f"could not send an event: {one_line(error)}",
                "May this user publish to the exchange "
                f"{app.conf.event_exchange!r}? Workers have to.",
            )
    if seconds is None:
        return Finding(
            "events",
            "failed",
            f"an event of our own did not come back within {_ECHO_SECONDS:.0f} s",
            "Do read and write URL of the broker, or its replicas, differ?",
        )
    milliseconds = seconds * 1_000
    return Finding("events", "ok", f"an event of our own came back ({milliseconds:.0f} ms)")


def _seconds_to_return(dispatcher: Dispatcher, listener: Listener, *, clock: Clock) -> float | None:
    """Send our own event, again and again, until one is received; None if none ever is."""
    deadline = clock.monotonic() + _ECHO_SECONDS
    while clock.monotonic() < deadline:
        sent_at = clock.monotonic()
        dispatcher.send(OWN_EVENT)
        while clock.monotonic() < sent_at + _RESEND_SECONDS:
            if _has_own_event(listener):
                return clock.monotonic() - sent_at
            clock.sleep(_POLL_SECONDS)
    return None


def _has_own_event(listener: Listener) -> bool:
    return any(
        isinstance(received.event, CustomEvent) and received.event.type == OWN_EVENT
        for received in listener.received()
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the workers answered, by nodename."""

    configurations: Mapping[str, object]
    turned_on: frozenset[str] | None  # had task events turned on by us; None: not asked to


def _ask_workers(app: CeleryApp, *, enable_events: bool, clock: Clock) -> _Answers:
    """Ask the workers for their configuration and, if wanted, to send task events from now on."""
    commands = ("conf", "enable_events") if enable_events else ("conf",)
    arguments = {"conf": {"with_defaults": True}}
    configurations: dict[str, object] = {}
    turned_on: set[str] = set()
    for reply in replies_of(
        app, commands, timeout=_REPLY_SECONDS, arguments=arguments, clock=clock
    ):
        if reply.command == "conf":
            configurations[reply.hostname] = reply.body
        elif isinstance(reply.body, Mapping) and reply.body.get("ok") == "task events enabled":
            turned_on.add(reply.hostname)
    return _Answers(configurations, frozenset(turned_on) if enable_events else None)
