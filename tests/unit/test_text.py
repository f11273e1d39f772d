"""Text: errors in one line, names that cannot steer a terminal, tables."""

from __future__ import annotations

import pytest

from event_monitor.text import aligned, markdown, one_line, printable


def test_aligned_columns_wrap_the_last_one() -> None:
    """Numbers to the right, long text below itself."""
    table = aligned(
        ("name", "n", "meaning"),
        [("a", "1", "short"), ("bcdef", "100", "one two three four five six")],
        width=35,
        sides="lrl",
    )

    assert table == (
        "name     n  meaning\n"
        "a        1  short\n"
        "bcdef  100  one two three four five\n"
        "            six"
    )


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
