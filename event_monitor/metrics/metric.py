"""Metric: one value of one series, ready for any sink."""

from __future__ import annotations

from dataclasses import dataclass

from ..distribution import Distribution

__all__ = ["Metric"]


Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of one series.

    ``timestamp`` is the start of its window, seconds since the epoch. ``value`` is a number, or a
    non-empty distribution. Dimensions are (name, value) pairs, static ones first.
    """

    name: str
    unit: str
    timestamp: float
    value: float | Distribution
    dimensions: Dimensions = ()
