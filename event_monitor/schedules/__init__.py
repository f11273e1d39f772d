"""Schedules: the periodic tasks that are expected, when each was seen last, and which stay away."""

from __future__ import annotations

from .expected import ExpectedTask, expected_tasks
from .last_seen import LastSeen
from .overdue import OverdueTasks

__all__ = ["ExpectedTask", "LastSeen", "OverdueTasks", "expected_tasks"]
