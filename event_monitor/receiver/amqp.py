"""AMQP: a queue of our own on RabbitMQ, read from the socket in bulk.

Connecting, declaring and consuming are kombu's and py-amqp's. From then on the socket is ours:
py-amqp reads it in three portions a message, which costs more than everything that is done with
the message afterwards. Where it would wait without limit, a watchdog shuts the socket down.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from copy import copy
from typing import Protocol

from amqp.exceptions import NotFound
from celery import uuid
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from ..broker.connections import connect, socket_deadline
from ..broker.protocols import Channel, Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import AckToken
from .amqp_frames import Delivery, Frames, refusal_of
from .bulk import BulkReader
from .subscription import CONNECT_SECONDS, SILENT_SECONDS, OnBroker, OnInvalid, Reading

__all__ = ["AmqpChannel", "AmqpSubscription"]

_HEARTBEAT_SECONDS = SILENT_SECONDS / 2  # RabbitMQ sends one when it has been silent for half
_MOST_WAITING = 1_000_000  # messages; a bound for a queue that nobody reads while it still exists
_CHANNEL_CLOSE = (20, 40)
_QUEUE_DECLARE = (50, 10)


class AmqpChannel(Channel, Protocol):
    """Kombu's channel on py-amqp, as far as its subscriptions use it."""

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> object:
        """Bound how many messages may be unacknowledged."""
        ...

    def basic_consume(
        self, queue: str, *, no_ack: bool, callback: Callable[[object], object]
    ) -> object:
        """Consume from the queue."""
        ...

    def basic_ack(self, delivery_tag: int, *, multiple: bool) -> object:
        """Acknowledge the message; with ``multiple`` all before it, too."""
        ...

    def send_method(
        self,
        sig: tuple[int, int],
        format: str,  # noqa: A002  py-amqp's own word
        args: tuple[object, ...],
    ) -> object:
        """Send a method frame, without waiting for an answer."""
        ...


class _PyAmqpTransport(Protocol):
    sock: socket.socket
    _read_buffer: bytes


class _PyAmqpConnection(Protocol):
    transport: _PyAmqpTransport

    def send_heartbeat(self) -> object: ...


def _declare_exchange(exchange: Exchange) -> None:
    """Make the exchange if it is not there: to ask for it needs no right, to declare it does."""
    try:
        exchange.declare(passive=True)
    except NotFound:  # the server has closed the channel, and py-amqp has opened it again
        exchange.declare()


