"""Echo: whether this user can subscribe to events, and an event of our own comes back."""

from __future__ import annotations

from ..broker.protocols import CeleryApp, Connection, Dispatcher, Errors
from ..clock import SYSTEM_CLOCK, Clock
from ..events import OWN_EVENT, CustomEvent
from ..text import one_line
from .finding import Finding
from .listener import Listener, subscription_error
from .rights import Needs, missing_right

__all__ = ["examine_echo", "examine_subscription"]

_CONNECT_SECONDS = 5.0
_ECHO_SECONDS = 5.0
_RESEND_SECONDS = 0.5  # Redis forgets what is published before a subscription has arrived
_POLL_SECONDS = 0.005


def examine_subscription(
    app: CeleryApp, needs: Needs, *, clock: Clock = SYSTEM_CLOCK
) -> Finding | None:
    """Subscribe as the monitor does; return why that fails, None if it does not."""
    error = subscription_error(app, clock=clock)
    if error is None:
        return None
    right = missing_right(error, needs.events)
    return Finding(
        "events",
        "failed",
        f"cannot be received: {right or one_line(error)}",
        f"The monitor reads the exchange {app.conf.event_exchange!r}; without it nothing is "
        "counted.",
    )


def examine_echo(
    app: CeleryApp, listener: Listener, needs: Needs, *, clock: Clock = SYSTEM_CLOCK
) -> Finding:
    """Send an event of our own through the exchange, and wait until it is received."""
    if not listener.wait(_ECHO_SECONDS):
        return Finding(
            "events",
            "failed",
            f"could not subscribe to {app.conf.event_exchange!r} within {_ECHO_SECONDS:.0f} s",
            "May this user declare queues and bind them to that exchange?",
        )
    with _writing(app) as connection:
        lost: Errors = (*connection.connection_errors, *connection.channel_errors, OSError)
        try:
            # Else a dispatcher keeps what is refused, and says nothing.
            with app.events.Dispatcher(connection, buffer_while_offline=False) as dispatcher:
                seconds = _seconds_to_return(dispatcher, listener, clock=clock)
        except lost as error:
            return _judge_refusal(app, error, needs)
    if seconds is None:
        return Finding(
            "events",
            "failed",
            f"an event of our own did not come back within {_ECHO_SECONDS:.0f} s",
            "Do read and write URL of the broker, or its replicas, differ?",
        )
    milliseconds = seconds * 1_000
    return Finding("events", "ok", f"an event of our own came back ({milliseconds:.0f} ms)")


def _writing(app: CeleryApp) -> Connection:
    """Return a connection on which a refusal is an error: RabbitMQ confirms what it took."""
    connection = app.connection_for_write()
    options = dict(connection.transport_options)
    if connection.transport.driver_type == "amqp":
        options["confirm_publish"] = True
    return connection.clone(connect_timeout=_CONNECT_SECONDS, transport_options=options)


def _judge_refusal(app: CeleryApp, error: BaseException, needs: Needs) -> Finding:
    right = missing_right(error, needs.events)
    if right is None:
        return Finding(
            "events",
            "failed",
            f"could not send an event: {one_line(error)}",
            f"May this user publish to the exchange {app.conf.event_exchange!r}? Workers have to.",
        )
    return Finding(
        "events",
        "warning",
        f"may be received, but not sent: {right}",
        "Counting needs no more. Missing then: this proof, and the stand-by of durable_queue.",
    )


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
