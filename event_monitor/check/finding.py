"""Finding: one thing that `event-monitor check` looked at, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Status"]

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