class AmqpSubscription(OnBroker):
    """A queue that lives as long as its connection, read without acknowledgement."""

    no_ack = True
    prefetch = 0  # messages that may be unacknowledged; 0 is without limit

    # Set by `open`.
    _channel: AmqpChannel
    _amqp: _PyAmqpConnection  # py-amqp's; to ask kombu's for it may connect again
    _reader: BulkReader

    def __init__(
        self,
        connection: Connection,
        *,
        queue: Queue,
        on_invalid: OnInvalid,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.connection = connection.clone(
            connect_timeout=CONNECT_SECONDS, heartbeat=_HEARTBEAT_SECONDS
        )
        self.gone = (
            *self.connection.connection_errors,
            *self.connection.channel_errors,
            OperationalError,
            OSError,
        )
        self._queue = self._queue_like(queue)
        self._on_invalid = on_invalid
        self._clock = clock
        self._frames = Frames()
        self._bodies: list[bytes] = []
        self._received_at = self._sent_at = 0.0

    @property
    def is_full(self) -> bool:
        """Return False: nothing has to be acknowledged."""
        return False

    def open(self) -> None:
        """Connect, declare the queue, bind it, consume."""
        connect(self.connection)
        with socket_deadline(self.connection, CONNECT_SECONDS):
            self._consume(self.connection.default_channel)
        self._amqp = self.connection.connection
        transport = self._amqp.transport
        self._reader = BulkReader(transport.sock, clock=self._clock)
        self._received_at = self._sent_at = self._clock.monotonic()
        self._take(transport._read_buffer)  # noqa: SLF001  what it has read beyond its own needs
        transport._read_buffer = b""  # noqa: SLF001

    @property
    def queue_length(self) -> int | None:
        """Return the messages that wait in the queue, as of some seconds ago."""
        return self._frames.queue_length

    def read(self, timeout_seconds: float) -> Reading:
        """Return all messages that have arrived; none after ``timeout_seconds`` of silence."""
        if self._bodies:  # they came while we connected: reading on may fail
            return self._handed_over()
        if self._frames.ended is not None:
            raise self._frames.ended
        self._speak_when_due()
        try:
            data = self._receive(timeout_seconds)
        except TimeoutError:
            if self._clock.monotonic() - self._received_at >= SILENT_SECONDS:
                raise ConnectionResetError(f"nothing received for {SILENT_SECONDS:g} s") from None
        else:
            self._received_at = self._clock.monotonic()
            self._take(data)
        return self._handed_over()

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Do nothing: the broker has forgotten the messages already."""

    def close(self) -> None:
        """Close the socket without AMQP's closing handshake, which would wait for an answer."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if self.connection.connected:
                self.connection.connection.collect()
            self.connection.release()

    def _queue_like(self, queue: Queue) -> Queue:
        """Return Celery's queue under a new name (the broker may still hold the last one).

        Without its message TTL of five seconds: when we are slow, events wait.
        """
        own = copy(queue)
        own.name = f"{queue.name.rpartition('.')[0]}.{uuid()}"
        own.message_ttl = None
        own.max_length = _MOST_WAITING
        return own

    def _consume(self, channel: AmqpChannel) -> None:
        """Declare, bind, consume."""
        self._channel = channel
        if not self._queue.no_declare:
            queue = self._queue(channel)
            _declare_exchange(queue.exchange)
            queue.queue_declare()
            queue.queue_bind()
        # Not before: where the exchange was missing, the channel has been opened anew.
        channel.basic_qos(0, self.prefetch, False)
        channel.basic_consume(
            self._queue.name,
            no_ack=self.no_ack,
            callback=lambda _message: None,  # `_take` reads the messages, py-amqp none
        )

    def _receive(self, timeout_seconds: float) -> memoryview:
        return memoryview(self._reader.buffer)[: self._reader.read(timeout_seconds)]

    def _take(self, data: bytes | memoryview) -> None:
        for delivery in self._frames.feed(data):
            self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        _, _, properties, body = delivery
        refusal = refusal_of(properties)
        if refusal is None:
            self._bodies.append(body)
        else:
            self._on_invalid(refusal)

    def _handed_over(self) -> Reading:
        bodies, self._bodies = self._bodies, []
        return Reading(bodies, self._ack_token())

    def _ack_token(self) -> AckToken | None:
        return None

    def _speak_when_due(self) -> None:
        """Send a heartbeat, without which the server closes the connection, and a question.

        How long the queue is may be asked on its own connection only, where it is exclusive; the
        answer comes among the deliveries. The question declares nothing: it is passive.
        """
        now = self._clock.monotonic()
        if now - self._sent_at < _HEARTBEAT_SECONDS / 2:
            return
        self._sent_at = now
        with self._writing():
            self._amqp.send_heartbeat()
            is_passive = True
            self._channel.send_method(
                _QUEUE_DECLARE,
                "BsbbbbbF",
                (0, self._queue.name, is_passive, False, False, False, False, {}),
            )

    def _writing(self) -> AbstractContextManager[None]:
        return self._reader.writing(CONNECT_SECONDS)

    def _close_channel(self) -> None:
        """Close the channel; the server's answer proves that it has read all we sent before."""
        with self._writing():
            self._channel.send_method(_CHANNEL_CLOSE, "BsBB", (0, "", 0, 0))
        deadline = self._clock.monotonic() + CONNECT_SECONDS
        while (
            not (self._frames.closed or self._frames.ended) and self._clock.monotonic() < deadline
        ):
            try:
                data = self._receive(CONNECT_SECONDS)
            except ConnectionResetError:
                return
            self._frames.feed(data)  # dropped: deliveries that nobody has counted come again
