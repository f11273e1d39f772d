"""Kombu: a queue of our own on the event exchange, read through kombu: for all other brokers.

Redis and RabbitMQ have subscriptions of their own, ten times as fast.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import Protocol

from celery import uuid
from kombu import Consumer, Queue
from kombu.exceptions import OperationalError

from ..broker.connections import connect, without_decompression
from ..broker.protocols import Channel, Connection
from ..errors import InvalidEvent
from ..snapshot import AckToken
from .subscription import CONNECT_SECONDS, OnBroker, OnInvalid, Reading

__all__ = ["QueueSubscription"]

_MOST_BROKEN_READS = 100  # in a row, before the connection itself is taken for broken
_JSON = ("application/json", None, "")  # virtual transports may leave the content type out


class _ReceivedMessage(Protocol):
    """A message of ``without_decompression``'s class."""

    compressed: bool
    content_type: str | None
    body: bytes | str | None


class QueueSubscription(OnBroker):
    """A queue that lives as long as its connection, read without acknowledgement."""

    queue_length: int | None = None  # it is told on RabbitMQ only
    is_full = False

    def __init__(self, connection: Connection, *, queue: Queue, on_invalid: OnInvalid) -> None:
        self.connection = connection.clone(connect_timeout=CONNECT_SECONDS)
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

    def open(self) -> None:
        """Connect, declare the queue, bind it, consume."""
        connect(self.connection)
        channel: Channel = self.connection.default_channel
        channel.Message = without_decompression(channel.Message)
        Consumer(
            channel,
            queues=[self._queue],
            on_message=self._on_message,
            on_decode_error=lambda _message, error: self._refuse("encoding", repr(error)),
            no_ack=True,
        ).consume()

    def read(self, timeout_seconds: float) -> Reading:
        """Return the messages of one read by kombu."""
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
        return Reading(self._bodies)

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Do nothing: the broker has forgotten the messages already."""

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            self.connection.release()

    def _queue_like(self, queue: Queue) -> Queue:
        """Return Celery's queue under a new name (the broker may still hold the last one).

        Without its message TTL of five seconds: when we are slow, events wait.
        """
        own = copy(queue)
        own.name = f"{queue.name.rpartition('.')[0]}.{uuid()}"
        own.message_ttl = None
        return own

    def _on_message(self, message: _ReceivedMessage) -> None:
        if message.compressed:
            self._refuse("compressed message")  # Celery never sends one; it may be a bomb
        elif message.content_type not in _JSON:
            self._refuse("content type", repr(message.content_type)[:80])
        else:
            self._bodies.append(_as_bytes(message.body))

    def _refuse(self, kind: str, detail: str = "") -> None:
        self._on_invalid(InvalidEvent(kind, detail))


def _as_bytes(body: bytes | str | None) -> bytes:
    """Return the body as it was sent: some transports have decoded what is marked as text."""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")
