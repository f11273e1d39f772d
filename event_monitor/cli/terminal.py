"""Terminal: how wide the text is that a command prints."""

from __future__ import annotations

import shutil

__all__ = ["width"]


def width() -> int:
    """Return the columns of this terminal, between 80 and 120."""
    return min(120, max(80, shutil.get_terminal_size((100, 24)).columns))
