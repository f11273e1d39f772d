"""Listener: receives a few seconds of events through the monitor's own receiver, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..events import Event
from ..receiver import Receiver
from ..receiver.transports import subscription_to
from ..snapshot import AckToken

__all__ = ["Listener", "ReceivedEvent", "subscription_error"]

_MOST_EVENTS = 200_000  # a few seconds of a busy cluster; later events are not needed


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event, and the wall-clock second in which it came."""

    event: Event
    received_at: float


class Listener:
    """``with Listener(app) as listener``: subscribes, and receives until the block ends.

    Asks every worker for a heartbeat when it has subscribed. ``received`` is thread-safe.
    """

    def __init__(self, app: CeleryApp, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._received: list[ReceivedEvent] = []
        self._subscribed = threading.Event()
        self._receiver = Receiver(app.connection_for_read(), app=app)
        self._receiver.on_events = self._on_events
        self._receiver.on_connection = self._on_connection
        # A daemon: a broker that hangs must not keep the command from ending.
        self._thread = threading.Thread(
            target=self._receiver.capture, name="check-listener", daemon=True
        )

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._receiver.stop()
        self._thread.join(timeout=2.0)

    def wait(self, seconds: float) -> bool:
        """Wait until subscribed; return False when it takes longer than that."""
        return self._subscribed.wait(seconds)

    def received(self) -> tuple[ReceivedEvent, ...]:
        """Return everything received so far, in the order it came."""
        return tuple(self._received)

    def _on_events(self, events: Sequence[Event], _token: AckToken | None) -> None:
        now = self._clock.wall()
        if len(self._received) < _MOST_EVENTS:
            self._received.extend(ReceivedEvent(event, now) for event in events)

    def _on_connection(self, connected: bool) -> None:
        if connected:
            self._subscribed.set()


def subscription_error(app: CeleryApp, *, clock: Clock = SYSTEM_CLOCK) -> BaseException | None:
    """Subscribe once as the receiver does; return why that fails, None if it does not.

    The receiver itself only logs it, and tries again for ever.
    """
    receiver = Receiver(app.connection_for_read(), app=app)
    subscription = subscription_to(
        receiver.connection, queue=receiver.queue, on_invalid=lambda _error: None, clock=clock
    )
    try:
        subscription.open()
    except subscription.gone as error:
        return error
    finally:
        subscription.close()
    return None
