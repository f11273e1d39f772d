"""Globs: how a setting names several tasks or queues at once."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["matches"]


def matches(name: str, globs: Iterable[str]) -> bool:
    """Return whether one of the globs matches the whole name; case matters."""
    return any(fnmatchcase(name, glob) for glob in globs)
