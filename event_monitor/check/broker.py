"""Broker: whether it can be reached, carries events, and who sends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..events import OWN_EVENT, CustomEvent
from ..probes.inspect import replies_of
from ..receiver.transports import carries_events
from ..settings import Settings
from .finding import Finding
from .listener import Listener
from .workers import evidence_of, judge_workers

__all__ = ["examine_broker"]

_CONNECT_SECONDS = 5.0
_ECHO_SECONDS = 5.0
_RESEND_SECONDS = 0.5  # Redis forgets what is published before a subscription has arrived
_REPLY_SECONDS = 2.0
_SETTLE_SECONDS = 1.0  # a worker may hold its task events back a little longer than a heartbeat

_TESTED = frozenset({"amqp", "redis"})  # kombu's driver types


def examine_broker(app: Any, settings: Settings, *, listen_seconds: float) -> Iterator[Finding]:
    """Findings on transport, broker, event exchange and workers."""
    transport = judge_transport(app)
    yield transport
    if transport.status == "failed":
        yield Finding("workers", "skipped", "without events there is nothing to hear of them")
        return
    broker = _reach(app)
    yield broker
    if broker.status == "failed":
        yield Finding("events", "skipped", "the broker has to be reached first")
        return
    yield _judge_format(app)
    with Listener(app) as listener:
        started_at = time.time()
        yield _echo(app, listener)
        try:
            replies, woken = _ask(app, enable_events=settings.enable_events)
        except ConnectionError as error:
            yield Finding("workers", "failed", _text(error))
            return
        time.sleep(max(0.0, started_at + listen_seconds - time.time()))
        until = time.time()
        if replies:
            time.sleep(_SETTLE_SECONDS)
        workers = evidence_of(replies, listener.heard(), until=until)
    yield from judge_workers(workers, woken=woken, listened_seconds=until - started_at)


def _ask(app: Any, *, enable_events: bool) -> tuple[dict[str, Any], frozenset[str] | None]:
    """Each worker's configuration, and who had task events turned on by this; None if not asked."""
    commands = ("conf", "enable_events") if enable_events else ("conf",)
    every = {"conf": {"with_defaults": True}}
    configured: dict[str, Any] = {}
    woken: set[str] = set()
    for one in replies_of(app, commands, timeout=_REPLY_SECONDS, arguments=every):
        if one.command == "conf":
            configured[one.hostname] = one.body
        elif isinstance(one.body, Mapping) and one.body.get("ok") == "task events enabled":
            woken.add(one.hostname)
    return configured, frozenset(woken) if enable_events else None


def judge_transport(app: Any) -> Finding:
    """Whether Celery's events exist at all on this kind of broker. Connects to nothing."""
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
            "transport", "warning", "memory:// lives inside one process; no worker can be heard"
        )
    if driver not in _TESTED:
        return Finding(
            "transport", "warning", f"{driver} is not a transport this monitor is tested on"
        )
    return Finding("transport", "ok", f"{driver} carries events")


def _reach(app: Any) -> Finding:
    """Connect, within a time limit of our own: not every transport keeps to its time-out."""
    connection = app.connection_for_read().clone(connect_timeout=_CONNECT_SECONDS)
    outcome: list[Exception | None] = []

    def connect() -> None:
        try:
            connection.connect()
            connection.release()
        except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
            outcome.append(error)
        else:
            outcome.append(None)

    begun = time.monotonic()
    thread = threading.Thread(target=connect, name="check-connect", daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS + 1.0)
    uri = connection.as_uri()
    if not connection.password and not connection.userid:
        uri = uri.replace("//:**@", "//")  # kombu masks what is not there
    if outcome and outcome[0] is None:
        milliseconds = (time.monotonic() - begun) * 1_000
        return Finding("broker", "ok", f"{uri} answers ({milliseconds:.0f} ms)")
    reason = f"no answer within {_CONNECT_SECONDS:.0f} s"
    if outcome and outcome[0] is not None:
        reason = _text(outcome[0])
        if connection.password:
            reason = reason.replace(str(connection.password), "**")
    return Finding(
        "broker",
        "failed",
        f"{uri} cannot be used: {reason}",
        "Is the URL right, is the server up, may this machine connect to that port?",
    )


def _judge_format(app: Any) -> Finding:
    serializer = app.conf.event_serializer
    if serializer == "json":
        return Finding("event format", "ok", "event_serializer is json")
    return Finding(
        "event format",
        "failed",
        f"event_serializer is {serializer!r}; the monitor reads json and nothing else",
        "Remove event_serializer from the app's configuration: json is the default.",
    )


def _echo(app: Any, listener: Listener) -> Finding:
    """Send an event through the exchange and see it come back."""
    if not listener.wait(_ECHO_SECONDS):
        return Finding(
            "events",
            "failed",
            f"could not subscribe to {app.conf.event_exchange!r} within {_ECHO_SECONDS:.0f} s",
            "May this user declare queues and bind them to that exchange?",
        )
    deadline = time.monotonic() + _ECHO_SECONDS
    with app.connection_for_write().clone(connect_timeout=_CONNECT_SECONDS) as connection:
        try:
            with app.events.Dispatcher(connection) as dispatcher:
                while time.monotonic() < deadline:
                    sent_at = time.monotonic()
                    dispatcher.send(OWN_EVENT)
                    while time.monotonic() < sent_at + _RESEND_SECONDS:
                        if _came_back(listener):
                            took = (time.monotonic() - sent_at) * 1_000
                            return Finding(
                                "events", "ok", f"an event of our own came back ({took:.0f} ms)"
                            )
                        time.sleep(0.005)
        except (*connection.connection_errors, *connection.channel_errors, OSError) as error:
            return Finding(
                "events",
                "failed",
                f"could not send an event: {_text(error)}",
                "May this user publish to the exchange "
                f"{app.conf.event_exchange!r}? Workers have to.",
            )
    return Finding(
        "events",
        "failed",
        f"an event of our own did not come back within {_ECHO_SECONDS:.0f} s",
        "Do read and write URL of the broker, or its replicas, differ?",
    )


def _came_back(listener: Listener) -> bool:
    return any(
        isinstance(one.event, CustomEvent) and one.event.type == OWN_EVENT
        for one in listener.heard()
    )


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
