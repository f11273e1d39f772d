"""Redis messages: however the bytes are cut, and however large a message, the others arrive."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

import pytest
from hiredis import ReplyError

from event_monitor.events import MAX_BODY_BYTES
from event_monitor.receiver.redis_messages import Messages

PATTERN = b"/0.celeryev/*"
READ_BYTES = 1 << 16
HUGE = 24 << 20  # bytes, a little more than what is read


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def published(data: bytes, *, kind: bytes = b"*") -> bytes:
    """What Redis sends a subscriber of the pattern; of the ``kind`` ``>`` in RESP3."""
    parts = (b"pmessage", PATTERN, b"/0.celeryev/task.multi", data)
    return kind + b"4\r\n" + b"".join(map(bulk, parts))


def event(body: bytes, *, kind: bytes = b"*") -> bytes:
    """A message as kombu envelops it."""
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-type": "application/json",
        "properties": {"body_encoding": "base64"},
    }
    return published(json.dumps(envelope).encode(), kind=kind)


class Fed:
    """Messages, and what was invalid."""

    def __init__(self) -> None:
        self.invalid: list[str] = []
        self.messages = Messages(PATTERN, on_invalid=lambda error: self.invalid.append(error.kind))

    def bodies(self, *pieces: bytes) -> list[bytes]:
        return [body for piece in pieces for body in self._feed(piece)]

    def _feed(self, piece: bytes) -> Iterable[bytes]:
        return self.messages.feed(bytearray(piece), len(piece))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture
def fed() -> Fed:
    return Fed()


@pytest.mark.parametrize("size", [1, 7, 100, READ_BYTES])
def test_bodies_come_in_order_however_the_bytes_are_cut(fed: Fed, size: int) -> None:
    sent = [b'{"type": "a"}', b"", b"x" * 300]

    assert fed.bodies(*cut(b"".join(map(event, sent)), size)) == sent
    assert fed.invalid == []


def test_the_largest_event_that_the_decoder_takes_is_read(fed: Fed) -> None:
    body = b"x" * MAX_BODY_BYTES

    assert fed.bodies(*cut(event(body), READ_BYTES)) == [body]


@pytest.mark.parametrize("kind", [b"*", b">"], ids=["RESP2", "RESP3"])
@pytest.mark.parametrize("size", [READ_BYTES, READ_BYTES - 1])
def test_a_huge_message_is_refused_and_its_neighbours_are_read(
    fed: Fed, size: int, kind: bytes
) -> None:
    """Counted once; also when the next begins in the read in which it ends."""
    huge = published(bytes(HUGE), kind=kind)
    data = event(b"before") + huge + event(b"after", kind=kind) + event(b"last")

    assert fed.bodies(*cut(data, size)) == [b"before", b"after", b"last"]
    assert fed.invalid == ["too large"]


@pytest.mark.parametrize("place", range(0, 60, 13))
def test_the_beginning_of_the_next_message_may_be_cut_anywhere(fed: Fed, place: int) -> None:
    """Nothing of it is taken for a part of the huge one."""
    huge, after = published(bytes(HUGE)), event(b"after")
    data = huge + after
    at = len(huge) - 2 + place

    assert fed.bodies(*cut(data[:at], READ_BYTES), data[at:]) == [b"after"]
    assert fed.invalid == ["too large"]


def test_two_huge_messages_in_a_row_are_both_refused(fed: Fed) -> None:
    data = published(bytes(HUGE)) * 2 + event(b"after")

    assert fed.bodies(*cut(data, READ_BYTES)) == [b"after"]
    assert fed.invalid == ["too large", "too large"]


def test_other_replies_are_no_messages(fed: Fed) -> None:
    """The answer to a PING, also after a huge message."""
    pong = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    data = pong + event(b"one") + published(bytes(HUGE)) + pong + event(b"two")

    assert fed.bodies(*cut(data, READ_BYTES)) == [b"one", b"two"]


def test_a_subscription_that_is_refused_is_an_error(fed: Fed) -> None:
    refusal = b"-NOPERM this user has no permissions\r\n"

    with pytest.raises(ReplyError, match="NOPERM"):
        fed.messages.are_promised(bytearray(refusal), len(refusal))
