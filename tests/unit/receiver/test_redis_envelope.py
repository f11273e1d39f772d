"""Redis envelopes: what kombu wraps an event in is untrusted too."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.errors import InvalidEvent
from event_monitor.receiver.redis_messages import body_of

BODY = b'{"type": "x-y"}'
ENVELOPE: dict[str, object] = {
    "body": base64.b64encode(BODY).decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"hostname": "celery@h"},
    "properties": {"body_encoding": "base64", "delivery_tag": "t", "priority": 0},
}


def kind_of(data: object) -> str:
    with pytest.raises(InvalidEvent) as caught:
        body_of(data)
    return caught.value.kind


def test_the_body_of_an_envelope_is_what_was_sent() -> None:
    """Base64 as kombu writes it, or plain."""
    assert body_of(json.dumps(ENVELOPE).encode()) == BODY
    plain = {**ENVELOPE, "body": BODY.decode(), "properties": {}}
    assert body_of(json.dumps(plain).encode()) == BODY


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"body": "A"}, "broken message"),
        ({"body": "ж"}, "broken message"),
        ({"body": None}, "broken message"),
        ({"body": {"__type__": "bytes"}}, "broken message"),
        ({"properties": None}, "broken message"),
        ({"properties": {"body_encoding": 7}}, "broken message"),
        ({"headers": {"compression": "application/x-gzip"}}, "compressed message"),
        ({"headers": {"compression": 7}}, "compressed message"),
        ({"content-type": "application/x-python-serialize"}, "content type"),
        ({"content-type": 7}, "broken message"),
    ],
    ids=str,
)
def test_a_wrong_envelope_is_refused_by_kind(change: dict[str, object], kind: str) -> None:
    """Without reading its body."""
    assert kind_of(json.dumps({**ENVELOPE, **change}).encode()) == kind


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"body"', None, 7, []], ids=repr
)
def test_what_is_no_envelope_is_a_broken_message(data: object) -> None:
    """Never another exception."""
    assert kind_of(data) == "broken message"


@given(st.binary(max_size=300))
def test_any_bytes_have_a_body_or_are_refused(data: bytes) -> None:
    """The decoder of envelopes raises nothing else."""
    with contextlib.suppress(InvalidEvent):
        assert isinstance(body_of(data), bytes)
