"""Quantities: durations, and what is too many of something, as a person writes them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import SettingsError
from ..moments import parse_seconds

__all__ = ["TooMany", "parse_too_many", "shown_seconds"]

_LONGEST_PERIOD = 86_400  # of an alarm, seconds


@dataclass(frozen=True, slots=True)
class TooMany:
    """What is too many: more than ``number`` percent, or ``number`` and more in ``seconds``."""

    number: float
    seconds: int = 0  # 0: a percentage

    @property
    def percent(self) -> float | None:
        """Return the percentage; None if it is a count, or 0, which leaves its alarm out."""
        return None if self.seconds else self.number or None

    @property
    def count(self) -> float | None:
        """Return the count; None if it is a percentage, or 0, which leaves its alarm out."""
        return self.number or None if self.seconds else None


def parse_too_many(flag: str, text: str) -> TooMany:
    """Parse ``5``, ``5%`` or ``5/10m``; else raise ``SettingsError`` that begins with the flag."""
    number, slash, duration = text.strip().partition("/")
    seconds = parse_seconds(duration) if slash else 0.0
    try:
        value = float(number if slash else number.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf or seconds is None:
        raise SettingsError(
            f"{flag} is {text!r}; say a percentage such as 5, or a count such as 5/10m."
        )
    if slash and not (seconds >= 60 and seconds % 60 == 0 and seconds <= _LONGEST_PERIOD):
        raise SettingsError(f"{flag} is {text!r}; count over whole minutes, at most a day.")
    return TooMany(value, int(seconds))


def shown_seconds(seconds: float) -> str:
    """Return a duration in words: `90 seconds`, `5 minutes`, `1 hour`."""
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds / size
            return f"{count:.10g} {word}{'' if count == 1 else 's'}"
    return f"{seconds:.10g} second{'' if seconds == 1 else 's'}"
