"""Gauges: the values of what broker and workers answered. What is not known is left out."""

from __future__ import annotations

from collections.abc import Iterable

from ..settings import Settings
from ..snapshot import Snapshot
from ..survey import QueueDepth, Survey, WorkerAnswer
from .levels import age_of, level_of
from .source_values import SourceValues, known

__all__ = ["queue_totals", "queue_values", "worker_totals", "worker_values"]


def queue_values(queue: QueueDepth, survey: Survey, settings: Settings) -> SourceValues:
    """Return the gauges of one queue."""
    return known(
        {
            "queue_length": queue.ready,
            "queue_unacked": queue.unacked,
            "queue_consumers": _consumers(queue, survey),
            "oldest_message": age_of(queue),
            "queue_status": _status(queue, settings),
            "backlog_per_worker": _backlog_per_worker((queue,), survey),
            "arrival_rate": queue.arrivals_per_second,
            "drain_rate": queue.deliveries_per_second,
            "time_to_empty": _time_to_empty(
                queue.ready, queue.arrivals_per_second, queue.deliveries_per_second
            ),
        }
    )


def queue_totals(snapshot: Snapshot, settings: Settings) -> SourceValues:
    """Return the gauges of all queues: lengths and rates are added up, the highest age counts."""
    survey, queues = snapshot.survey, snapshot.survey.queues
    if queues is None:
        return {}
    ready = _sum(queue.ready for queue in queues)
    arrival, drain = _rates(snapshot, queues)
    return known(
        {
            "queue_length": ready,
            "queue_unacked": _sum(queue.unacked for queue in queues),
            "queue_consumers": _sum(_consumers(queue, survey) for queue in queues),
            "oldest_message": _max(age_of(queue) for queue in queues),
            "queue_status": _max(_status(queue, settings) for queue in queues),
            "backlog_per_worker": _backlog_per_worker(queues, survey),
            "arrival_rate": arrival,
            "drain_rate": drain,
            "time_to_empty": _time_to_empty(ready, arrival, drain),
        }
    )


def worker_totals(survey: Survey) -> SourceValues:
    """Return the gauges of all workers that answered."""
    totals = known({"stalled": None if survey.stalled is None else len(survey.stalled)})
    answers = survey.workers
    if answers is None:
        return totals
    default = None if answers else 0  # without workers it is zero, not unknown
    return totals | known(
        {
            "reserved": _sum((answer.reserved for answer in answers), default),
            "scheduled": _sum((answer.scheduled for answer in answers), default),
            "revoked_held": _sum((answer.revoked for answer in answers), default),
            "pool_processes": _sum((answer.pool_processes for answer in answers), default),
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


def _status(queue: QueueDepth, settings: Settings) -> int | None:
    level = level_of(queue, settings)
    return None if level is None else int(level)  # sinks and spool take plain numbers


def _consumers(queue: QueueDepth, survey: Survey) -> int | None:
    """Return the broker's number of consumers.

    Redis has none: then it is the number of workers that say they read the queue, and None if
    one of them did not say what it reads.
    """
    if queue.consumers is not None or survey.workers is None:
        return queue.consumers
    queues_of_workers = [answer.queues for answer in survey.workers]
    if None in queues_of_workers:
        return None
    return sum(queue.name in (names or ()) for names in queues_of_workers)


def _rates(snapshot: Snapshot, queues: Iterable[QueueDepth]) -> tuple[float | None, float | None]:
    """Return arrivals and deliveries per second of all queues.

    Where the broker reports no rates they are computed: deliveries are the tasks that workers
    received in the window, and arrivals are these plus the growth of what waits.
    """
    window = snapshot.window
    arrival = _sum(queue.arrivals_per_second for queue in queues)
    drain = _sum(queue.deliveries_per_second for queue in queues)
    seconds = window.closed_at - window.opened_at
    if drain is None and seconds > 0 and snapshot.link.has_listened:
        drain = sum(counts.received for _, counts in window.tasks) / seconds
        growth = snapshot.survey.ready_growth_per_second
        if growth is not None:
            arrival = max(0.0, drain + growth)
    return arrival, drain


def _backlog_per_worker(queues: Iterable[QueueDepth], survey: Survey) -> float | None:
    """Return the messages per pool process; without a process, as if there were one.

    None while it is unknown how many processes serve the queues.
    """
    counted = [queue for queue in queues if queue.ready is not None]
    if not counted or survey.workers is None:
        return None
    names = {queue.name for queue in counted}
    pools = [
        answer.pool_processes
        for answer in survey.workers
        if answer.queues is not None and names.intersection(answer.queues)
    ]
    if None in pools:
        return None
    processes = sum(pool or 0 for pool in pools)
    backlog = sum((queue.ready or 0) + (queue.unacked or 0) for queue in counted)
    return backlog / max(1, processes)


def _utilization(answers: Iterable[WorkerAnswer]) -> float | None:
    complete = [answer for answer in answers if answer.active is not None and answer.pool_processes]
    processes = sum(answer.pool_processes or 0 for answer in complete)
    if not processes:
        return None
    return 100.0 * sum(answer.active or 0 for answer in complete) / processes


def _time_to_empty(ready: float | None, arrival: float | None, drain: float | None) -> float | None:
    if ready == 0:
        return 0.0
    if ready is None or arrival is None or drain is None or drain <= arrival:
        return None
    return ready / (drain - arrival)


def _sum(values: Iterable[float | None], default: float | None = None) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else default


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
