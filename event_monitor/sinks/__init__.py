"""Sinks: where metrics end up. Each takes metrics, and says exactly what became of them."""

from __future__ import annotations

from .sink import Outcome, Sink, SinkFinding, SinkUnavailableError

__all__ = ["Outcome", "Sink", "SinkFinding", "SinkUnavailableError"]
