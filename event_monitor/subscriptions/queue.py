"""Queue: a queue of our own on the event exchange, through kombu; RabbitMQ, and all the others.

On RabbitMQ heartbeats are negotiated and pumped on our own clock: kombu sends them only while the
stream is idle, and a server that hears none hangs up.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from functools import lru_cache
from typing import Any

from celery import uuid
from kombu import Consumer
from kombu.exceptions import OperationalError

from ..errors import InvalidEvent
from ..snapshot import Receipt
from . import CONNECT_SECONDS, SILENT_SECONDS, OnInvalid, Reading

__all__ = ["QueueSubscription", "body_of"]

_HEARTBEAT_SECONDS = SILENT_SECONDS / 2  # two missed ones mean that the broker is gone
_TICK_SECONDS = 1.0
_MOST_BROKEN_READS = 100  # in a row, before the connection itself is taken for broken
_MOST_WAITING = 1_000_000  # messages; a bound for a queue that nobody reads while it still exists
_JSON = ("application/json", None, "")  # virtual transports may leave the content type out


class QueueSubscription:
    """A queue that lives as long as its connection, read without acknowledgement."""

    no_ack = True

    def __init__(self, connection: Any, *, queue: Any, on_invalid: OnInvalid) -> None:
        self._is_amqp = connection.transport.driver_type == "amqp"
        self.connection = connection.clone(
            connect_timeout=CONNECT_SECONDS, heartbeat=_HEARTBEAT_SECONDS if self._is_amqp else 0
        )
        self.gone = (
            *self.connection.connection_errors,
            *self.connection.channel_errors,
            OperationalError,
            OSError,
        )
        self._queue = self._queue_like(queue)
        self._on_invalid = on_invalid
        self._bodies: list[bytes] = []
        self._broken_reads = 0
        self._ticked_at = 0.0
        self._channel: Any = None

    def open(self) -> None:
        """Connect, declare the queue, bind it, consume."""
        self.connection.connect()
        with self._cut_unless_done():
            self._channel = channel = self.connection.default_channel
            channel.Message = _unread(channel.Message)
            self._prepare(channel)
            Consumer(
                channel,
                queues=[self._queue],
                on_message=self._on_message,
                on_decode_error=lambda _message, error: self._refuse("encoding", repr(error)),
                no_ack=self.no_ack,
            ).consume()

    def read(self, timeout_seconds: float) -> Reading:
        """The messages of one read."""
        self._bodies = []
        try:
            self.connection.drain_events(timeout=timeout_seconds)
            self._broken_reads = 0
        except TimeoutError:
            pass
        except self.gone:
            raise
        except Exception as error:
            self._broken_reads += 1
            self._refuse("broken message", repr(error))
            if self._broken_reads >= _MOST_BROKEN_READS:
                raise OperationalError(f"nothing but broken messages: {error!r}") from error
        self._tick()
        return Reading(self._bodies, self._receipt())

    def acknowledge(self, receipt: Receipt) -> None:
        """Nothing to do: the broker has forgotten them already."""

    def close(self) -> None:
        """Close the connection; on AMQP without the farewell, which waits for an answer."""
        try:
            if self._is_amqp and self.connection.connected:
                self.connection.connection.collect()
            self.connection.release()
        except self.gone:
            pass

    def _queue_like(self, queue: Any) -> Any:
        """Celery's queue under a new name (the broker may still hold the last one).

        Without its message TTL of five seconds: when we are slow, events wait.
        """
        own = copy(queue)
        own.name = f"{queue.name.rpartition('.')[0]}.{uuid()}"
        own.message_ttl = None
        if self._is_amqp:
            own.max_length = _MOST_WAITING
        return own

    @contextmanager
    def _cut_unless_done(self) -> Iterator[None]:
        """Shut the socket down after a while: py-amqp waits for each answer without a limit."""

        def cut() -> None:
            with suppress(AttributeError, OSError):
                self.connection.connection.sock.shutdown(socket.SHUT_RDWR)

        watchdog = threading.Timer(CONNECT_SECONDS, cut)
        watchdog.daemon = True
        if self._is_amqp:
            watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _prepare(self, channel: Any) -> None:
        """What is to be done before consuming; nothing here."""

    def _receipt(self) -> Receipt | None:
        return None

    def _tick(self) -> None:
        now = time.monotonic()
        if self._is_amqp and now - self._ticked_at >= _TICK_SECONDS:
            self._ticked_at = now
            self.connection.heartbeat_check()

    def _on_message(self, message: Any) -> None:
        if message.compressed:
            self._refuse("compressed message")  # Celery never sends one; it may be a bomb
        elif message.content_type not in _JSON:
            self._refuse("content type", repr(message.content_type)[:80])
        else:
            self._bodies.append(body_of(message))

    def _refuse(self, kind: str, detail: str = "") -> None:
        self._on_invalid(InvalidEvent(kind, detail))


def body_of(message: Any) -> bytes:
    """The body as it was sent; py-amqp decodes what says that it is text."""
    body = message.body
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")


@lru_cache
def _unread(message_class: type) -> type:
    """A transport's message class that leaves a compressed body as it is.

    Kombu's decompresses in its constructor, before anybody can refuse: 1 MB may become gigabytes.
    """

    class UnreadMessage(message_class):  # type: ignore[misc]  # a class known at run time
        compressed = False

        def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
            of_amqp = hasattr(payload, "properties")
            holder = payload.properties if of_amqp else payload
            key = "application_headers" if of_amqp else "headers"
            headers = holder.get(key)
            if isinstance(headers, dict) and headers.get("compression"):
                self.compressed = True
                holder[key] = {k: v for k, v in headers.items() if k != "compression"}
            super().__init__(payload, channel=channel, **options)

    return UnreadMessage
