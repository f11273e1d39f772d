"""History: recent tasks, failures grouped, minutes and hours, incidents. SQLite, bounded.

``Recorder`` is fed by the monitor, and ``Reader`` tells what is there, also when it is dead.
"""

from __future__ import annotations

from .file import FILE_NAME
from .long_runs import LongRun, Points, long_runs, too_long_runs
from .prune import prune
from .reader import Reader
from .recorder import Recorder
from .store import kept_seconds
from .values import (
    HOUR,
    MINUTE,
    STATES,
    FailureGroup,
    Incident,
    Kept,
    Page,
    QueuePoint,
    Run,
    RunFilter,
    Span,
    TaskPoint,
)

__all__ = [
    "FILE_NAME",
    "HOUR",
    "MINUTE",
    "STATES",
    "FailureGroup",
    "Incident",
    "Kept",
    "LongRun",
    "Page",
    "Points",
    "QueuePoint",
    "Reader",
    "Recorder",
    "Run",
    "RunFilter",
    "Span",
    "TaskPoint",
    "kept_seconds",
    "long_runs",
    "prune",
    "too_long_runs",
]
