"""Frames: deliveries come out whole, however the bytes of the server are cut."""

from __future__ import annotations

import contextlib
import itertools
import struct

import pytest
from amqp.basic_message import Message
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.receiver.amqp_frames import Frames, ServerClosedError, refusal_of

DELIVER = struct.pack(">HH", 60, 60)
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_MAX = 100


def frame(kind: int, payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def properties(**given: object) -> bytes:
    made: bytes = Message("", **given)._serialize_properties()
    return made


JSON = properties(content_type="application/json", content_encoding="utf-8")


def delivery(body: bytes, *, tag: int = 1, again: bool = False, about: bytes = JSON) -> bytes:
    """The frames of one message; the body in as many as it needs."""
    names = b"\x01c" + struct.pack(">QB", tag, again) + b"\x08celeryev\x0atask.multi"
    parts = [body[at : at + FRAME_MAX] for at in range(0, len(body), FRAME_MAX)]
    return b"".join(
        (
            frame(METHOD, struct.pack(">HH", 60, 60) + names),
            frame(HEADER, struct.pack(">HHQ", 60, 0, len(body)) + about),
            *(frame(BODY, part) for part in parts),
        )
    )


STREAM = b"".join(
    (
        frame(HEARTBEAT, b"", 0),
        delivery(b"one", tag=1),
        delivery(b"", tag=2),
        delivery(bytes(range(256)), tag=3, again=True),
        frame(HEARTBEAT, b"", 0),
        delivery(b"last", tag=4),
    )
)
DELIVERED = [
    (1, False, JSON, b"one"),
    (2, False, JSON, b""),
    (3, True, JSON, bytes(range(256))),
    (4, False, JSON, b"last"),
]


def test_several_messages_in_one_read() -> None:
    """Heartbeats between them are nothing."""
    assert Frames().feed(STREAM) == DELIVERED


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_cuts_make_no_difference(cuts: list[int]) -> None:
    """Not even in the middle of a frame's head."""
    edges = [0, *sorted(cuts), len(STREAM)]
    frames = Frames()
    found = []
    for start, end in itertools.pairwise(edges):
        found += frames.feed(STREAM[start:end])
    assert found == DELIVERED


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ((10, 50), "the server closes the connection: shutdown"),
        ((20, 40), "the server closes the channel: shutdown"),
    ],
)
def test_a_server_that_hangs_up_says_why(method: tuple[int, int], said: str) -> None:
    """Its sentence is for the log."""
    arguments = struct.pack(">H", 320) + b"\x08shutdown" + struct.pack(">HH", 0, 0)
    with pytest.raises(ServerClosedError, match=said):
        Frames().feed(frame(METHOD, struct.pack(">HH", *method) + arguments))


def test_what_came_before_the_end_is_delivered_first() -> None:
    """In the same read: without acknowledgement nobody would send it again."""
    closing = struct.pack(">HHH", 10, 50, 320) + b"\x03bye" + struct.pack(">HH", 0, 0)
    frames = Frames()

    assert frames.feed(STREAM + frame(METHOD, closing)) == DELIVERED
    assert "the server closes the connection: bye" in str(frames.ended)


def test_the_answer_to_usual_properties_is_remembered_and_to_huge_ones_is_not() -> None:
    """One worker's are always the same; thousands of huge ones would fill the memory."""
    usual = properties(content_type="text/plain")
    huge = properties(content_type="text/plain", application_headers={"x": "x" * 2_000})

    assert refusal_of(usual) is refusal_of(usual)
    assert refusal_of(huge) is not refusal_of(huge)
    assert str(refusal_of(huge)) == str(refusal_of(usual)) == "content type: b'text/plain'"


def test_a_cancelled_consumer_ends_the_connection() -> None:
    """The queue was deleted under us."""
    tag = b"amq.ctag-iCgkq2GbOH_U1a1DF-DK5A"
    cancel = struct.pack(">HH", 60, 30) + bytes([len(tag)]) + tag + b"\x01"
    with pytest.raises(ServerClosedError, match=r"the consumer: its queue is gone$"):
        Frames().feed(frame(METHOD, cancel))


def test_the_answer_to_our_own_close_is_seen() -> None:
    """By which we know that the server has read what we sent before."""
    frames = Frames()
    assert frames.feed(frame(METHOD, struct.pack(">HH", 20, 41))) == []
    assert frames.closed


def test_the_length_of_the_queue_is_read_among_the_deliveries() -> None:
    """The answer to a declaration; the newest one counts."""

    def declared(messages: int) -> bytes:
        name = b"celeryev.x"
        answer = bytes([len(name)]) + name + struct.pack(">II", messages, 1)
        return frame(METHOD, struct.pack(">HH", 50, 11) + answer)

    frames = Frames()
    assert frames.queue_length is None

    assert frames.feed(declared(7) + STREAM + declared(70_000)) == DELIVERED
    assert frames.queue_length == 70_000


def test_bytes_that_are_not_amqp_end_the_connection() -> None:
    """A frame that does not end where it says."""
    with pytest.raises(ServerClosedError, match="not AMQP"):
        Frames().feed(frame(METHOD, b"1234")[:-1] + b"!")


@given(st.binary(max_size=200))
def test_garbage_is_an_error_or_no_delivery(data: bytes) -> None:
    """Never another exception than the one that makes us connect again."""
    with contextlib.suppress(ServerClosedError):
        Frames().feed(data)
        Frames().feed(frame(METHOD, data))
        Frames().feed(frame(METHOD, DELIVER + data) + frame(HEADER, data) + frame(BODY, data))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"content_type": "application/json"}, None),
        ({"content_type": "application/json", "application_headers": {"hostname": "h"}}, None),
        ({}, None),
        ({"content_type": "application/x-python-serialize"}, "content type"),
        (
            {"content_type": "application/json", "application_headers": {"compression": "bzip2"}},
            "compressed message",
        ),
    ],
    ids=str,
)
def test_messages_are_refused_by_their_properties(given: dict[str, object], kind: str) -> None:
    """Before a byte of the body is looked at."""
    refusal = refusal_of(properties(**given))
    assert (refusal and refusal.kind) == kind


@given(st.binary(max_size=60))
def test_any_properties_have_an_answer(data: bytes) -> None:
    """However broken."""
    refusal = refusal_of(data)
    assert refusal is None or refusal.kind
