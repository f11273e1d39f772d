"""Survey: what broker and workers answered when they were asked. Frozen values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["NOT_ASKED", "AbsentWorker", "QueueDepth", "Survey", "WorkerAnswer", "only_reader"]

_DIRECT_SUFFIX = ".dq2"  # of the queue of a single worker: celery.utils.nodenames.worker_direct


def only_reader(queue: str) -> str | None:
    """Return the nodename of the worker whose own queue it is (``worker_direct``); None if of none.

    Of pods that come and go, such queues would be names without end.
    """
    return queue.removesuffix(_DIRECT_SUFFIX) if queue.endswith(_DIRECT_SUFFIX) else None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue as the broker reported it. ``None`` means that it could not be found out."""

    name: str
    ready: int | None = None  # messages waiting, of every priority
    unacked: int | None = None  # messages with a worker, not acknowledged yet
    consumers: int | None = None  # workers that read it
    oldest_seconds: float | None = None  # since the oldest waiting message was published
    arrivals_per_second: float | None = None
    deliveries_per_second: float | None = None
    memory_bytes: int | None = None
    sampled: bool = False  # `unacked` is an estimate, from a part of what was too much to read
    missing: bool = False  # the broker has no queue of that name, so no message waits there
    #: The ids of all tasks that are unacknowledged at the broker, of any queue; None if unknown.
    unacked_ids: frozenset[str] | None = field(default=None, compare=False, repr=False)

    @property
    def is_unread(self) -> bool | None:
        """Return whether it exists and nobody reads it; None if that is unknown."""
        if self.missing:
            return False
        return None if self.consumers is None else self.consumers == 0


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """One worker as it answered when asked. ``None`` means that it did not answer this."""

    hostname: str  # the full nodename, celery@host
    active: int | None = None
    reserved: int | None = None  # received, not begun, no eta to wait for
    scheduled: int | None = None  # waiting for their eta or countdown
    revoked: int | None = None  # ids held as revoked
    pool_processes: int | None = None  # tasks it can run at once
    # The main process's peak resident memory; where it says so unasked, that of its pool as well.
    memory_bytes: int | None = None
    processed: tuple[tuple[str, int], ...] = ()  # task name → begun since the worker started
    queues: tuple[str, ...] | None = None  # it consumes from these
    prefetch_count: int | None = None  # messages it may hold unacknowledged; 0 is without limit
    scheduled_by_key: tuple[tuple[str, int], ...] = ()  # routing key → of the scheduled
    is_solo: bool | None = None  # its pool is solo, which answers nothing while a task runs
    start_interval_seconds: float | None = None  # between two starts, at its lowest rate limit
    uptime_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AbsentWorker:
    """A worker that is online and did not answer: busy in a solo pool, too slow, or not asked."""

    hostname: str
    queues: tuple[str, ...] | None = None  # it consumed from these when it last answered

    def may_read(self, names: Iterable[str]) -> bool:
        """Return whether it may consume from one of these queues."""
        return self.queues is None or not frozenset(self.queues).isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Survey:
    """The last complete answers of broker and workers, and how old they are.

    ``queues`` and ``workers`` are None when nothing is known: never asked, or too long ago. With
    somebody ``absent`` the answers are a part of the truth, not the whole.
    """

    queues: tuple[QueueDepth, ...] | None = None
    queues_age_seconds: float | None = None
    ready_growth_per_second: float | None = None  # of all queues, between the last two answers
    workers: tuple[WorkerAnswer, ...] | None = None
    workers_age_seconds: float | None = None
    absent: tuple[AbsentWorker, ...] = ()  # the rest of the workers: these did not answer
    stalled: tuple[str, ...] | None = None  # nodenames; None while no queue's depth is known
    failures: int = 0  # questions that failed since the last survey was taken
    event_queue_length: int | None = None  # messages that wait for the monitor itself


NOT_ASKED = Survey()
