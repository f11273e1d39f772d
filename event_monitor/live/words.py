"""Words: names, times, bars and spark lines, each in a given number of columns. Pure.

Every name goes through ``safe``: it came from whoever may write to the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size

from ..quantities import UNKNOWN
from ..text import printable

__all__ = ["bar", "clock", "fitted", "safe", "shared", "spark"]

_STEPS = "▁▂▃▄▅▆▇█"
_LONGEST = 2_000  # characters of a name; beyond no terminal shows them


def safe(name: str | None) -> str:
    """Return a name that steers no terminal; of one that is unknown, a question mark."""
    return UNKNOWN if name is None else printable(name[:_LONGEST])


def fitted(text: str, room: int, *, side: str = "l", middle: bool = False) -> str:
    """Return the text in exactly ``room`` columns; what is cut is an ellipsis.

    With ``middle`` it stands there, so that the end is seen, in which hosts and queues differ.
    """
    length = cell_len(text)
    if length > room:
        if room < 1:
            return ""
        tail = (room - 1) // 2 if middle else 0
        end = text[len(text) - tail :] if tail else ""
        while cell_len(end) > tail:
            end = end[1:]
        return set_cell_size(f"{set_cell_size(text, room - 1 - cell_len(end))}…{end}", room)
    space = " " * (room - length)
    return f"{space}{text}" if side == "r" else f"{text}{space}"


def clock(at: float | None, how: str = "%H:%M") -> str:
    """Return a time by the clock of whoever looks."""
    if at is None:
        return UNKNOWN
    try:
        return f"{datetime.fromtimestamp(at).astimezone():{how}}"
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def spark(values: Sequence[float | None], room: int) -> str:
    """Return a line of the values, the highest a full block; a space is unknown.

    What is more than the room is joined, so that each column has the highest of its own.
    """
    columns = [_highest(part) for part in _parts(values, room)]
    most = max((value for value in columns if value is not None), default=0.0)
    return "".join(
        " " if value is None else _STEPS[round(value / most * (len(_STEPS) - 1)) if most > 0 else 0]
        for value in columns
    )


def _parts(values: Sequence[float | None], room: int) -> Iterable[Sequence[float | None]]:
    number = max(0, min(room, len(values)))
    for column in range(number):
        yield values[column * len(values) // number : (column + 1) * len(values) // number]


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def bar(part: int | None, whole: int | None, room: int) -> str:
    """Return how full it is; empty if that is unknown."""
    if part is None or not whole or whole < 0:
        return ""
    full = round(min(1.0, max(0.0, part / whole)) * room)
    return "█" * full + "░" * (room - full)


def shared(lines: int, wanted: Sequence[int], *, chosen: int) -> list[int]:
    """Return how many lines each section gets of those there are.

    First each its titles, and the chosen one a row; then the others two rows, the chosen one all it
    wants, and the others what is left, in turn. What nobody wants is the chosen one's.
    """
    shares = [0] * len(wanted)
    left = lines

    def give(number: int, most: int) -> None:
        nonlocal left
        more = max(0, min(left, most - shares[number]))
        shares[number] += more
        left -= more

    others = [number for number in range(len(wanted)) if number != chosen]
    for number in range(len(wanted)):
        give(number, 1)
    give(chosen, 2)
    for number in others:
        give(number, min(3, wanted[number]))
    give(chosen, wanted[chosen])
    while left and any(shares[number] < wanted[number] for number in others):
        for number in others:
            give(number, min(shares[number] + 1, wanted[number]))
    give(chosen, shares[chosen] + left)
    return shares
