"""Echo: whether this user can subscribe to events, and an event of our own comes back."""

from __future__ import annotations

from collections.abc import Callable

from ..broker.own_events import BlockedError, is_own_event, own_events
from ..broker.protocols import CeleryApp, Errors
from ..clock import SYSTEM_CLOCK, Clock
from ..text import one_line
from .finding import Finding
from .listener import Listener, subscription_error
from .rights import Needs, missing_right

__all__ = ["examine_echo", "examine_subscription"]

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
    if isinstance(error, BlockedError):
        return Finding(
            "events",
            "failed",
            "the broker takes messages from nobody, so that neither events nor answers can come",
            "Give the node memory or disk space, or drain its queues.",
        )
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
    source = app.connection_for_write()
    lost: Errors = (*source.connection_errors, *source.channel_errors, OSError)
    try:
        with own_events(app, seconds=2 * _ECHO_SECONDS) as send:
            seconds = _seconds_to_return(send, listener, clock=clock)
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


def _seconds_to_return(
    send: Callable[[], None], listener: Listener, *, clock: Clock
) -> float | None:
    """Send our own event, again and again, until one is received; None if none ever is."""
    deadline = clock.monotonic() + _ECHO_SECONDS
    while clock.monotonic() < deadline:
        sent_at = clock.monotonic()
        send()
        while clock.monotonic() < sent_at + _RESEND_SECONDS:
            if any(is_own_event(received.event) for received in listener.received()):
                return clock.monotonic() - sent_at
            clock.sleep(_POLL_SECONDS)
    return None
