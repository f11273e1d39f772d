"""Words: each is exactly as wide as it may be, and none steers a terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from event_monitor.live.words import bar, fitted, safe, shared, spark


@pytest.mark.parametrize("name", ["", "short", "a" * 50, "名" * 30, "e\u0301" * 20, "👩‍👩‍👧" * 9])
@pytest.mark.parametrize("middle", [False, True])
def test_a_name_takes_the_columns_it_has(name: str, middle: bool) -> None:
    """Wide characters take two; what is cut has an ellipsis."""
    for room in range(1, 20):
        text = fitted(name, room, middle=middle)
        assert cell_len(text) == room, (name, room, text)
        assert ("…" in text) == (cell_len(name) > room)


def test_a_host_is_cut_in_the_middle() -> None:
    """Its end tells it from others."""
    assert fitted("celery@worker-7f9c", 9, middle=True) == "cele…7f9c"
    assert fitted("celery@worker-7f9c", 9) == "celery@w…"
    assert fitted("7", 3, side="r") == "  7"


def test_nothing_in_a_name_steers_the_terminal() -> None:
    """Escapes, lone surrogates and marks of direction are written out."""
    assert safe("a\x1b[2J\ud800\u202e\n") == r"a\x1b[2J\ud800\u202e\n"
    assert len(safe("x" * 1_000_000)) <= 2_000
    assert safe(None) == "?"


def test_spark_lines() -> None:
    """From nothing to the highest; a space is unknown, and columns keep the peaks."""
    assert spark([0, 1, 2, None, 7], 60) == "▁▂▃ █"
    assert spark([0, 0, 0], 60) == "▁▁▁"
    assert spark([0, 7, 0, 0, 0, 0], 3) == "█▁▁"
    assert spark([], 10) == ""
    assert spark([1], 0) == ""


def test_bars() -> None:
    """Never longer than the room; empty if unknown."""
    assert bar(1, 4, 8) == "██░░░░░░"
    assert bar(9, 4, 8) == "████████"
    assert bar(None, 4, 8) == bar(1, None, 8) == bar(1, 0, 8) == ""


@pytest.mark.parametrize(
    ("lines", "wanted", "chosen", "shares"),
    [
        (19, [3, 8, 5, 8, 4], 0, [3, 4, 4, 4, 4]),
        (19, [3, 8, 5, 8, 4], 3, [3, 3, 3, 7, 3]),
        (30, [3, 3, 3, 3, 3], 1, [3, 18, 3, 3, 3]),
        (9, [30, 2, 2, 2, 2], 0, [2, 2, 2, 2, 1]),
        (4, [3, 3, 3, 3, 3], 4, [1, 1, 1, 1, 0]),
    ],
)
def test_lines_are_shared_by_what_each_section_has_to_show(
    lines: int, wanted: list[int], chosen: int, shares: list[int]
) -> None:
    """The chosen one has most, and none has lines that stay empty while others want them."""
    assert shared(lines, wanted, chosen=chosen) == shares
