"""AMQP: a queue of our own on RabbitMQ, read from the socket in bulk.

Connecting, declaring and consuming are kombu's and py-amqp's. From then on the socket is ours:
py-amqp reads it in three portions a message, which costs more than everything that is done with
the message afterwards. What it has no limit of time for is cut off by a watchdog.
"""

from __future__ import annotations

import time
from contextlib import suppress
from copy import copy
from typing import Any

from celery import uuid
from kombu.exceptions import OperationalError

from ..broker.connections import connect, cut_unless_done
from ..snapshot import AckToken
from .amqp_frames import Delivery, Frames, refusal_of
from .subscription import CONNECT_SECONDS, SILENT_SECONDS, OnInvalid, Reading

__all__ = ["AmqpSubscription"]

_HEARTBEAT_SECONDS = SILENT_SECONDS / 2  # RabbitMQ sends one when it has been silent for half
_READ_BYTES = 1 << 18
_MOST_WAITING = 1_000_000  # messages; a bound for a queue that nobody reads while it still exists
_CHANNEL_CLOSE = (20, 40)


class AmqpSubscription:
    """A queue that lives as long as its connection, read without acknowledgement."""

    no_ack = True

    def __init__(self, connection: Any, *, queue: Any, on_invalid: OnInvalid) -> None:
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
        self._frames = Frames()
        self._bodies: list[bytes] = []
        self._channel: Any = None
        self._amqp: Any = None  # py-amqp's connection; kombu's would connect again if asked for it
        self._socket: Any = None
        self._heard_at = self._sent_at = 0.0

    def open(self) -> None:
        """Connect, declare the queue, bind it, consume."""
        connect(self.connection)
        with cut_unless_done(self.connection, CONNECT_SECONDS):
            self._consume(self.connection.default_channel)
        self._amqp = self.connection.connection
        transport = self._amqp.transport
        self._socket = transport.sock
        self._heard_at = self._sent_at = time.monotonic()
        self._take(transport._read_buffer)  # noqa: SLF001  what it has read too much
        transport._read_buffer = b""  # noqa: SLF001

    def read(self, timeout_seconds: float) -> Reading:
        """All messages that are there; none after ``timeout_seconds`` of silence."""
        if self._frames.ended is not None:
            raise self._frames.ended
        self._beat()
        self._socket.settimeout(timeout_seconds)
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            data = None
        if data is not None:
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._heard_at = time.monotonic()
            self._take(data)
        elif time.monotonic() - self._heard_at >= SILENT_SECONDS:
            raise ConnectionResetError(f"nothing heard for {SILENT_SECONDS:g} s")
        bodies, self._bodies = self._bodies, []
        return Reading(bodies, self._receipt())

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Nothing to do: the broker has forgotten them already."""

    def close(self) -> None:
        """Close the connection without a farewell, which would wait for an answer."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if self.connection.connected:
                self.connection.connection.collect()
            self.connection.release()

    def _queue_like(self, queue: Any) -> Any:
        """Celery's queue under a new name (the broker may still hold the last one).

        Without its message TTL of five seconds: when we are slow, events wait.
        """
        own = copy(queue)
        own.name = f"{queue.name.rpartition('.')[0]}.{uuid()}"
        own.message_ttl = None
        own.max_length = _MOST_WAITING
        return own

    def _consume(self, channel: Any) -> None:
        """Declare, bind, consume."""
        self._channel = channel
        if not self._queue.no_declare:
            self._queue(channel).declare()
        channel.basic_consume(
            self._queue.name,
            no_ack=self.no_ack,
            callback=lambda _message: None,  # what py-amqp reads from here on is nobody's
        )

    def _take(self, data: bytes) -> None:
        for delivery in self._frames.feed(data):
            self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        _, _, properties, body = delivery
        refusal = refusal_of(properties)
        if refusal is None:
            self._bodies.append(body)
        else:
            self._on_invalid(refusal)

    def _receipt(self) -> AckToken | None:
        return None

    def _beat(self) -> None:
        """Tell the server that we are there; it hangs up on a consumer it has not heard."""
        now = time.monotonic()
        if now - self._sent_at >= _HEARTBEAT_SECONDS / 2:
            self._sent_at = now
            self._socket.settimeout(CONNECT_SECONDS)
            self._amqp.send_heartbeat()

    def _leave_channel(self) -> None:
        """Close the channel; the server's answer says that it has read all before."""
        self._channel.send_method(_CHANNEL_CLOSE, "BsBB", (0, "", 0, 0))
        until = time.monotonic() + CONNECT_SECONDS
        self._socket.settimeout(CONNECT_SECONDS)
        while not (self._frames.closed or self._frames.ended) and time.monotonic() < until:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                return
            self._frames.feed(data)  # deliveries that nobody has counted come again
