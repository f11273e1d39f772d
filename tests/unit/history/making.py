"""Short ways to make what the history is fed with."""

from __future__ import annotations

from typing import Any

from event_monitor.snapshot import EndedTask, Snapshot, TaskCounts, Window

from ...support.making import W1

NOW = 1_700_000_000.0  # what a FakeClock shows at first
PLACE = "/app/shop.py:3 in pay"


def ended(id_: str = "u1", how: Any = "succeeded", **fields: Any) -> EndedTask:
    """Return a task that ended."""
    if how in ("failed", "retried"):
        fields = {"exception": "ValueError", "place": PLACE, **fields}
    fields = {"name": "shop.pay", "worker": W1, "ended": NOW, **fields}
    return EndedTask(id=id_, how=how, **fields)


def shot(
    *,
    at: float = NOW,
    seconds: float = 60.0,
    tasks: dict[str, TaskCounts] | None = None,
    **more: Any,
) -> Snapshot:
    """Return a snapshot whose window ends ``at`` that time."""
    window = Window(opened_at=at - seconds, closed_at=at, tasks=tuple((tasks or {}).items()))
    return Snapshot(window=more.pop("window", window), **more)
