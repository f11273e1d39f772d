"""Command line: the console script and ``celery event-monitor``; all that knows click."""

from __future__ import annotations

from .main import celery_command, main

__all__ = ["celery_command", "main"]
