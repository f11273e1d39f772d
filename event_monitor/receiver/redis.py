"""Redis: the event channel read from the socket in bulk.

Kombu's own way costs ten times as much, reads for as long as messages come, and waits for ever on
a half-open connection. Here the socket is ours: a server that is quiet is sent a PING, and is gone
if it does not answer. Connecting (TLS, passwords, unix sockets) is kombu's and redis-py's.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Protocol

import hiredis
from redis.exceptions import RedisError

from ..broker.connections import connect
from ..broker.protocols import Connection, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import AckToken
from .bulk import BulkReader
from .redis_messages import Messages
from .subscription import (
    CONNECT_SECONDS,
    QUIET_SECONDS,
    SILENT_SECONDS,
    OnBroker,
    OnInvalid,
    Reading,
)

__all__ = ["RedisSubscription"]

_ANSWER_SECONDS = SILENT_SECONDS - QUIET_SECONDS


class _RedisConnection(Protocol):
    """``redis.Connection``: one connection of redis-py's, outside its pool."""

    _sock: socket.socket

    def connect(self) -> object: ...
    def disconnect(self) -> object: ...
    def send_command(self, *command: str, check_health: bool = True) -> object: ...


class RedisSubscription(OnBroker):
    """A pattern subscription to the fanout channel of the event exchange."""

    queue_length: int | None = None  # Redis keeps nothing for us
    is_full = False

    # Set by `open`.
    _reader: BulkReader
    _messages: Messages

    def __init__(
        self,
        connection: Connection,
        *,
        exchange: str,
        on_invalid: OnInvalid,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        options = {
            **connection.transport_options,
            "socket_timeout": CONNECT_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
        }
        self.connection = connection.clone(
            transport_options=options, connect_timeout=CONNECT_SECONDS
        )
        self.gone = (*self.connection.connection_errors, RedisError, hiredis.HiredisError, OSError)
        self._exchange = exchange
        self._on_invalid = on_invalid
        self._clock = clock
        self._redis: _RedisConnection | None = None
        self._received_at = self._pinged_at = 0.0
        self._asked_at: float | None = None  # when the first PING without an answer was sent

    def open(self) -> None:
        """Connect and subscribe; return when the server has confirmed it."""
        connect(self.connection)
        channel: RedisChannel = self.connection.default_channel
        topic = channel.global_keyprefix + channel._get_publish_topic(self._exchange, "*")  # noqa: SLF001
        subscriber: _RedisConnection = channel.pool.make_connection()
        self._redis = subscriber
        subscriber.connect()
        subscriber.send_command("PSUBSCRIBE", topic)
        reader = BulkReader(subscriber._sock, clock=self._clock)  # noqa: SLF001  the only way to it
        self._reader = reader
        self._messages = Messages(topic.encode(), on_invalid=self._on_invalid)
        while not self._messages.are_promised(reader.buffer, reader.read(CONNECT_SECONDS)):
            pass
        self._received_at, self._asked_at = self._clock.monotonic(), None

    def read(self, timeout_seconds: float) -> Reading:
        """Return all messages that have arrived; none after ``timeout_seconds`` of silence."""
        try:
            received = self._reader.read(timeout_seconds)
        except TimeoutError:
            self._examine_silence()
            return Reading()
        self._received_at, self._asked_at = self._clock.monotonic(), None
        return Reading(self._messages.feed(self._reader.buffer, received))

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Do nothing: Redis keeps no messages."""

    def close(self) -> None:
        """Close both connections."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if self._redis is not None:
                self._redis.disconnect()
            self.connection.release()

    def _examine_silence(self) -> None:
        """Send a quiet server a PING; raise if one has not answered for too long.

        Silence alone proves nothing: we may have been stopped, and asked nothing meanwhile.
        """
        now = self._clock.monotonic()
        if self._asked_at is not None and now - self._asked_at >= _ANSWER_SECONDS:
            raise ConnectionResetError(f"no answer for {now - self._received_at:.0f} s")
        quiet_seconds = now - max(self._received_at, self._pinged_at)
        if quiet_seconds >= QUIET_SECONDS and self._redis is not None:
            self._pinged_at = now
            self._asked_at = now if self._asked_at is None else self._asked_at
            with self._reader.writing(CONNECT_SECONDS):
                self._redis.send_command("PING", check_health=False)
