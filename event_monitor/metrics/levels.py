"""Levels: how bad the state of a queue is, by the limits of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ..settings import Settings
from ..settings.globs import matches
from ..survey import QueueDepth

__all__ = ["Level", "age_of", "level_of", "limits_for"]


class Level(IntEnum):
    """How bad it is: the exit codes of Nagios plugins, and the first three also QueueStatus."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def level_of(queue: QueueDepth, settings: Settings) -> Level | None:
    """Return the worse of the levels of length and age; None if neither has limits and is known.

    The limits are those of the first glob that matches the queue's name.
    """
    levels = [
        _level(value, limits)
        for value, limits in (
            (queue.ready, limits_for(queue.name, settings.queue_length_limits)),
            (age_of(queue), limits_for(queue.name, settings.queue_age_limits)),
        )
        if value is not None and limits is not None
    ]
    return max(levels, default=None)


def age_of(queue: QueueDepth) -> float | None:
    """Return the age of the oldest waiting message in seconds: 0 if none waits, None if unknown."""
    return 0.0 if queue.ready == 0 else queue.oldest_seconds


def _level(value: float, limits: tuple[float, float]) -> Level:
    warning, critical = limits
    if value >= critical:
        return Level.CRITICAL
    return Level.WARNING if value >= warning else Level.OK


def limits_for(
    name: str, pairs: Iterable[tuple[str, tuple[float, float]]]
) -> tuple[float, float] | None:
    """Return the limits of the first glob that matches the name; None if none does."""
    return next((limits for glob, limits in pairs if matches(name, (glob,))), None)
