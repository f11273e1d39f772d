"""Wire: what a body is made of, and that it comes back whole."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.errors import InvalidEvent
from event_monitor.over_sqs.wire import Header, Message, ascii_json, decode, encode

HEADER = Header(sender="0123456789ab", seq=7, dropped=3)

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_a_body_is_a_header_and_a_json_value_in_each_line() -> None:
    """A person can read it."""
    assert encode(HEADER, [b'[{"type":"task-sent"}]', b'{"type":"mine"}']) == (
        '{"sender":"0123456789ab","seq":7,"dropped":3}\n[{"type":"task-sent"}]\n{"type":"mine"}'
    )


@given(st.lists(_json, max_size=5))
def test_what_is_encoded_comes_back(values: list[object]) -> None:
    """Whatever the texts are made of, the body is ASCII that XML allows, too."""
    # When
    lines = [ascii_json(value) for value in values]
    body = encode(HEADER, lines)

    # Then
    assert decode(body) == Message(HEADER, lines)
    assert [json.loads(line) for line in lines] == values
    assert re.fullmatch(r"[\n\x20-\x7f]*", body)


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    """No decoder takes it."""
    assert ascii_json({"name": "caf\xe9 \udce9"}) == b'{"name": "caf\\u00e9 ?"}'.replace(
        b": ", b":"
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\n",
        "[]",
        "hello",
        '{"sender":"0123456789ab","seq":7}',
        '{"sender":"0123456789AB","seq":7,"dropped":0}',
        '{"sender":"0123456789ab","seq":-1,"dropped":0}',
        '{"sender":"0123456789ab","seq":7,"dropped":"0"}',
        "[" * 100_000,
        "\udce9",
    ],
)
def test_another_body_is_invalid(body: str) -> None:
    """Somebody else's message, or a forged header."""
    with pytest.raises(InvalidEvent):
        decode(body)
