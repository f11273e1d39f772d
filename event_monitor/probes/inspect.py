"""Inspect: ask the workers what they hold. One broadcast each, answers collected by a deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kombu.exceptions import KombuError

from ..broker.control import Reply, ask_together, mailbox_of
from ..snapshot import TaskInFlight
from ..survey import WorkerAnswer
from .link import sentence

__all__ = [
    "COMMANDS",
    "ask_workers",
    "look_at_workers",
    "replies_of",
    "tasks_in_flight",
    "with_reply",
]

log = logging.getLogger(__name__)

#: What a worker is asked for one `WorkerAnswer`.
COMMANDS = ("active", "reserved", "scheduled", "revoked", "stats", "active_queues")

_HOLDING = ("scheduled", "reserved", "active")  # what is said last of a task counts

_MOST_NAMES = 2_000  # of tasks or queues taken from one worker
_LONGEST_NAME = 1_024  # characters, as in a CloudWatch dimension
_LARGEST = 2**53  # whole numbers up to it are exact as a float, and no real count is beyond it
_FAREWELL_SECONDS = 1.0


def ask_workers(
    app: Any, *, timeout: float, expected: Collection[str] = ()
) -> tuple[WorkerAnswer, ...]:
    """What each worker that answers holds, sorted by nodename; one round for everything.

    Takes ``timeout`` seconds and a second at most, connecting included; less when everybody in
    ``expected`` (nodenames) has answered everything. Who does not answer is left out. Raises
    ``ConnectionError``, with a sentence for the log, if the broker cannot be used.
    """
    return look_at_workers(app, timeout=timeout, expected=expected)[0]


def look_at_workers(
    app: Any,
    *,
    timeout: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
) -> tuple[tuple[WorkerAnswer, ...], tuple[TaskInFlight, ...]]:
    """``ask_workers``, and the tasks that run; see ``ask_together`` for whom and how long."""
    answers: dict[str, WorkerAnswer] = {}
    running: list[TaskInFlight] = []
    for reply in replies_of(
        app,
        COMMANDS,
        timeout=timeout,
        destination=destination,
        expected=expected,
        quiet_seconds=quiet_seconds,
    ):
        if reply.command == "active":
            running.extend(_known_tasks(reply.hostname, reply.body))
        answer = answers.get(reply.hostname) or WorkerAnswer(reply.hostname)
        answers[reply.hostname] = with_reply(answer, reply)
    return tuple(answers[hostname] for hostname in sorted(answers)), tuple(running)


def replies_of(
    app: Any, commands: Collection[str], *, timeout: float, **how: Any
) -> Iterator[Reply]:
    """The replies as they come; ``how`` as in ``ask_together``. Raises ``ConnectionError``."""
    deadline = time.monotonic() + timeout
    source = app.connection_for_read()
    lost = (*source.connection_errors, *source.channel_errors, KombuError, OSError)
    # What kombu raises where an answer is no message, instead of saying so.
    lost = (*lost, ValueError, TypeError, LookupError, AttributeError)
    try:
        with mailbox_of(app, source, seconds=timeout + _FAREWELL_SECONDS) as mailbox:
            yield from ask_together(mailbox, commands, deadline=deadline, **how)
    except lost as error:
        # The text of an error may be taken from the server; of URLs only the masked one.
        raise ConnectionError(
            f"the workers on {source.as_uri()} cannot be asked: {sentence(error)}"
        ) from error


def with_reply(answer: WorkerAnswer, reply: Reply) -> WorkerAnswer:
    """The answer with one more reply in it. What is malformed stays unknown."""
    return replace(answer, **_READ[reply.command](reply.body))


def tasks_in_flight(app: Any, *, timeout: float) -> tuple[TaskInFlight, ...]:
    """Every task that workers say they run, hold or have scheduled.

    Takes ``timeout`` seconds at most, less where nobody has said anything for a third of that.
    Workers that do not answer are left out. Raises ``ConnectionError`` as ``ask_workers`` does.
    """
    replies = list(replies_of(app, _HOLDING, timeout=timeout, quiet_seconds=timeout / 3))
    known: dict[str, TaskInFlight] = {}
    for reply in sorted(replies, key=lambda one: _HOLDING.index(one.command)):
        for task in _known_tasks(reply.hostname, reply.body):
            known[task.uuid] = task
    return tuple(known.values())


# -- reading replies; they come from whoever may write to the broker -------------------------------


def _known_tasks(worker: str, entries: Any) -> Iterator[TaskInFlight]:
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


def _length(field: str) -> Callable[[Any], dict[str, Any]]:
    """Reads a list of which only the length is kept."""
    return lambda body: {field: len(body) if isinstance(body, list) else None}


def _stats(body: Any) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        return {}
    total = body.get("total")
    processed = {
        name: count
        for name, one in (total.items() if isinstance(total, Mapping) else ())
        if _is_name(name) and (count := _whole(one)) is not None
    }
    return {
        "pool_processes": _pool_size(body.get("pool")),
        "memory_bytes": _peak_memory(body.get("rusage")),
        "processed": tuple(sorted(processed.items()))[:_MOST_NAMES],
    }


def _pool_size(pool: Any) -> int | None:
    """How many tasks can run at once.

    Prefork lists its processes, and solo its only one. ``max-concurrency`` is what the others
    have; of prefork it is only what the pool began with, before autoscale and ``pool_grow``.
    """
    if not isinstance(pool, Mapping):
        return None
    processes = pool.get("processes")
    if isinstance(processes, list) and processes:
        return len(processes)
    return _whole(pool.get("max-concurrency"))


def _peak_memory(rusage: Any) -> int | None:
    """Bytes of ``ru_maxrss``: the worker's main process at its peak, none of its children.

    getrusage(2) counts in units of 1,024 bytes on Linux and in bytes on macOS, and a reply does
    not say where it is from. But macOS counts messages sent and received, and Linux never does.
    """
    if not isinstance(rusage, Mapping):
        return None
    peak = _whole(rusage.get("maxrss"))
    if not peak:  # 0 is what a platform says that does not know
        return None
    of_macos = _whole(rusage.get("msgsnd")) or _whole(rusage.get("msgrcv"))
    return peak if of_macos else peak * 1_024


def _queues(body: Any) -> dict[str, Any]:
    if not isinstance(body, list):
        return {}
    names = {
        str(one["name"])
        for one in body
        if isinstance(one, Mapping) and _is_name(one.get("name")) and not _is_broadcast(one)
    }
    return {"queues": tuple(sorted(names))[:_MOST_NAMES]}


def _is_broadcast(queue: Mapping[str, Any]) -> bool:
    """Of a broadcast each worker has a queue of its own, of a random name."""
    exchange = queue.get("exchange")
    kind = exchange.get("type") if isinstance(exchange, Mapping) else None
    return kind == "fanout" or str(queue["name"]).startswith("bcast.")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME


def _whole(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if whole else None


_READ: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "active": _length("active"),
    "reserved": _length("reserved"),
    "scheduled": _length("scheduled"),
    "revoked": _length("revoked"),
    "stats": _stats,
    "active_queues": _queues,
}
