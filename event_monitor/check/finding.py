"""Finding: one thing that `event-monitor check` looked at, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..text import printable

__all__ = ["Finding", "Status", "listed"]

_MOST_NAMES = 5  # in one line of the report

#: note: good to know. warning: works, but not as one would expect. failed: will not work.
#: skipped: could not be looked at because of another finding, or was not asked for.
Status = Literal["ok", "note", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``message`` says what was found; ``remedy`` what to do, one step per line."""

    name: str
    status: Status
    message: str
    remedy: str = ""


def listed(names: Sequence[str]) -> str:
    """Return the first names, safe for a terminal, and how many more there are."""
    shown = ", ".join(map(printable, names[:_MOST_NAMES]))
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
