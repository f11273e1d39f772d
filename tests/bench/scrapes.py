"""Scrapes: the CPU time of a page for Prometheus, of so many lines, in this process."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

from event_monitor.distribution import Distribution
from event_monitor.settings import Settings
from event_monitor.snapshot import Live, Snapshot, TaskCounts, Window
from event_monitor.web.views import Views

_ROUNDS = 15
_TIMES = Distribution(tuple(0.01 * 1.1**place for place in range(100)), (10,) * 100)
_COUNTS = TaskCounts(*(1_000,) * 6, runtime=_TIMES, queue_time=_TIMES)


def scrape(names: int) -> tuple[int, float]:
    """Return the lines of a page with so many task names, and its milliseconds of CPU time.

    Each page shows a new look at the open window, so none is taken from memory.
    """
    tasks = tuple((f"shop.tasks.job_{number}", _COUNTS) for number in range(names))
    pairs = tuple((name, "celery", counts) for name, counts in tasks)
    live = Live(taken_at=61.0, opened_at=60.0, tasks=tasks, by_task_and_queue=pairs)
    views = Views(Settings(), peek=lambda: replace(live), problem=lambda: None)
    views(Snapshot(Window(0.0, 60.0, tasks=tasks, by_task_and_queue=pairs)))
    text, spent = b"", []
    for _ in range(_ROUNDS):
        began = time.process_time()
        text = views.metrics(scraper="prometheus", openmetrics=True)
        spent.append(1_000 * (time.process_time() - began))
    return text.count(b"\n"), median(spent)
