"""Workload: which sample tasks are sent, in which order. Always the same, so that runs compare."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["SampleTask", "sample_tasks"]


class SampleTask(NamedTuple):
    """One task to send."""

    name: str
    args: tuple[object, ...]
    countdown_seconds: float = 0.0  # until its eta; 0: it has none


def sample_tasks() -> Iterator[SampleTask]:
    """Yield an endless mixture: most succeed; some fail, retry, wait for an eta or run long."""
    for number in itertools.count():
        seconds = 0.02 + (number * 37 % 100) / 1_000  # 0.02 to 0.12, scattered
        yield SampleTask("shop.send_mail", (seconds,))
        yield SampleTask("shop.charge_card", (seconds * 2, number % 3 == 0))
        if number % 2:
            yield SampleTask("shop.send_mail", (seconds / 2,))
        if number % 4 == 1:
            yield SampleTask("shop.sync_stock", (seconds, 1 + number // 4 % 2))
        if number % 4 == 2:
            yield SampleTask("shop.send_reminder", (0.01,), countdown_seconds=1.5)
        if number % 8 == 3:
            yield SampleTask("shop.build_report", (1.0 + seconds,))
