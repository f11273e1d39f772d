"""Quantities: how seconds and bytes are shown to people, everywhere. Pure."""

from __future__ import annotations

__all__ = ["UNKNOWN", "duration", "size", "took"]

UNKNOWN = "?"


def duration(seconds: float | None) -> str:
    """Return two units at most, such as ``2h 01m``."""
    if seconds is None:
        return UNKNOWN
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3_600:,}h {whole % 3_600 // 60:02}m"


def took(seconds: float | None) -> str:
    """Return how long something ran or waited, such as ``312 ms``, ``2.41 s`` or ``6m 12s``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.001:
        return "< 1 ms" if seconds > 0 else "0 ms"
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 60 else duration(seconds)


def size(value: float | None) -> str:
    """Return bytes, such as ``212 MB``."""
    if value is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1_000 or unit == "GB":
            return f"{value:,.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1_000
    raise AssertionError
