"""Moments: durations and times as a person writes them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timezone

__all__ = ["parse_moment", "parse_seconds"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(?P<number>[0-9]{1,12}(\.[0-9]{1,12})?)(?P<unit>[smhd]?)")


def parse_seconds(text: str) -> float | None:
    """Return the seconds of ``90``, ``90s``, ``5m``, ``1h`` or ``2d``; None if it is none."""
    found = _DURATION.fullmatch(text.strip())
    return None if found is None else float(found["number"]) * _UNITS[found["unit"]]


def parse_moment(text: str, *, now: float) -> float | None:
    """Return the time of ``2h`` (ago) or ``2026-01-31T12:00``, seconds since the epoch.

    Without a zone it is UTC. None if it is no time.
    """
    seconds = parse_seconds(text)
    if seconds is not None:
        return max(0.0, now - seconds)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
