"""Dump: the events of the workers as they come, a line or a JSON object each."""

from __future__ import annotations

from .dump import Dump
from .filters import EventFilter

__all__ = ["Dump", "EventFilter"]
