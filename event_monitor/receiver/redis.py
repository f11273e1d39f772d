"""Redis: the event channel read from the socket in bulk.

Kombu's own way costs ten times as much, reads for as long as messages come, and waits for ever on
a connection that died without a word. Here the socket is ours: PING after a quiet while, and a
server that has not answered by then is gone. Connecting (TLS, passwords, unix sockets) is kombu's
and redis-py's; the protocol is parsed by hiredis; only the envelope is read here.
"""

from __future__ import annotations

import binascii
import time
from contextlib import suppress
from typing import Any, Literal

import hiredis
import msgspec
from redis.exceptions import RedisError

from ..broker.connections import connect
from ..errors import InvalidEvent
from ..snapshot import AckToken
from .subscription import CONNECT_SECONDS, QUIET_SECONDS, SILENT_SECONDS, OnInvalid, Reading

__all__ = ["RedisSubscription"]

_READ_BYTES = 1 << 16
_PORTION_BYTES = 1 << 14  # hiredis moves what is left in its buffer after every reply
_MESSAGE = b"pmessage"
_JSON = ("application/json", None)


class _NoCompression(msgspec.Struct, gc=False):
    compression: None = None


class _Base64(msgspec.Struct, gc=False):
    body_encoding: Literal["base64"]


class _Usual(msgspec.Struct, gc=False, rename={"content_type": "content-type"}):
    """The envelope of every event there is, as a rule; msgspec decodes the base64 itself."""

    body: bytes
    properties: _Base64
    headers: _NoCompression | None = None
    content_type: Literal["application/json"] | None = None


class _Headers(msgspec.Struct, gc=False):
    compression: msgspec.Raw = msgspec.Raw(b"null")


class _Properties(msgspec.Struct, gc=False):
    body_encoding: str | None = None


class _Envelope(msgspec.Struct, gc=False, rename={"content_type": "content-type"}):
    """Any envelope of kombu's virtual transports; the parts that concern us."""

    body: str
    properties: _Properties
    headers: _Headers | None = None
    content_type: str | None = None


_decode_usual = msgspec.json.Decoder(_Usual).decode
_decode = msgspec.json.Decoder(_Envelope).decode


class RedisSubscription:
    """A pattern subscription to the fanout channel of the event exchange."""

    def __init__(self, connection: Any, *, exchange: str, on_invalid: OnInvalid) -> None:
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
        self._link: Any = None
        self._socket: Any = None
        self._reader: Any = None
        self._buffer = bytearray(_READ_BYTES)
        self._heard_at = self._asked_at = 0.0

    def open(self) -> None:
        """Connect and subscribe; returns when the server has confirmed it."""
        connect(self.connection)
        channel = self.connection.default_channel
        topic = channel.global_keyprefix + channel._get_publish_topic(self._exchange, "*")  # noqa: SLF001
        self._link = channel.pool.make_connection()
        self._link.connect()
        self._link.send_command("PSUBSCRIBE", topic)
        self._socket = self._link._sock  # noqa: SLF001  redis-py has no other way to it
        self._socket.settimeout(CONNECT_SECONDS)
        self._reader = hiredis.Reader()
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._buffer, 0, self._receive())
        if isinstance(reply, Exception):
            raise reply
        self._heard_at = time.monotonic()

    def read(self, timeout_seconds: float) -> Reading:
        """All messages that are there; none after ``timeout_seconds`` of silence."""
        self._socket.settimeout(timeout_seconds)
        try:
            received = self._receive()
        except TimeoutError:
            self._ask()
            return Reading()
        self._heard_at = time.monotonic()
        reader, bodies = self._reader, []
        for start in range(0, received, _PORTION_BYTES):
            reader.feed(self._buffer, start, min(_PORTION_BYTES, received - start))
            while (reply := reader.gets()) is not False:
                if isinstance(reply, list) and reply[0] == _MESSAGE:
                    try:
                        bodies.append(_body_of(reply[3]))
                    except InvalidEvent as error:
                        self._on_invalid(error)
        return Reading(bodies)

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Nothing to do: Redis keeps nothing."""

    def close(self) -> None:
        """Close both connections."""
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if self._link is not None:
                self._link.disconnect()
            self.connection.release()

    def _receive(self) -> int:
        """Fill the buffer; returns how many bytes came."""
        received: int = self._socket.recv_into(self._buffer)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        return received

    def _ask(self) -> None:
        """Ask a quiet server whether it is there; give up on one that has not answered."""
        now = time.monotonic()
        if now - self._heard_at >= SILENT_SECONDS:
            raise ConnectionResetError(f"no answer for {now - self._heard_at:.0f} s")
        if now - max(self._heard_at, self._asked_at) >= QUIET_SECONDS:
            self._asked_at = now
            self._link.send_command("PING", check_health=False)


def _body_of(data: Any) -> bytes:
    """The event body in a kombu envelope. Raises ``InvalidEvent``; decompresses nothing."""
    try:
        return _decode_usual(data).body
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return _unusual_body_of(data)


def _unusual_body_of(data: Any) -> bytes:
    try:
        envelope = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
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
