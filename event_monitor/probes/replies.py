"""Replies: what workers reply to inspect, read into values. Pure.

Replies come from whoever may write to the broker: what is malformed stays unknown, and what is
kept is bounded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ..broker.control import Reply
from ..snapshot import TaskInFlight
from ..survey import WorkerAnswer

__all__ = ["COMMANDS", "known_tasks", "start_interval", "with_reply"]

#: What a worker is asked for one `WorkerAnswer`.
COMMANDS = ("active", "reserved", "scheduled", "revoked", "stats", "active_queues")

_MOST_NAMES = 2_000  # of tasks or queues taken from one worker
_MOST_KEYS = 100  # routing keys of scheduled tasks told apart
_LONGEST_NAME = 1_024  # characters, as in a CloudWatch dimension
_LIMITED = re.compile(r" \[rate_limit=([\d.e+-]+)(?:/([smh]))?\]$")  # a task in `registered`
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0}
_LONGEST_INTERVAL = 30 * 86_400.0  # seconds; one task a month is slow enough
_LARGEST = 2**53  # whole numbers up to it are exact as a float, and no real count is beyond it


def with_reply(answer: WorkerAnswer, reply: Reply) -> WorkerAnswer:
    """Return the answer with one more reply in it. What is malformed stays unknown."""
    return _READERS[reply.command](answer, reply.body)


def known_tasks(worker: str, entries: object) -> Iterator[TaskInFlight]:
    """Yield the tasks in a reply to ``active``, ``reserved`` or ``scheduled``."""
    for entry in entries if isinstance(entries, list) else ():
        request = entry.get("request", entry) if isinstance(entry, Mapping) else {}
        if not isinstance(request, Mapping):
            continue
        uuid, name = request.get("id"), request.get("name") or request.get("type")
        if not isinstance(uuid, str) or not isinstance(name, str):
            continue
        started = request.get("time_start")
        since = None
        if isinstance(started, (int, float)) and 0 < started <= _LARGEST:
            since = float(started)
        yield TaskInFlight(uuid, name, worker, running_since=since)


def start_interval(registered: object) -> float | None:
    """Return the seconds between two starts of a task at the lowest rate limit; 0 without limits.

    ``registered`` is the reply to that command, asked for ``rate_limit``. A worker holds tasks of
    a limit back where inspect does not show them: neither as reserved nor as active.
    """
    if not isinstance(registered, list):
        return None
    return max((_interval(task) for task in registered if isinstance(task, str)), default=0.0)


def _interval(task: str) -> float:
    found = _LIMITED.search(task)
    if found is None:
        return 0.0
    try:
        starts_per_second = float(found[1]) / _SECONDS[found[2] or "s"]
    except ValueError:
        return 0.0
    if starts_per_second <= 0:  # Celery takes 0 for no limit
        return 0.0
    return min(1 / starts_per_second, _LONGEST_INTERVAL)


def _length(body: object) -> int | None:
    return len(body) if isinstance(body, list) else None


def _with_stats(answer: WorkerAnswer, body: object) -> WorkerAnswer:
    if not isinstance(body, Mapping):
        return answer
    return replace(
        answer,
        is_solo=_is_solo(body.get("pool")),
        pool_processes=_pool_size(body.get("pool")),
        memory_bytes=_peak_memory(body.get("rusage")),
        processed=_processed(body.get("total")),
        prefetch_count=_whole(body.get("prefetch_count")),
        uptime_seconds=_whole(body.get("uptime")),
    )


def _processed(total: object) -> tuple[tuple[str, int], ...]:
    """Return how many tasks the worker has begun since it started, by task name."""
    processed = {
        name: count
        for name, value in (total.items() if isinstance(total, Mapping) else ())
        if _is_name(name) and (count := _whole(value)) is not None
    }
    return tuple(sorted(processed.items()))[:_MOST_NAMES]


def _is_solo(pool: object) -> bool | None:
    """Return whether the pool is Celery's solo pool, or one derived from it; None if unknown."""
    implementation = pool.get("implementation") if isinstance(pool, Mapping) else None
    return "solo" in implementation if isinstance(implementation, str) else None


def _pool_size(pool: object) -> int | None:
    """Return how many tasks can run at once.

    Prefork lists its processes, and solo its only one. ``max-concurrency`` is what the others
    have; of prefork it is only what the pool began with, before autoscale and ``pool_grow``.
    """
    if not isinstance(pool, Mapping):
        return None
    processes = pool.get("processes")
    if isinstance(processes, list) and processes:
        return len(processes)
    return _whole(pool.get("max-concurrency"))


def _peak_memory(rusage: object) -> int | None:
    """Return ``ru_maxrss`` in bytes: the worker's main process at its peak, none of its children.

    getrusage(2) counts in units of 1,024 bytes on Linux and in bytes on macOS, and a reply does
    not say which system it is from. But macOS counts messages sent and received, and Linux never
    does.
    """
    if not isinstance(rusage, Mapping):
        return None
    peak = _whole(rusage.get("maxrss"))
    if not peak:  # platforms that do not measure it report 0
        return None
    is_macos = _whole(rusage.get("msgsnd")) or _whole(rusage.get("msgrcv"))
    return peak if is_macos else peak * 1_024


def _with_scheduled(answer: WorkerAnswer, body: object) -> WorkerAnswer:
    if not isinstance(body, list):
        return replace(answer, scheduled=None)
    keys = Counter(filter(None, map(_routing_key, body)))
    return replace(
        answer,
        scheduled=len(body),
        scheduled_by_key=tuple(sorted(keys.most_common(_MOST_KEYS))),
    )


def _routing_key(entry: object) -> str:
    """Return the routing key that a scheduled task was sent with; empty if it is not known."""
    for part in ("request", "delivery_info", "routing_key"):
        entry = entry.get(part) if isinstance(entry, Mapping) else None
    return entry if isinstance(entry, str) and _is_name(entry) else ""


def _with_queues(answer: WorkerAnswer, body: object) -> WorkerAnswer:
    if not isinstance(body, list):
        return answer
    names = {
        str(queue["name"])
        for queue in body
        if isinstance(queue, Mapping) and _is_name(queue.get("name")) and not _is_broadcast(queue)
    }
    return replace(answer, queues=tuple(sorted(names))[:_MOST_NAMES])


def _is_broadcast(queue: Mapping[str, object]) -> bool:
    """Return whether it is a queue of a broadcast: each worker has its own, with a random name."""
    exchange = queue.get("exchange")
    exchange_type = exchange.get("type") if isinstance(exchange, Mapping) else None
    return exchange_type == "fanout" or str(queue["name"]).startswith("bcast.")


def _is_name(value: object) -> bool:
    """Return whether it may be a name: a lone surrogate, which has no UTF-8, is in none."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        return False
    return value == value.encode("utf-8", "replace").decode()


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None


_READERS: Mapping[str, Callable[[WorkerAnswer, object], WorkerAnswer]] = {
    "active": lambda answer, body: replace(answer, active=_length(body)),
    "reserved": lambda answer, body: replace(answer, reserved=_length(body)),
    "scheduled": _with_scheduled,
    "revoked": lambda answer, body: replace(answer, revoked=_length(body)),
    "stats": _with_stats,
    "active_queues": _with_queues,
}
