"""Worker facts: what a worker's process knows of itself, as it would answer ``inspect``.

Read in the worker's own loop: attributes, lengths, and a line of /proc for each process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["resident_bytes", "task_counts", "worker_facts"]

_MOST_QUEUES = 200  # and the most characters of all their names: a heartbeat is one message
_MOST_CHARACTERS = 10_000
_LONGEST_INTERVAL = 30 * 86_400.0  # seconds; one task a month is slow enough


def worker_facts(worker: Any) -> dict[str, object]:
    """Return what is known of a ``WorkController``; what cannot be found out is left out."""
    info: Mapping[str, Any] = {}
    with suppress(Exception):
        info = worker.pool.info
    readers: dict[str, Callable[[], object]] = {
        "pool_processes": lambda: _pool_size(info),
        "is_solo": lambda: "solo" in info["implementation"],
        "active": lambda: len(_state().active_requests),
        "reserved": _reserved,
        "scheduled": lambda: _scheduled(worker.consumer.timer),
        "revoked": lambda: len(_state().revoked),
        "prefetch_count": lambda: int(worker.consumer.qos.value),
        "memory_bytes": lambda: resident_bytes({os.getpid(), *info.get("processes", ())}),
        "silent": lambda: _silent(worker.app.tasks),
        "start_interval_seconds": lambda: _start_interval(worker.app.tasks),
        "queues": lambda: _queue_names(worker.consumer.task_consumer.queues),
    }
    facts = {}
    for name, read in readers.items():
        with suppress(Exception):  # another Celery, a pool of somebody's own, a consumer not there
            facts[name] = read()
    return {name: value for name, value in facts.items() if value is not None}


def task_counts() -> dict[str, int]:
    """Return how many tasks run, and how many this worker has begun, as its heartbeats say."""
    state = _state()
    return {"active": len(state.active_requests), "processed": state.all_total_count[0]}


def resident_bytes(pids: Iterable[int], *, proc: Path = Path("/proc")) -> int | None:
    """Return the resident memory of these processes together; None without /proc.

    Pages that they share count once for each.
    """
    pages = 0
    for pid in pids:
        try:
            pages += int((proc / str(pid) / "statm").read_text().split()[1])
        except FileNotFoundError:
            if pid == os.getpid():
                return None  # no Linux
    return pages * os.sysconf("SC_PAGE_SIZE")


def _state() -> Any:
    from celery.worker import state

    return state


def _pool_size(info: Mapping[str, Any]) -> int | None:
    """Return how many tasks can run at once; prefork and solo list their processes."""
    processes = info.get("processes")
    if isinstance(processes, list) and processes:
        return len(processes)
    size = info.get("max-concurrency")
    return size if isinstance(size, int) else None


def _reserved() -> int:
    """Return how many tasks were received and have not begun."""
    state = _state()
    return max(0, len(state.reserved_requests) - len(state.active_requests))


def _scheduled(timer: Any) -> int:
    """Return how many tasks wait for their eta; the timer holds other things as well."""
    from celery.worker.request import Request

    entries = timer.schedule._queue  # noqa: SLF001  its ``queue`` is a sorted copy
    waiting = (item.entry for item in tuple(entries))
    return sum(
        1
        for entry in waiting
        if not entry.canceled and entry.args and isinstance(entry.args[0], Request)
    )


def _silent(tasks: Mapping[str, Any]) -> int:
    """Return how many of the tasks that were begun send no events on purpose."""
    begun = dict(_state().total_count)  # of the names that were run, which are few
    silent = (name for name in begun if name in tasks and not tasks[name].send_events)
    return sum(begun[name] for name in silent)


def _start_interval(tasks: Mapping[str, Any]) -> float:
    """Return the seconds between two starts at the lowest rate limit; 0 without limits.

    A worker holds tasks of a limit back where neither ``reserved`` nor ``active`` counts them.
    """
    from celery.utils.time import rate

    limits = {task.rate_limit for task in tuple(tasks.values()) if task.rate_limit}
    starts_per_second = [found for found in map(rate, limits) if found > 0]
    return min(1 / min(starts_per_second), _LONGEST_INTERVAL) if starts_per_second else 0.0


def _queue_names(queues: Iterable[Any]) -> list[str] | None:
    """Return the queues that are read, without those of broadcasts; None if they are too many."""
    names = sorted(
        queue.name
        for queue in queues
        if queue.exchange.type != "fanout" and not queue.name.startswith("bcast.")
    )
    if len(names) > _MOST_QUEUES or sum(map(len, names)) > _MOST_CHARACTERS:
        return None
    return names
