"""Text: errors in one line, names that cannot steer a terminal, tables."""

from __future__ import annotations

import pytest

from event_monitor.text import aligned, encodable, error_line, markdown, one_line, printable


def test_aligned_columns_wrap_the_last_one() -> None:
    """Numbers to the right, long text below itself."""
    table = aligned(
        ("name", "n", "meaning"),
        [("a", "1", "short"), ("bcdef", "100", "one two three four five six")],
        width=36,
        sides="lrl",
    )

    assert table == (
        "name     n  meaning\n"
        "a        1  short\n"
        "bcdef  100  one two three four five\n"
        "            six"
    )


def test_a_last_column_without_room_stands_below() -> None:
    """Half a dozen letters to a line are hard to read, and no id could be copied."""
    table = aligned(
        ("name", "n", "what"),
        [("abcdefghij", "1", "one two three four five six seven")],
        width=30,
        sides="lrl",
    )

    assert table == (
        "name        n\n    what\nabcdefghij  1\n    one two three four five\n    six seven"
    )


def test_what_an_encoding_lacks_is_escaped() -> None:
    """A name in Cyrillic keeps no table from being printed in an ASCII locale."""
    assert encodable("отчёт: 5 s", "ascii") == r"\u043e\u0442\u0447\u0451\u0442: 5 s"
    assert encodable("отчёт", "utf-8") == "отчёт"
    assert encodable("отчёт", None) == "отчёт"


def test_an_error_is_one_safe_line_without_passwords() -> None:
    """Whole, unlike the errors of others, which are cut."""
    error = ValueError(f"a\x1b[2J\nredis://:p@cache/0 {'x' * 400}")

    assert error_line(error) == rf"a\x1b[2J\nredis://:**@cache/0 {'x' * 400}"
    assert one_line(error) == rf"a\x1b[2J redis://:**@cache/0 {'x' * 400}"[:300]


def test_markdown_escapes_what_would_end_a_cell() -> None:
    """A glob list has bars in it."""
    assert markdown(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("it is wrong."), "it is wrong"),
        (OSError("one\n  two\tthree\n"), "one two three"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("..."), "RuntimeError"),
        (KeyError("no such transport: x"), "no such transport: x"),
        (KeyError(), "KeyError"),
        (SyntaxError("invalid syntax", ("proj.py", 3, 1, "def f(:")), "invalid syntax"),
        (SyntaxError(), "SyntaxError"),
        ("text of a server", "text of a server"),
        (ValueError("x" * 1_000), "x" * 300),
    ],
)
def test_an_error_is_one_line(error: object, line: str) -> None:
    """Its text, or the name of its class if it says nothing."""
    assert one_line(error) == line


def test_the_length_of_that_line_can_be_chosen() -> None:
    """For a narrow place."""
    assert one_line(ValueError("abcdef"), most=3) == "abc"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("celery@host", "celery@host"),
        ("отправить 🚀", "отправить 🚀"),
        ("a\x1b[2J\nb", "a\\x1b[2J\\nb"),
        ("\ud800", "\\ud800"),
        ("\u202e", "\\u202e"),
    ],
)
def test_a_name_cannot_steer_the_terminal(name: str, shown: str) -> None:
    """What is not printable is escaped; everything else stays as it is."""
    assert printable(name) == shown
    assert printable(name).isprintable()


def test_columns_without_a_side_are_aligned_to_the_left() -> None:
    """The last column too, and no line ends with spaces."""
    assert aligned(("a", "bb"), [("ccc", ""), ("d", "e")]) == "a    bb\nccc\nd    e"
