"""Text: how errors, names and tables are written for people. Pure.

Names come from whoever may write to the broker; ``printable`` escapes what would steer a
terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from .redaction import without_secrets

__all__ = ["aligned", "encodable", "error_line", "markdown", "one_line", "printable"]

_GAP = "  "
_INDENT = "    "
_NARROWEST = 24  # characters; a wrapped last column thinner than this is harder to read than none


def one_line(error: object, *, most: int = 300) -> str:
    """Return what an error says, folded to one line of ``most`` characters, without a full stop.

    Passwords are masked, and what would steer a terminal is escaped. The name of its class stands
    in for an exception that says nothing.
    """
    said: object = error
    if isinstance(error, SyntaxError):
        said = error.msg or ""  # without file and line, which are said elsewhere
    elif isinstance(error, KeyError) and len(error.args) == 1:
        said = error.args[0]  # str(error) is its repr
    text = printable(" ".join(without_secrets(str(said)).split()).rstrip("."))
    return text[:most] if text else type(error).__name__


def error_line(error: BaseException) -> str:
    """Return the sentence of an error of ours, whole, safe for a terminal and without passwords."""
    return printable(without_secrets(str(error)))


def printable(name: str) -> str:
    """Return the name with control characters and the like escaped as in a Python literal."""
    if name.isprintable():
        return name
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in name
    )


def encodable(text: str, encoding: str | None) -> str:
    """Return text that can be written in that encoding; what it lacks is escaped.

    A stream without an encoding takes any text.
    """
    return text.encode(encoding, "backslashreplace").decode(encoding) if encoding else text


def aligned(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = 100, sides: str = ""
) -> str:
    """Return a table in columns; the last column wraps at ``width`` characters.

    Where there is no room for it beside the others, its text stands below them, indented.

    ``sides`` has a letter for each column, ``l`` or ``r``: where its cells are aligned. Columns
    without one are aligned to the left.
    """
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = sides.ljust(len(header), "l")
    before = sum(widths[:-1]) + len(_GAP) * (len(header) - 1)
    last = max(_NARROWEST, width - before)
    if sides[-1] == "l" and width - before < min(_NARROWEST, widths[-1]):
        return _two_storeyed(table, widths, sides=sides, width=width)
    lines: list[str] = []
    for row in table:
        cells = [
            text.rjust(room) if side == "r" else text.ljust(room)
            for text, room, side in zip(row, widths, sides, strict=True)
        ]
        first, *rest = textwrap.wrap(row[-1], last, break_on_hyphens=False) or [""]
        ending = cells[-1] if sides[-1] == "r" else first
        lines.append(_GAP.join([*cells[:-1], ending]).rstrip())
        lines.extend(" " * before + line for line in rest)
    return "\n".join(lines)


def _two_storeyed(
    table: Sequence[Sequence[str]], widths: Sequence[int], *, sides: str, width: int
) -> str:
    lines = []
    for row in table:
        cells = [
            text.rjust(room) if side == "r" else text.ljust(room)
            for text, room, side in zip(row[:-1], widths, sides, strict=False)
        ]
        lines.append(_GAP.join(cells).rstrip())
        lines += textwrap.wrap(
            row[-1],
            max(_NARROWEST, width),
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in GitHub's markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
