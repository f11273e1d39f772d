"""Stalled workers: they send heartbeats or answer, but do nothing while work waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..snapshot import WorkerState, WorkerStatus
from ..survey import QueueDepth, Survey, WorkerAnswer

__all__ = ["Idle", "Look", "StalledWorkers", "idle_after", "waiting_in", "work_waits"]


@dataclass(frozen=True, slots=True)
class Idle:
    """A worker seen idle while work waited: how many tasks it had begun, and since when so."""

    processed: int
    since: float  # on the clock that dates the looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a worker found; None is unknown.

    ``seen_at`` and ``Idle.since`` are seconds on one clock, monotonic or wall.
    """

    active: int | None  # tasks that it runs
    processed: int | None  # tasks that it has begun since it started
    work_waits: bool | None  # whether there is work that it could begin
    seen_at: float  # the moment up to which this is evidence
    uptime_seconds: float | None = None

    def idle_seconds(self, idle: Idle | None) -> float:
        """Return for how long this look proves the worker idle while work waits; else 0.

        ``idle`` is what ``idle_after`` made of this look.
        """
        return self.seen_at - idle.since if idle is not None and self._is_evidence else 0.0

    def is_stalled(
        self, idle: Idle | None, *, stalled_seconds: float, start_interval_seconds: float | None
    ) -> bool:
        """Return whether the worker has been idle for longer than one that is well may be.

        ``start_interval_seconds`` is what a rate limit puts between two starts; where it is unknown
        the worker may be waiting for a limit.
        """
        return (
            start_interval_seconds is not None
            and self.idle_seconds(idle) > stalled_seconds + start_interval_seconds
        )

    @property
    def _is_evidence(self) -> bool:
        return self.active == 0 and self.processed is not None and self.work_waits is True


def idle_after(before: Idle | None, look: Look) -> Idle | None:
    """Return since when the worker is idle while work waits; None if it is not.

    ``before`` is the result of the look before. What is unknown neither acquits the worker nor
    adds to the evidence. A worker cannot have been idle for longer than it runs, so one that was
    restarted, and has begun as many tasks as the one before, begins anew.
    """
    if look.active or look.work_waits is False:
        return None
    if before is not None and look.processed not in (None, before.processed):
        before = None  # it worked in between
    if look.active is None or look.processed is None or look.work_waits is None:
        return before
    if before is None or before.since > look.seen_at:  # first seen, or the clock was stepped back
        return Idle(look.processed, look.seen_at)
    if look.uptime_seconds is None:
        return before
    return Idle(look.processed, max(before.since, look.seen_at - look.uptime_seconds))


def waiting_in(depths: Iterable[QueueDepth]) -> dict[str, bool]:
    """Return whether messages are ready, for each queue of which that is known."""
    return {queue.name: queue.ready > 0 for queue in depths if queue.ready is not None}


def work_waits(
    queues: Iterable[str] | None, waiting: Mapping[str, bool], *, answer: WorkerAnswer | None = None
) -> bool | None:
    """Return whether there is work that an idle worker could begin; None if unknown.

    ``queues`` are those it reads, and ``answer`` is what it says of itself, if it says anything.
    One whose consumers were cancelled reads none, and one that is full takes nothing from them.
    What it has reserved it could begin at once.
    """
    if answer is not None and (answer.reserved or _is_full(answer)):
        return bool(answer.reserved)
    if queues is None:
        return None
    known = [waiting.get(name) for name in queues]
    if any(known):
        return True
    return None if None in known else False


def _is_full(answer: WorkerAnswer) -> bool:
    """Return whether as many tasks wait for their eta as it may hold, so that it takes no more.

    Those that wait for a rate limit do not show here, nor among the reserved.
    """
    return bool(answer.prefetch_count) and (answer.scheduled or 0) >= (answer.prefetch_count or 0)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of one worker on the roster; of its last answers what they said."""

    pid: int | None = None
    idle: Idle | None = None
    queues: tuple[str, ...] | None = None
    start_interval_seconds: float | None = None

    def after(self, answer: WorkerAnswer) -> _Memory:
        """Return the memory with this answer in it."""
        queues, interval = answer.queues, answer.start_interval_seconds
        return replace(
            self,
            queues=self.queues if queues is None else queues,
            start_interval_seconds=self.start_interval_seconds if interval is None else interval,
        )


_NOTHING = _Memory()


class StalledWorkers:
    """Judges every worker once per shot. Not thread-safe. Remembers only who is on the roster.

    A worker is stalled if it sends heartbeats which say for longer than ``stalled_seconds`` that
    it runs nothing and has begun nothing, while messages are ready in a queue that it reads. This
    happens to a worker on Redis that lost its connection and never came back to its queues; it
    does not answer any more either, so what it said last is remembered.

    The same if it has reserved tasks and begins none of them: its pool is dead, or hangs.

    A worker that is well may look like that for a while: one with a rate limit until it may start
    the next task, one whose consumers were cancelled, one that is full of tasks that wait for their
    eta. So nobody is judged who has never answered, or of whom the rate limits are not known. One
    that runs tasks is never stalled: a task that hangs looks like one that is long.
    """

    def __init__(self, stalled_seconds: float) -> None:
        self._stalled_seconds = stalled_seconds
        self._memories: dict[str, _Memory] = {}

    def judge(
        self, workers: tuple[WorkerStatus, ...], survey: Survey, *, now: float
    ) -> tuple[str, ...] | None:
        """Return the nodenames of the stalled workers, sorted; None if no queue's depth is known.

        ``now`` is monotonic seconds.
        """
        answers = {answer.hostname: answer for answer in survey.workers or ()}
        waiting = waiting_in(survey.queues or ())
        memories, self._memories = self._memories, {}
        stalled = []
        for worker in workers:
            memory = memories.get(worker.hostname, _NOTHING)
            answer = answers.get(worker.hostname)
            if answer is not None:
                memory = memory.after(answer)
            # A heartbeat is evidence up to the moment it came: a solo worker that runs a task is
            # silent, and nobody knows what it does.
            look = Look(
                active=worker.active,
                processed=worker.processed,
                work_waits=work_waits(memory.queues, waiting, answer=answer),
                seen_at=now - worker.silent_seconds,
            )
            idle = None
            if worker.state is WorkerState.ONLINE:
                idle = idle_after(memory.idle if memory.pid == worker.pid else None, look)
            self._memories[worker.hostname] = replace(memory, pid=worker.pid, idle=idle)
            if look.is_stalled(
                idle,
                stalled_seconds=self._stalled_seconds,
                start_interval_seconds=memory.start_interval_seconds,
            ):
                stalled.append(worker.hostname)
        return tuple(sorted(stalled)) if waiting else None
