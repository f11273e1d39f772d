"""Gauges: the values of what broker and workers answered.

What is not known is left out, and so is a total that is known in part only: a smaller number would
be taken for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..settings import Settings
from ..snapshot import Snapshot
from ..survey import QueueDepth, Survey, WorkerAnswer, only_reader
from .levels import Level, age_of, level_of
from .source_values import SourceValues, known

__all__ = [
    "label_of_queue",
    "queue_totals",
    "queue_values",
    "values_by_queue",
    "worker_totals",
    "worker_values",
]

_DIRECT_LABEL = "worker_direct"


def queue_values(queue: QueueDepth, survey: Survey, settings: Settings) -> SourceValues:
    """Return the gauges of one queue."""
    return _values_with_readers((queue,), survey, settings)


def label_of_queue(name: str) -> str:
    """Return the QueueName of a queue; the queues of single workers have one together."""
    return name if only_reader(name) is None else _DIRECT_LABEL


def values_by_queue(survey: Survey, settings: Settings) -> dict[str, SourceValues]:
    """Return the gauges by QueueName; the queues of single workers are one together."""
    labelled: dict[str, list[QueueDepth]] = {}
    for queue in survey.queues or ():
        labelled.setdefault(label_of_queue(queue.name), []).append(queue)
    return {
        label: _values_with_readers(queues, survey, settings) for label, queues in labelled.items()
    }


def queue_totals(snapshot: Snapshot, settings: Settings) -> SourceValues:
    """Return the gauges of all queues: lengths and rates are added up, the highest age counts.

    Where the broker reports no rates they are computed: deliveries are the tasks that workers
    received in the window, and arrivals are these plus the growth of what waits. Unless only some
    of the tasks in these queues are counted.
    """
    queues, window = snapshot.survey.queues, snapshot.window
    if queues is None:
        return {}
    totals = _values_of(queues, snapshot.survey, settings)
    totals |= known({"queues_unread": _sum((_is_in_vain(queue) for queue in queues), 0)})
    seconds = window.closed_at - window.opened_at
    is_reported = any(queue.deliveries_per_second is not None for queue in queues)
    is_part = bool(settings.only_tasks or settings.only_workers)
    if is_reported or is_part or seconds <= 0 or not snapshot.link.has_listened:
        return totals
    drain = sum(counts.received for _, counts in window.tasks) / seconds
    growth = snapshot.survey.ready_growth_per_second
    arrival = None if growth is None else max(0.0, drain + growth)
    time_to_empty = _time_to_empty(_sum(_ready(queues)), arrival, drain)
    return totals | known(
        {"arrival_rate": arrival, "drain_rate": drain, "time_to_empty": time_to_empty}
    )


def worker_totals(survey: Survey) -> SourceValues:
    """Return the gauges of all workers; those of which one may have more to say are unknown."""
    totals = known({"stalled": None if survey.stalled is None else len(survey.stalled)})
    answers = survey.workers
    if answers is None or survey.absent:
        return totals
    none = None if answers else 0  # without workers it is zero, not unknown
    return totals | known(
        {
            "reserved": _sum((answer.reserved for answer in answers), none),
            "scheduled": _sum((answer.scheduled for answer in answers), none),
            "revoked_held": _sum((answer.revoked for answer in answers), none),
            "pool_processes": _sum((answer.pool_processes for answer in answers), none),
            "utilization": _utilization(answers),
            "worker_memory": _max(answer.memory_bytes for answer in answers),
        }
    )


def worker_values(survey: Survey) -> dict[str, SourceValues]:
    """Return the gauges of each worker that answered, or is stalled, by nodename."""
    values = {
        answer.hostname: known(
            {
                "reserved": answer.reserved,
                "scheduled": answer.scheduled,
                "revoked_held": answer.revoked,
                "pool_processes": answer.pool_processes,
                "utilization": _utilization((answer,)),
                "worker_memory": answer.memory_bytes,
            }
        )
        for answer in survey.workers or ()
    }
    if survey.stalled is not None:
        for hostname in {*values, *survey.stalled}:
            values.setdefault(hostname, {})["stalled"] = int(hostname in survey.stalled)
    return values


def _is_in_vain(queue: QueueDepth) -> bool | None:
    """Return whether messages wait where nobody reads; None if that is unknown."""
    if queue.is_unread is False or queue.ready == 0:
        return False
    return None if queue.is_unread is None or queue.ready is None else True


def _values_of(queues: Sequence[QueueDepth], survey: Survey, settings: Settings) -> SourceValues:
    """Return the gauges of these queues together; one that does not exist has nothing to add."""
    queues = [queue for queue in queues if not queue.missing]
    ready = _sum(_ready(queues))
    arrival = _sum(queue.arrivals_per_second for queue in queues)
    drain = _sum(queue.deliveries_per_second for queue in queues)
    return known(
        {
            "queue_length": ready,
            "queue_unacked": _sum(queue.unacked for queue in queues),
            "queue_consumers": _sum(queue.consumers for queue in queues),
            "oldest_message": _max(age_of(queue) for queue in queues),
            "queue_status": _status(queues, settings),
            "backlog_per_worker": _backlog_per_worker(queues, survey),
            "arrival_rate": arrival,
            "drain_rate": drain,
            "time_to_empty": _time_to_empty(ready, arrival, drain),
        }
    )


def _values_with_readers(
    queues: Sequence[QueueDepth], survey: Survey, settings: Settings
) -> SourceValues:
    """Return the gauges of these queues, and of the workers that read them."""
    values = _values_of(queues, survey, settings)
    readers = _readers(frozenset(queue.name for queue in queues), survey)
    if readers is None:
        return values
    return values | known(
        {
            "pool_processes": _sum((answer.pool_processes for answer in readers), 0),
            "utilization": _utilization(readers),
        }
    )


def _ready(queues: Iterable[QueueDepth]) -> list[int | None]:
    return [queue.ready for queue in queues if not queue.missing]


def _status(queues: Iterable[QueueDepth], settings: Settings) -> int | None:
    """Return the worst level; unknown queues may be worse, unless it is the worst there is."""
    levels = [(level_of(queue, settings), queue.ready) for queue in queues]
    worst = max((level for level, _ in levels if level is not None), default=None)
    if worst is None:
        return None
    if worst < Level.CRITICAL and any(ready is None for _, ready in levels):
        return None
    return int(worst)  # sinks and spool take plain numbers


def _backlog_per_worker(queues: Sequence[QueueDepth], survey: Survey) -> float | None:
    """Return the messages per pool process; without a process, as if there were one.

    What workers hold until its eta is no backlog. None while it is unknown how many processes
    serve the queues.
    """
    ready = _sum(queue.ready for queue in queues)
    readers = _readers(frozenset(queue.name for queue in queues), survey)
    if ready is None or readers is None:
        return None
    processes = _sum((answer.pool_processes for answer in readers), 0)
    held = _held_for_now(queues, readers)
    if processes is None or held is None:
        return None
    return (ready + held) / max(1, processes)


def _readers(names: frozenset[str], survey: Survey) -> list[WorkerAnswer] | None:
    """Return the answers of the workers that read these queues; None if one may be missing."""
    answers = survey.workers
    if answers is None or any(gone.may_read(names) for gone in survey.absent):
        return None
    if any(answer.queues is None for answer in answers):
        return None
    return [answer for answer in answers if not names.isdisjoint(answer.queues or ())]


def _held_for_now(queues: Sequence[QueueDepth], readers: Iterable[WorkerAnswer]) -> float | None:
    """Return the unacknowledged messages that wait for no eta; None if that cannot be told.

    Where the broker reports none of the unacknowledged, only what is ready counts.
    """
    if all(queue.unacked is None for queue in queues):
        return 0
    unacked = _sum(queue.unacked for queue in queues)
    names = frozenset(queue.name for queue in queues)
    scheduled = _sum((_scheduled_from(names, reader) for reader in readers), 0)
    return None if unacked is None or scheduled is None else max(0, unacked - scheduled)


def _scheduled_from(names: frozenset[str], reader: WorkerAnswer) -> int | None:
    """Return how many tasks the worker took from these queues and holds until their eta.

    A task came from the queue that its routing key names; if there is none of that name, from any
    that the worker reads.
    """
    own = frozenset(reader.queues or ())
    if not reader.scheduled or own <= names:
        return reader.scheduled
    by_queue = {key: count for key, count in reader.scheduled_by_key if key in own}
    if sum(by_queue.values()) != reader.scheduled:
        return None
    return sum(count for name, count in by_queue.items() if name in names)


def _utilization(answers: Iterable[WorkerAnswer]) -> float | None:
    active = _sum(answer.active for answer in answers)
    processes = _sum(answer.pool_processes for answer in answers)
    return None if active is None or not processes else 100.0 * active / processes


def _time_to_empty(ready: float | None, arrival: float | None, drain: float | None) -> float | None:
    if ready == 0:
        return 0.0
    if ready is None or arrival is None or drain is None or drain <= arrival:
        return None
    return ready / (drain - arrival)


def _sum(values: Iterable[float | None], of_none: float | None = None) -> float | None:
    """Return the sum; None if one of them is unknown, and ``of_none`` of no values."""
    total: float | None = of_none
    for value in values:
        if value is None:
            return None
        total = value if total is None else total + value
    return total


def _max(values: Iterable[float | None]) -> float | None:
    """Return the highest; None if one of them is unknown, or there are none."""
    highest: float | None = None
    for value in values:
        if value is None:
            return None
        highest = value if highest is None else max(highest, value)
    return highest
