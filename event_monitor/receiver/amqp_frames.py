"""Frames: what an AMQP 0-9-1 server sends a consumer, cut into deliveries. Pure.

A delivery is a method frame, a header frame and as many body frames as it needs; nothing else may
come between them on our one channel. Section numbers are those of the specification.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812  it is a class

from ..errors import InvalidEvent
from ..events import MAX_BODY_BYTES

__all__ = ["Delivery", "Frames", "ServerClosedError", "refusal_of"]

#: delivery tag, whether it is redelivered, its properties, its body
Delivery = tuple[int, bool, bytes, bytes]

_METHOD, _HEADER, _BODY = 1, 2, 3  # 4.2.3; 8 is a heartbeat
_FRAME_END = 0xCE
_OVERHEAD = 8  # type, channel and size before the payload, the end after it
_DELIVER = b"\x00\x3c\x00\x3c"  # basic.deliver, 1.8.3.9
_CHANNEL_CLOSE_OK = b"\x00\x14\x00\x29"
_DECLARE_OK = b"\x00\x32\x00\x0b"  # queue.declare-ok, 1.7.2.2
_CLOSING = {
    b"\x00\x0a\x00\x32": "the server closes the connection",
    b"\x00\x14\x00\x28": "the server closes the channel",
}
_CANCEL = b"\x00\x3c\x00\x1e"  # basic.cancel, which gives no reason
_NOT_AMQP = "the server sends bytes that are not AMQP"
# Bytes; a worker's message is below 1 MB. Of a larger body only the end is kept, to bound the
# memory; the decoder refuses that as too large.
_LARGEST_BODY = MAX_BODY_BYTES + (1 << 20)

_LONGEST_KEPT = 1_024  # bytes of properties; Celery's have a hundred, and 4,096 are remembered

_head = Struct(">BHI").unpack_from
_header = Struct(">BHIHHQ").unpack_from  # a frame's head, then class, weight and body size
_SHORTEST_HEADER = 22  # bytes of its frame
_tag = Struct(">QB").unpack_from
_size = Struct(">HHQ").unpack_from
_count = Struct(">I").unpack_from


class ServerClosedError(ConnectionError):
    """The server has closed the connection or the channel, or cancelled the consumer.

    The message says why.
    """


class Frames:
    """Takes bytes, however they are cut, and returns deliveries. Not thread-safe.

    ``closed``: the server has confirmed that we closed the channel. ``ended``: why the server will
    send no more; None as long as it may. ``queue_length``: the messages that were ready in the
    queue declared last; None before the first answer.
    """

    def __init__(self) -> None:
        self.closed = False
        self.ended: ServerClosedError | None = None
        self.queue_length: int | None = None
        self._rest = b""
        self._tag = 0
        self._is_redelivered = False
        self._properties = b""
        self._missing = 0  # bytes of the current body
        self._parts: list[bytes] = []

    def feed(self, data: bytes | memoryview) -> list[Delivery]:
        """Return the deliveries that these bytes complete.

        If the server will send no more, ``ended`` is set; raises it if there are no deliveries.
        """
        done: list[Delivery] = []
        try:
            self._cut(data, done)
        except ServerClosedError as error:
            self.ended = error
        except (StructError, IndexError):  # a frame too short for its contents
            self.ended = ServerClosedError(_NOT_AMQP)
        if self.ended is not None and not done:
            raise self.ended
        return done

    def _cut(self, received: bytes | memoryview, done: list[Delivery]) -> None:
        data = self._rest + received
        at, end = 0, len(data)
        while at + _OVERHEAD <= end:
            frame_type, channel, size = _head(data, at)
            after = at + size + _OVERHEAD
            if after > end:
                break
            if data[after - 1] != _FRAME_END:
                raise ServerClosedError(_NOT_AMQP)
            at += 7
            if frame_type == _METHOD:
                method = data[at : at + 4]
                if method != _DELIVER:
                    self._other(method, data[at + 4 : after - 1])
                    at = after
                    continue
                # The consumer's tag, then the delivery's.
                tag, redelivered = _tag(data, at + 5 + data[at + 4])
                if after + _SHORTEST_HEADER <= end:
                    second, _, size, _, _, missing = _header(data, after)
                    body = after + size + _OVERHEAD
                    following = body + missing + _OVERHEAD
                    if (  # nearly always all of it is here, and the body is one frame
                        following <= end
                        and second == _HEADER
                        and _head(data, body) == (_BODY, channel, missing)
                        and data[body - 1] == data[following - 1] == _FRAME_END
                    ):
                        properties = data[after + 19 : body - 1]
                        text = data[body + 7 : following - 1]
                        done.append((tag, redelivered != 0, properties, text))
                        at = following
                        continue
                self._tag, self._is_redelivered = tag, redelivered != 0
            elif frame_type == _BODY:
                self._body(data[at : after - 1], done)
            elif frame_type == _HEADER:
                _, _, self._missing = _size(data, at)
                self._properties = data[at + 12 : after - 1]
                if not self._missing:
                    self._body(b"", done)
            at = after
        self._rest = data[at:]

    def _body(self, part: bytes, done: list[Delivery]) -> None:
        self._missing -= len(part)
        if self._missing + len(part) <= _LARGEST_BODY:
            self._parts.append(part)
        if self._missing <= 0:
            body = b"".join(self._parts)
            self._parts = []
            done.append((self._tag, self._is_redelivered, self._properties, body))

    def _other(self, method: bytes, arguments: bytes) -> None:
        if method == _CHANNEL_CLOSE_OK:
            self.closed = True
        elif method == _DECLARE_OK:  # the queue's name, then two counts: messages and consumers
            (self.queue_length,) = _count(arguments, 1 + arguments[0])
        elif method == _CANCEL:
            raise ServerClosedError("the server has cancelled the consumer: its queue is gone")
        elif method in _CLOSING:
            # A code of two bytes, then the text and before it its length.
            encoded = arguments[3 : 3 + arguments[2]] if len(arguments) > 3 else b""
            text = encoded.decode("utf-8", "replace")
            raise ServerClosedError(f"{_CLOSING[method]}: {text}" if text else _CLOSING[method])


def refusal_of(properties: bytes) -> InvalidEvent | None:
    """Return why a message with these properties is not to be read; None if it is.

    Remembered, since the messages of one worker all have the same properties.
    """
    if len(properties) > _LONGEST_KEPT:
        return _refusal_of.__wrapped__(properties)
    return _refusal_of(properties)


@lru_cache(maxsize=4_096)
def _refusal_of(properties: bytes) -> InvalidEvent | None:
    """Judge the content type and the headers.

    The properties are flags and then, each if its flag is set, content type, content encoding and
    headers (4.2.6.1); whatever follows is of no interest.
    """
    try:
        flags, at = int.from_bytes(properties[:2], "big"), 2
        content_type = b""
        if flags & 0x8000:
            at += 1
            content_type = properties[at : at + properties[at - 1]]
            at += len(content_type)
        if flags & 0x4000:
            at += 1 + properties[at]
        headers = b""
        if flags & 0x2000:
            size = int.from_bytes(properties[at : at + 4], "big")
            headers = properties[at + 4 : at + 4 + size]
    except IndexError:
        return InvalidEvent("broken message", "properties")
    if b"\x0bcompression" in headers:  # Celery never sends one; it may be a bomb
        return InvalidEvent("compressed message")
    if content_type not in (b"application/json", b""):
        return InvalidEvent("content type", repr(content_type)[:80])
    return None
