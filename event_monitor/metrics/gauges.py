"""Gauges: what broker and workers answered, as values by metric source. Pure; None is left out."""

from __future__ import annotations

from collections.abc import Iterable

from ..distribution import Distribution
from ..settings import Settings
from ..settings.globs import matches
from ..snapshot import Snapshot
from ..survey import QueueDepth, Survey, WorkerAnswer

__all__ = [
    "queue_totals",
    "queue_values",
    "status_of",
    "worker_totals",
    "worker_values",
]

Values = dict[str, float | Distribution]  # as in metrics.py; a gauge is never the latter

OK, WARNING, CRITICAL = 0, 1, 2


def status_of(queue: QueueDepth, settings: Settings) -> int | None:
    """0, 1 or 2 by the limits on length and age; None if no limit is set, or nothing is known."""
    levels = [
        (value >= limits[0]) + (value >= limits[1])
        for value, pairs in (
            (queue.ready, settings.queue_length_limits),
            (_age_of(queue), settings.queue_age_limits),
        )
        if value is not None and (limits := _limits_for(queue.name, pairs)) is not None
    ]
    return max(levels, default=None)


def queue_values(queue: QueueDepth, survey: Survey, settings: Settings) -> Values:
    """The gauges of one queue."""
    return _known(
        queue_length=queue.ready,
        queue_unacked=queue.unacked,
        queue_consumers=_consumers(queue, survey),
        oldest_message=_age_of(queue),
        queue_status=status_of(queue, settings),
        backlog_per_worker=_backlog_per_worker((queue,), survey),
        arrival_rate=queue.arrivals_per_second,
        drain_rate=queue.deliveries_per_second,
        time_to_empty=_time_to_empty(
            queue.ready, queue.arrivals_per_second, queue.deliveries_per_second
        ),
    )


def queue_totals(snapshot: Snapshot, settings: Settings) -> Values:
    """The gauges of all queues together: lengths are added up, of ages the highest counts.

    Where the broker tells no rates, they are reckoned: workers took what they received in the
    window, and what came is that and the growth of what waits.
    """
    survey, window, queues = snapshot.survey, snapshot.window, snapshot.survey.queues
    if queues is None:
        return {}
    ready = _sum(one.ready for one in queues)
    arrival = _sum(one.arrivals_per_second for one in queues)
    drain = _sum(one.deliveries_per_second for one in queues)
    seconds = window.closed_at - window.opened_at
    if drain is None and seconds > 0 and snapshot.link.has_listened:
        drain = sum(counts.received for _, counts in window.tasks) / seconds
        if survey.ready_growth_per_second is not None:
            arrival = max(0.0, drain + survey.ready_growth_per_second)
    return _known(
        queue_length=ready,
        queue_unacked=_sum(one.unacked for one in queues),
        queue_consumers=_sum(_consumers(one, survey) for one in queues),
        oldest_message=_max(_age_of(one) for one in queues),
        queue_status=_max(status_of(one, settings) for one in queues),
        backlog_per_worker=_backlog_per_worker(queues, survey),
        arrival_rate=arrival,
        drain_rate=drain,
        time_to_empty=_time_to_empty(ready, arrival, drain),
    )


def worker_totals(survey: Survey) -> Values:
    """The gauges of all workers that answered; none if nobody did though somebody is online."""
    totals = _known(stalled=None if survey.stalled is None else len(survey.stalled))
    answers = survey.workers
    if answers is None:
        return totals
    nobody = 0 if not answers else None
    return totals | _known(
        reserved=_sum((one.reserved for one in answers), nobody),
        scheduled=_sum((one.scheduled for one in answers), nobody),
        revoked_held=_sum((one.revoked for one in answers), nobody),
        pool_processes=_sum((one.pool_processes for one in answers), nobody),
        utilization=_utilization(answers),
        worker_memory=_max(one.memory_bytes for one in answers),
    )


def worker_values(survey: Survey) -> dict[str, Values]:
    """The gauges of each worker that answered, or is stalled."""
    values = {
        one.hostname: _known(
            reserved=one.reserved,
            scheduled=one.scheduled,
            revoked_held=one.revoked,
            pool_processes=one.pool_processes,
            utilization=_utilization((one,)),
            worker_memory=one.memory_bytes,
        )
        for one in survey.workers or ()
    }
    if survey.stalled is not None:
        for hostname in {*values, *survey.stalled}:
            values.setdefault(hostname, {})["stalled"] = int(hostname in survey.stalled)
    return values


def _consumers(queue: QueueDepth, survey: Survey) -> int | None:
    """The broker's word; on Redis, which has none, the workers', if all of them said theirs."""
    if queue.consumers is not None or survey.workers is None:
        return queue.consumers
    read = [one.queues for one in survey.workers]
    return None if None in read else sum(queue.name in (queues or ()) for queues in read)


def _backlog_per_worker(queues: Iterable[QueueDepth], survey: Survey) -> float | None:
    """None while nobody knows how many processes there are; at least one is reckoned with."""
    known = [one for one in queues if one.ready is not None]
    if not known or survey.workers is None:
        return None
    names = {one.name for one in known}
    pools = [
        one.pool_processes
        for one in survey.workers
        if one.queues is not None and names.intersection(one.queues)
    ]
    if None in pools:
        return None
    processes = sum(one or 0 for one in pools)
    backlog = sum((one.ready or 0) + (one.unacked or 0) for one in known)
    return backlog / max(1, processes)


def _utilization(answers: Iterable[WorkerAnswer]) -> float | None:
    known = [one for one in answers if one.active is not None and one.pool_processes]
    processes = sum(one.pool_processes or 0 for one in known)
    return 100.0 * sum(one.active or 0 for one in known) / processes if processes else None


def _time_to_empty(ready: float | None, arrival: float | None, drain: float | None) -> float | None:
    if ready == 0:
        return 0.0
    if ready is None or arrival is None or drain is None or drain <= arrival:
        return None
    return ready / (drain - arrival)


def _age_of(queue: QueueDepth) -> float | None:
    return 0.0 if queue.ready == 0 else queue.oldest_seconds


def _limits_for(
    name: str, pairs: Iterable[tuple[str, tuple[float, float]]]
) -> tuple[float, float] | None:
    return next((limits for glob, limits in pairs if matches(name, (glob,))), None)


def _known(**values: float | None) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _sum(values: Iterable[float | None], default: float | None = None) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) if known else default


def _max(values: Iterable[float | None]) -> float | None:
    return max((one for one in values if one is not None), default=None)
