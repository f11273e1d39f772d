"""Phrases: numbers, durations and names as a report shows them. Pure."""

from __future__ import annotations

from collections.abc import Sized

from ..liveness import SignOfLife
from ..quantities import UNKNOWN, duration

__all__ = ["cut", "monitor_facts", "number", "workers_answer"]


def number(value: float | None) -> str:
    """Return a count, or a rate with one decimal."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def workers_answer(workers: Sized) -> str:
    """Return how many workers answer, as a sentence."""
    return "1 worker answers" if len(workers) == 1 else f"{len(workers):,} workers answer"


def cut(name: str, room: int) -> str:
    """Return the name's beginning and end, where hosts and queues differ, in ``room`` columns."""
    if len(name) <= room:
        return name
    head = (room - 1) // 2
    return f"{name[:head]}…{name[head + 1 - room :]}"


def monitor_facts(sign: SignOfLife) -> str:
    """Return what a sign of life says: the last shot, and what the publisher does."""
    facts = [f"the last shot was {duration(sign.age_seconds)} ago"]
    if sign.stands_by:
        return f"standby, another monitor publishes, {facts[0]}"
    if sign.sending_seconds is not None:
        facts.append(f"sending, for {duration(sign.sending_seconds)} then")
    if sign.accepted_seconds is not None:
        facts.append(f"metrics were last accepted {duration(sign.accepted_seconds)} ago")
    elif sign.running_seconds is not None:
        had_run = max(0.0, sign.running_seconds - sign.age_seconds)
        facts.append(f"no metrics had been accepted then, {duration(had_run)} after its start")
    return ", ".join(facts)
