"""Redis: the event channel read from the socket in bulk.

Kombu's own way costs ten times as much, reads for as long as messages come, and waits for ever on
a half-open connection. Here the socket is ours: a server that is quiet is sent a PING, and is gone
if it does not answer. Connecting (TLS, passwords, unix sockets) is kombu's and redis-py's; the
protocol is parsed by hiredis; only the envelope is read here.
"""

from __future__ import annotations

import binascii
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Protocol, cast

import hiredis
import msgspec
from redis.exceptions import RedisError

from ..broker.connections import connect
from ..broker.protocols import Connection, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent
from ..snapshot import AckToken
from .subscription import CONNECT_SECONDS, QUIET_SECONDS, SILENT_SECONDS, OnInvalid, Reading

__all__ = ["RedisSubscription", "body_of"]

_READ_BYTES = 1 << 16
_PORTION_BYTES = 1 << 14  # hiredis moves what is left in its buffer after every reply
_MESSAGE = b"pmessage"
_JSON = ("application/json", None)


class _NoCompression(msgspec.Struct, gc=False):
    compression: None = None


class _Base64(msgspec.Struct, gc=False):
    body_encoding: Literal["base64"]


class _Usual(msgspec.Struct, gc=False, rename={"content_type": "content-type"}):
    """The envelope of nearly every event; msgspec decodes the base64 itself."""

    body: bytes
    properties: _Base64
    headers: _NoCompression | None = None
    content_type: Literal["application/json"] | None = None


class _Headers(msgspec.Struct, gc=False):
    compression: msgspec.Raw = msgspec.Raw(b"null")


class _Properties(msgspec.Struct, gc=False):
    body_encoding: str | None = None


class _Envelope(msgspec.Struct, gc=False, rename={"content_type": "content-type"}):
    """Any envelope of kombu's virtual transports: the parts that are examined here."""

    body: str
    properties: _Properties
    headers: _Headers | None = None
    content_type: str | None = None


# Both take whatever hiredis returns, and raise one of these for what they cannot decode.
_decode_usual = cast("Callable[[object], _Usual]", msgspec.json.Decoder(_Usual).decode)
_decode = cast("Callable[[object], _Envelope]", msgspec.json.Decoder(_Envelope).decode)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)


class _RedisConnection(Protocol):
    """``redis.Connection``: one connection of redis-py's, outside its pool."""

    _sock: socket.socket

    def connect(self) -> object: ...
    def disconnect(self) -> object: ...
    def send_command(self, *command: str, check_health: bool = True) -> object: ...


class _Reader(Protocol):
    """``hiredis.Reader``, whose own types know of no bytearray."""

    def feed(self, data: bytearray, start: int, length: int) -> object: ...
    def gets(self) -> object: ...


class RedisSubscription:
    """A pattern subscription to the fanout channel of the event exchange."""

    # Set by `open`.
    _socket: socket.socket
    _reader: _Reader

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
        self._monotonic = clock.monotonic  # bound once: it is called for every read
        self._redis: _RedisConnection | None = None
        self._buffer = bytearray(_READ_BYTES)
        self._received_at = self._pinged_at = 0.0

    def open(self) -> None:
        """Connect and subscribe; return when the server has confirmed it."""
        connect(self.connection)
        channel: RedisChannel = self.connection.default_channel
        topic = channel.global_keyprefix + channel._get_publish_topic(self._exchange, "*")  # noqa: SLF001
        subscriber: _RedisConnection = channel.pool.make_connection()
        self._redis = subscriber
        subscriber.connect()
        subscriber.send_command("PSUBSCRIBE", topic)
        self._socket = subscriber._sock  # noqa: SLF001  redis-py has no other way to it
        self._socket.settimeout(CONNECT_SECONDS)
        self._reader = cast("_Reader", hiredis.Reader())
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._buffer, 0, self._receive())
        if isinstance(reply, Exception):
            raise reply
        self._received_at = self._monotonic()

    def read(self, timeout_seconds: float) -> Reading:
        """Return all messages that have arrived; none after ``timeout_seconds`` of silence."""
        self._socket.settimeout(timeout_seconds)
        try:
            received = self._receive()
        except TimeoutError:
            self._examine_silence()
            return Reading()
        self._received_at = self._monotonic()
        reader = self._reader
        bodies: list[bytes] = []
        for start in range(0, received, _PORTION_BYTES):
            reader.feed(self._buffer, start, min(_PORTION_BYTES, received - start))
            while (reply := reader.gets()) is not False:
                if isinstance(reply, list) and reply[0] == _MESSAGE:
                    try:
                        bodies.append(body_of(reply[3]))
                    except InvalidEvent as error:
                        self._on_invalid(error)
        return Reading(bodies)

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Do nothing: Redis keeps no messages."""

    def close(self) -> None:
        """Close both connections."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if self._redis is not None:
                self._redis.disconnect()
            self.connection.release()

    def _receive(self) -> int:
        """Fill the buffer; return how many bytes came."""
        received = self._socket.recv_into(self._buffer)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        return received

    def _examine_silence(self) -> None:
        """Send a quiet server a PING; raise if one has not answered for too long."""
        now = self._monotonic()
        silent_seconds = now - self._received_at
        if silent_seconds >= SILENT_SECONDS:
            raise ConnectionResetError(f"no answer for {silent_seconds:.0f} s")
        quiet_seconds = now - max(self._received_at, self._pinged_at)
        if quiet_seconds >= QUIET_SECONDS and self._redis is not None:
            self._pinged_at = now
            self._redis.send_command("PING", check_health=False)


def body_of(envelope: object) -> bytes:
    """Return the event's body from kombu's envelope; decompress nothing.

    Raises ``InvalidEvent`` for whatever is not the envelope of a JSON event.
    """
    try:
        return _decode_usual(envelope).body
    except _UNREADABLE:
        return _unusual_body_of(envelope)


def _unusual_body_of(data: object) -> bytes:
    try:
        envelope = _decode(data)
    except _UNREADABLE as error:
        raise InvalidEvent("broken message", str(error)) from error
    if envelope.headers is not None and bytes(envelope.headers.compression) != b"null":
        raise InvalidEvent("compressed message")
    if envelope.content_type not in _JSON:
        raise InvalidEvent("content type", repr(envelope.content_type)[:80])
    if envelope.properties.body_encoding != "base64":
        return envelope.body.encode("utf-8", "surrogatepass")
    try:
        return binascii.a2b_base64(envelope.body)
    except (binascii.Error, ValueError) as error:
        raise InvalidEvent("broken message", str(error)) from error
