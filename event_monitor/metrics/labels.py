"""Labels: the TaskName that a task is published under."""

from __future__ import annotations

from ..settings import Settings
from ..settings.globs import matches

__all__ = ["label_for"]


def label_for(name: str, settings: Settings) -> str | None:
    """Return the TaskName of a task: its name, its group, or None if it is in the totals only."""
    for group, globs in settings.groups:
        if matches(name, globs):
            return group
    if settings.include_tasks and not matches(name, settings.include_tasks):
        return None
    return None if matches(name, settings.exclude_tasks) else name
