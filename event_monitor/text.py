"""Tables: rows in, text out; aligned for a terminal or as markdown. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["aligned", "markdown"]

_GAP = "  "
_NARROWEST = 24  # characters; a wrapped last column thinner than this is harder to read than none


def aligned(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = 100, right: str = ""
) -> str:
    """A table in columns; the last column wraps at ``width`` characters.

    ``right`` names the columns, one letter each (``l`` or ``r``), that are aligned to the right.
    """
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    sides = right.ljust(len(header), "l")
    before = sum(widths[:-1]) + len(_GAP) * (len(header) - 1)
    last = max(_NARROWEST, width - before)
    lines: list[str] = []
    for row in table:
        cells = [
            text.rjust(room) if side == "r" else text.ljust(room)
            for text, room, side in zip(row, widths, sides, strict=True)
        ]
        first, *rest = textwrap.wrap(row[-1], last, break_on_hyphens=False) or [""]
        ending = cells[-1] if sides[len(header) - 1] == "r" else first
        lines.append(_GAP.join([*cells[:-1], ending]).rstrip())
        lines.extend(" " * before + line for line in rest)
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in GitHub's markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
