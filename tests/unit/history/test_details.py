"""Details that were asked for: decoded, redacted, cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.history.details import Redactor
from event_monitor.redaction import MASK


def raw(text: str) -> bytes:
    return msgspec.json.encode(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ValueError('no such order: 17')", "ValueError('no such order: 17')"),
        ("{'password': 'hunter2', 'user': 'ann'}", f"{{'password': {MASK}, 'user': 'ann'}}"),
        ('{"api_key": "k-1", "n": 1}', f'{{"api_key": {MASK}, "n": 1}}'),
        ("db_password=hunter2 host=db", f"db_password={MASK} host=db"),
        ("Authorization: Bearer abc.def", f"Authorization: {MASK}"),
        ("cannot reach redis://ann:hunter2@cache/0", "cannot reach redis://ann:**@cache/0"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_what_is_called_a_secret_is_masked(text: str, shown: str) -> None:
    """Nobody has to say so."""
    assert Redactor().texts([("args", raw(text))]) == {"args": shown}


def test_patterns_of_the_settings_are_masked() -> None:
    """All that one matches, or its group."""
    redactor = Redactor((r"\b\d{16}\b", r"iban=(\w+)"))
    texts = redactor.texts([("message", raw("card 1234567812345678, iban=DE17 of ann"))])
    assert texts == {"message": f"card {MASK}, iban={MASK} of ann"}


def test_what_is_long_is_cut() -> None:
    """A message more than a traceback; what a pattern matches at its end is masked before."""
    redactor = Redactor((r"\d{16}",))
    long = "x" * 490 + "1234567812345678" + "y" * 30_000
    texts = redactor.texts([("message", raw(long)), ("traceback", raw(long))])
    assert texts["message"] == "x" * 490 + MASK + "yyyyyyy…"
    assert len(texts["traceback"]) == 20_000


def test_what_is_no_text_is_left_out() -> None:
    """Events are untrusted input."""
    details = [("args", b"17"), ("kwargs", b'"\xff"'), ("result", b"{"), ("message", b'"ok"')]
    assert Redactor().texts(details) == {"message": "ok"}


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    """And none gets a surrogate into the file."""
    encoded = raw(text.encode("utf-8", "replace").decode())
    (shown,) = Redactor(("a+",)).texts([("args", encoded)]).values()
    shown.encode()


@pytest.mark.parametrize("part", ["password", "token: '", "secret-", "pass='", "://a:b@", "key = "])
def test_hostile_repetitions_are_bounded_in_time(part: str) -> None:
    """The test has a time limit."""
    assert Redactor().redacted(part * (40_000 // len(part)))
