"""Redis messages: what a server sends a subscriber, cut into the bodies of events. Pure.

The protocol is parsed by hiredis; the envelope that kombu puts a message in is read here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, cast

import hiredis
import msgspec

from ..errors import InvalidEvent
from ..events import MAX_BODY_BYTES
from .subscription import OnInvalid

__all__ = ["Messages", "body_of"]

_PORTION_BYTES = 1 << 14  # hiredis moves what is left in its buffer after every reply
_MESSAGE = b"pmessage"
# Bytes of the largest message that is read: what the decoder takes, in base64, and its envelope. A
# larger one is refused while it comes, since hiredis would join all of it first.
_LARGEST_MESSAGE = MAX_BODY_BYTES // 3 * 4 + (1 << 20)
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


class _Reader(Protocol):
    """``hiredis.Reader``, whose own types know of no bytearray."""

    def feed(self, data: bytearray | bytes, start: int, length: int) -> object: ...
    def gets(self) -> Any: ...  # False: not all has come; else what the server says


class Messages:
    """Takes bytes, however they are cut, and returns bodies in order. Not thread-safe.

    ``pattern`` is what was subscribed to; ``on_invalid`` gets what is no JSON event.
    """

    def __init__(self, pattern: bytes, *, on_invalid: OnInvalid) -> None:
        self._on_invalid = on_invalid
        self._reader = _new_reader()
        self._unfinished = 0  # bytes that came since the last reply was complete
        # How a message begins after the end of another, as an array or, in RESP3, a push.
        tail = b"4\r\n$8\r\npmessage\r\n$%d\r\n%s\r\n" % (len(pattern), pattern)
        self._beginning = re.compile(rb"\r\n[*>]" + re.escape(tail))
        self._beginning_bytes = 3 + len(tail)
        self._skipped: bytes | None = None  # the end of what is being skipped, if anything is

    def are_promised(self, data: bytearray, length: int) -> bool:
        """Return whether these bytes complete the answer to the subscription; raise a refusal."""
        self._reader.feed(data, 0, length)
        answer = self._reader.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer is not False

    def feed(self, received: bytearray, length: int) -> list[bytes]:
        """Return the bodies that the first ``length`` of these bytes complete.

        Raises ``hiredis.HiredisError`` for what is not Redis's protocol.
        """
        data: bytearray | bytes = received
        if self._skipped is not None:
            data = self._after_skipped(received[:length])
            length = len(data)
        reader, unfinished = self._reader, self._unfinished
        gets, decode = reader.gets, _decode_usual
        bodies: list[bytes] = []
        for start in range(0, length, _PORTION_BYTES):
            portion = min(_PORTION_BYTES, length - start)
            reader.feed(data, start, portion)
            unfinished += portion
            while (reply := gets()) is not False:
                unfinished = 0
                try:  # not `body_of`: a call for each message is 4 % of what reading it costs
                    if reply[0] == _MESSAGE:
                        bodies.append(decode(reply[3]).body)
                except (*_UNREADABLE, LookupError):
                    bodies += self._unusual_bodies(reply)
        self._unfinished = unfinished
        if unfinished > _LARGEST_MESSAGE:
            self._skip()
        return bodies

    def _unusual_bodies(self, reply: object) -> Sequence[bytes]:
        """Return the body of a message with another envelope; none of what is no message."""
        if not isinstance(reply, list) or reply[0] != _MESSAGE:
            return ()
        try:
            return (body_of(reply[3]),)
        except InvalidEvent as error:
            self._on_invalid(error)
            return ()

    def _skip(self) -> None:
        """Refuse the message that is coming, and forget what has come of it."""
        self._reader = _new_reader()
        self._unfinished, self._skipped = 0, b""
        self._on_invalid(InvalidEvent("too large", f"more than {_LARGEST_MESSAGE:,} bytes"))

    def _after_skipped(self, received: bytearray) -> bytes:
        """Return the bytes from the next message on; none if it has not begun.

        Whoever writes the beginning of a message into a larger one could as well have sent it.
        """
        data = (self._skipped or b"") + received
        found = self._beginning.search(data)
        if found is None:
            self._skipped = data[1 - self._beginning_bytes :]
            return b""
        self._skipped = None
        return data[found.start() + 2 :]


def _new_reader() -> _Reader:
    return cast("_Reader", hiredis.Reader())


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
