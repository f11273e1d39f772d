"""Survey: what broker and workers answered when they were asked. Frozen values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOT_ASKED", "QueueDepth", "Survey", "WorkerAnswer"]


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue as the broker reported it. ``None`` means that it could not be found out."""

    name: str
    ready: int | None = None  # messages waiting, of every priority
    unacked: int | None = None  # messages with a worker, not acknowledged yet
    consumers: int | None = None
    oldest_seconds: float | None = None  # since the oldest waiting message was published
    arrivals_per_second: float | None = None
    deliveries_per_second: float | None = None
    memory_bytes: int | None = None
    sampled: bool = False  # `unacked` is an estimate, from a part of what was too much to read


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """One worker as it answered when asked. ``None`` means that it did not answer this."""

    hostname: str  # the full nodename, celery@host
    active: int | None = None
    reserved: int | None = None  # received, not begun, no eta to wait for
    scheduled: int | None = None  # waiting for their eta or countdown
    revoked: int | None = None  # ids held as revoked
    pool_processes: int | None = None  # tasks it can run at once
    memory_bytes: int | None = None  # the main process's peak resident memory
    processed: tuple[tuple[str, int], ...] = ()  # task name → begun since the worker started
    queues: tuple[str, ...] | None = None  # it consumes from these


@dataclass(frozen=True, slots=True)
class Survey:
    """The last complete answers of broker and workers, and how old they are.

    ``queues`` and ``workers`` are None when nothing is known: never asked, or too long ago.
    """

    queues: tuple[QueueDepth, ...] | None = None
    queues_age_seconds: float | None = None
    ready_growth_per_second: float | None = None  # of all queues, between the last two answers
    workers: tuple[WorkerAnswer, ...] | None = None
    workers_age_seconds: float | None = None
    stalled: tuple[str, ...] | None = None  # nodenames; None while no queue's depth is known
    failures: int = 0  # questions that failed since the last survey was taken


NOT_ASKED = Survey()
