"""Own events: what this monitor sends to itself through the event exchange, and nobody counts.

By one that comes back ``check`` proves that events arrive, a receiver that its subscription still
works, and a stand-by that the durable queue is its own now. Monitors that would publish the same
tell each other by them where a window ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from kombu.utils.json import dumps

from ..clock import SYSTEM_CLOCK, Clock
from ..events import OWN_EVENT, CustomEvent, Event
from ..text import one_line
from .connections import connect, socket_deadline
from .protocols import CeleryApp, Connection, Dispatcher

__all__ = [
    "BlockedError",
    "OwnEventSender",
    "count_readers",
    "is_own_event",
    "own_events",
    "send_own_event",
    "was_blocked",
]

_BLOCKED_SECONDS = 5.0  # after which a broker that takes messages from nobody is tried again
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
    reasons: list[str] = []  # why the broker blocks us
    try:
        with (
            _connection_of(app, reasons, seconds=_SECONDS) as connection,
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


def count_readers(app: CeleryApp) -> int | None:
    """Return how many receive the events, by one of our own on Redis; None on other brokers.

    Raises whatever the driver does.
    """
    with _connection_of(app, [], seconds=_SECONDS) as connection:
        connect(connection, whole_seconds=_SECONDS)
        if connection.transport.driver_type != "redis":
            return None
        channel: Any = connection.channel()
        counts: list[int] = []

        def put(exchange: str, message: object, routing_key: str, **_: object) -> None:
            """Do what kombu's does, which drops Redis' answer: how many received it."""
            with channel.conn_or_acquire() as client:
                topic = channel._get_publish_topic(exchange, routing_key)  # noqa: SLF001
                counts.append(client.publish(topic, dumps(message)))

        channel._put_fanout = put  # noqa: SLF001  kombu has no public way
        made = app.events.Dispatcher(connection, channel=channel, buffer_while_offline=False)
        with made as dispatcher:
            dispatcher.send(OWN_EVENT)
        return sum(counts)


class OwnEventSender:
    """Sends events of our own, with fields, on one connection that is kept. Thread-safe.

    ``seconds`` is how long one may take, connecting not included.
    """

    def __init__(
        self, app: CeleryApp, *, seconds: float = 2.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: tuple[ExitStack, Connection, Dispatcher] | None = None
        self._reasons: list[str] = []  # why the broker blocks us
        self._blocked_until = 0.0

    def send(self, **fields: object) -> None:
        """Return when the broker has it; raise ``OSError`` if it cannot have it.

        Where it takes messages from nobody, that is found out now and then only.
        """
        with self._lock:
            if self._clock.monotonic() < self._blocked_until:
                raise BlockedError(self._reasons[0])
            self._reasons.clear()
            while True:
                was_open = self._opened is not None
                try:
                    _, connection, dispatcher = self._opened = self._opened or self._open()
                    with socket_deadline(connection, self._seconds):
                        dispatcher.send(OWN_EVENT, **fields)
                    return
                except Exception as error:  # drivers raise anything
                    self._close()
                    if self._reasons:
                        self._blocked_until = self._clock.monotonic() + _BLOCKED_SECONDS
                        raise BlockedError(self._reasons[0]) from error
                    if not was_open:
                        raise ConnectionError(one_line(error)) from error
                    # It was idle, and may have gone long ago: once more, on a new one.

    def close(self) -> None:
        """Close the connection. Never raises."""
        with self._lock:
            self._close()

    def _open(self) -> tuple[ExitStack, Connection, Dispatcher]:
        with ExitStack() as stack:
            connection = _connection_of(self._app, self._reasons, seconds=self._seconds)
            stack.callback(_hang_up, connection)
            connect(connection, whole_seconds=self._seconds)
            with socket_deadline(connection, self._seconds):
                made = self._app.events.Dispatcher(connection, buffer_while_offline=False)
                return stack.pop_all(), connection, made.__enter__()
        raise AssertionError("an ExitStack of ours swallows nothing")

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()


def _connection_of(app: CeleryApp, reasons: list[str], *, seconds: float) -> Connection:
    """Return a connection to where the app publishes, on which every refusal is an error."""
    source = app.connection_for_write()
    options = dict(source.transport_options)
    driver = source.get_transport_cls().driver_type
    if driver == "amqp":
        options |= {"confirm_publish": True, "on_blocked": reasons.append}
    elif driver == "redis":
        options |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    return source.clone(connect_timeout=seconds, transport_options=options)


def _hang_up(connection: Connection) -> None:
    """Close it without a handshake, which would wait for an answer."""
    with suppress(Exception):  # whatever it is, there is nothing left to close
        if connection.transport.driver_type == "amqp" and connection.connected:
            connection.connection.collect()
        connection.release()
