"""Work: which sample tasks are sent, in which order. Always the same, so that runs compare."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

__all__ = ["SampleTask", "sample_tasks"]

SampleTask = tuple[str, tuple[object, ...], float]  # name, arguments, seconds until its eta


def sample_tasks() -> Iterator[SampleTask]:
    """An endless mixture, always the same: most succeed; some fail, retry, wait or run long."""
    for number in itertools.count():
        seconds = 0.02 + (number * 37 % 100) / 1_000  # 0.02 to 0.12, scattered
        yield "shop.send_mail", (seconds,), 0
        yield "shop.charge_card", (seconds * 2, number % 3 == 0), 0
        if number % 2:
            yield "shop.send_mail", (seconds / 2,), 0
        if number % 4 == 1:
            yield "shop.sync_stock", (seconds, 1 + number // 4 % 2), 0
        if number % 4 == 2:
            yield "shop.send_reminder", (0.01,), 1.5
        if number % 8 == 3:
            yield "shop.build_report", (1.0 + seconds,), 0
