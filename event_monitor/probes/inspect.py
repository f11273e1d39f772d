"""Inspect: ask the workers what they hold, in one round of commands with one deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from kombu.exceptions import KombuError

from ..broker.control import Arguments, Reply, collect_replies, mailbox_of
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import TaskInFlight
from ..survey import WorkerAnswer
from ..text import one_line

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

_HOLDING = ("scheduled", "reserved", "active")  # where a task is in two of them, the last counts

_MOST_NAMES = 2_000  # of tasks or queues taken from one worker
_LONGEST_NAME = 1_024  # characters, as in a CloudWatch dimension
_LARGEST = 2**53  # whole numbers up to it are exact as a float, and no real count is beyond it
_CLOSE_SECONDS = 1.0  # beyond the time for replies, to close the connection


def ask_workers(
    app: CeleryApp,
    *,
    timeout: float,
    expected: Collection[str] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[WorkerAnswer, ...]:
    """Return what each worker that answers holds, sorted by nodename.

    Takes ``timeout`` seconds and a second at most, connecting included; less when everybody in
    ``expected`` (nodenames) has answered everything. A worker that does not answer is left out.
    Raises ``ConnectionError``, with a sentence for the log, if the broker cannot be used.
    """
    return look_at_workers(app, timeout=timeout, expected=expected, clock=clock)[0]


def look_at_workers(
    app: CeleryApp,
    *,
    timeout: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[tuple[WorkerAnswer, ...], tuple[TaskInFlight, ...]]:
    """Return the answers as ``ask_workers`` does, and the tasks that are running.

    Whom it asks and how long it waits is as in ``collect_replies``.
    """
    answers: dict[str, WorkerAnswer] = {}
    running: list[TaskInFlight] = []
    for reply in replies_of(
        app,
        COMMANDS,
        timeout=timeout,
        destination=destination,
        expected=expected,
        quiet_seconds=quiet_seconds,
        clock=clock,
    ):
        if reply.command == "active":
            running.extend(_known_tasks(reply.hostname, reply.body))
        answer = answers.get(reply.hostname) or WorkerAnswer(reply.hostname)
        answers[reply.hostname] = with_reply(answer, reply)
    return tuple(answers[hostname] for hostname in sorted(answers)), tuple(running)


def replies_of(
    app: CeleryApp,
    commands: Collection[str],
    *,
    timeout: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
    arguments: Arguments | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Reply]:
    """Yield the replies to these commands as they come, on a connection of its own.

    The other parameters are those of ``collect_replies``. Raises ``ConnectionError``, with a
    sentence for the log, if the broker cannot be used.
    """
    deadline = clock.monotonic() + timeout
    source = app.connection_for_read()
    lost = (*source.connection_errors, *source.channel_errors, KombuError, OSError)
    # What kombu lets through where a reply is not even a message.
    lost = (*lost, ValueError, TypeError, LookupError, AttributeError)
    try:
        with mailbox_of(app, source, seconds=timeout + _CLOSE_SECONDS) as mailbox:
            yield from collect_replies(
                mailbox,
                commands,
                deadline=deadline,
                destination=destination,
                expected=expected,
                quiet_seconds=quiet_seconds,
                arguments=arguments,
                clock=clock,
            )
    except lost as error:
        # The text is the server's or the driver's; of the URL only the masked form is shown.
        raise ConnectionError(
            f"the workers on {source.as_uri()} cannot be asked: {one_line(error)}"
        ) from error


def with_reply(answer: WorkerAnswer, reply: Reply) -> WorkerAnswer:
    """Return the answer with one more reply in it. What is malformed stays unknown."""
    return _READERS[reply.command](answer, reply.body)


def tasks_in_flight(
    app: CeleryApp, *, timeout: float, clock: Clock = SYSTEM_CLOCK
) -> tuple[TaskInFlight, ...]:
    """Return every task that a worker runs, has reserved or has scheduled.

    Takes ``timeout`` seconds at most, less when no reply has come for a third of that. Workers
    that do not answer are left out. Raises ``ConnectionError`` as ``ask_workers`` does.
    """
    replies = list(
        replies_of(app, _HOLDING, timeout=timeout, quiet_seconds=timeout / 3, clock=clock)
    )
    known: dict[str, TaskInFlight] = {}
    for reply in sorted(replies, key=lambda reply: _HOLDING.index(reply.command)):
        for task in _known_tasks(reply.hostname, reply.body):
            known[task.uuid] = task
    return tuple(known.values())


# -- reading replies; they come from whoever may write to the broker -------------------------------


def _known_tasks(worker: str, entries: object) -> Iterator[TaskInFlight]:
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


def _length(body: object) -> int | None:
    return len(body) if isinstance(body, list) else None


def _with_stats(answer: WorkerAnswer, body: object) -> WorkerAnswer:
    if not isinstance(body, Mapping):
        return answer
    return replace(
        answer,
        pool_processes=_pool_size(body.get("pool")),
        memory_bytes=_peak_memory(body.get("rusage")),
        processed=_processed(body.get("total")),
    )


def _processed(total: object) -> tuple[tuple[str, int], ...]:
    """Return how many tasks the worker has begun since it started, by task name."""
    processed = {
        name: count
        for name, value in (total.items() if isinstance(total, Mapping) else ())
        if _is_name(name) and (count := _whole(value)) is not None
    }
    return tuple(sorted(processed.items()))[:_MOST_NAMES]


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
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None


_READERS: Mapping[str, Callable[[WorkerAnswer, object], WorkerAnswer]] = {
    "active": lambda answer, body: replace(answer, active=_length(body)),
    "reserved": lambda answer, body: replace(answer, reserved=_length(body)),
    "scheduled": lambda answer, body: replace(answer, scheduled=_length(body)),
    "revoked": lambda answer, body: replace(answer, revoked=_length(body)),
    "stats": _with_stats,
    "active_queues": _with_queues,
}
