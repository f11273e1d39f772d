"""Own events: what this monitor sends to itself through the event exchange, and nobody counts.

By one that comes back ``check`` proves that events arrive, a receiver that its subscription still
works, and a stand-by that the durable queue is its own now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager

from ..events import OWN_EVENT, CustomEvent, Event
from .connections import connect, socket_deadline
from .protocols import CeleryApp

__all__ = ["BlockedError", "is_own_event", "own_events", "send_own_event", "was_blocked"]

_SECONDS = 5.0  # to connect, and for each answer of Redis


class BlockedError(ConnectionError):
    """The broker takes messages from nobody: RabbitMQ's alarm for disk or memory is on."""


def is_own_event(event: Event) -> bool:
    """Return whether a monitor sent it to itself."""
    return isinstance(event, CustomEvent) and event.type == OWN_EVENT


@contextmanager
def own_events(app: CeleryApp, *, seconds: float = _SECONDS) -> Iterator[Callable[[], None]]:
    """Yield what sends one event of our own, to where the app publishes; raises if it cannot.

    On RabbitMQ the server confirms each, so that what it refuses is an error, and what it does not
    take from anybody a ``BlockedError``. On a connection of its own, for so many seconds: py-amqp
    waits for each answer without limit.
    """
    source = app.connection_for_write()
    options = dict(source.transport_options)
    reasons: list[str] = []  # why the broker blocks us
    driver = source.get_transport_cls().driver_type
    if driver == "amqp":
        options |= {"confirm_publish": True, "on_blocked": reasons.append}
    elif driver == "redis":
        options |= {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    try:
        with (
            source.clone(connect_timeout=_SECONDS, transport_options=options) as connection,
            socket_deadline(connection, seconds),
        ):
            connect(connection)
            # Else a dispatcher keeps what is refused, and says nothing.
            with app.events.Dispatcher(connection, buffer_while_offline=False) as dispatcher:
                yield lambda: dispatcher.send(OWN_EVENT)
            connection.release()  # within the deadline: it sends a close, and awaits the answer
    except OSError as error:
        if reasons:
            raise BlockedError(reasons[0]) from error
        raise


def send_own_event(app: CeleryApp) -> Future[None]:
    """Send an event of our own in a daemon thread; done when the broker has it, or cannot have it.

    The future has no result but the exception.
    """
    sent: Future[None] = Future()

    def send() -> None:
        try:
            with own_events(app) as send_one:
                send_one()
        except Exception as error:  # noqa: BLE001  whatever it is, it is for who asked to judge
            sent.set_exception(error)
        else:
            sent.set_result(None)

    try:
        threading.Thread(target=send, name="own-event", daemon=True).start()
    except RuntimeError as error:  # the system has no more threads now
        sent.set_exception(error)
    return sent


def was_blocked(sent: Future[None]) -> bool:
    """Return whether the broker takes messages from nobody, by an event that was to be sent.

    Waits until that is known, for twice as long as it may take at most.
    """
    wait([sent], timeout=2 * _SECONDS)
    return sent.done() and isinstance(sent.exception(), BlockedError)
