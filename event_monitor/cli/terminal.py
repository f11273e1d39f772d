"""Terminal: how wide the text is that a command prints."""

from __future__ import annotations

import shutil

__all__ = ["width"]

_NARROWEST = 80  # columns; a narrower terminal wraps lines by itself


def width(*, unless_known: int = 100, most: int | None = 120) -> int:
    """Return the columns to fill: those of the terminal, within bounds."""
    columns = max(_NARROWEST, shutil.get_terminal_size((unless_known, 24)).columns)
    return columns if most is None else min(most, columns)
