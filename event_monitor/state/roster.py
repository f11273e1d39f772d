"""Roster: which workers are online, offline (said goodbye) or lost (went silent).

Judged on the monitor's own monotonic clock by when events *arrive*; what a worker's clock or time
zone says changes nothing. Pure: every method is told the time. Not thread-safe.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..events import WorkerEvent
from ..snapshot import WorkerState, WorkerStatus
from .loss_meter import LossMeter

__all__ = ["Departure", "Roster"]

log = logging.getLogger(__name__)

_BEATS_WITHOUT_TASK_EVENTS = 3  # heartbeats to wait: task events may be buffered behind them
_IDLE_BEATS = 3  # heartbeats without work, after which no task event is to be waited for
_SETTLE_SECONDS = 5.0  # after a goodbye: task events sent before it may still be on their way
_LOST = WorkerState.LOST  # looked up once: an enum's members are slow to reach
_DEFAULT_FREQ = 2.0  # seconds between heartbeats, Celery's default


@dataclass(frozen=True, slots=True)
class Departure:
    """A process that is gone: the tasks it was running will not end there.

    ``is_replaced``: another process has the name now. Its pid is ``successor_pid``, if it is not
    the same (in containers it is).
    """

    hostname: str
    silent_seconds: float
    said_goodbye: bool = False
    is_replaced: bool = False
    successor_pid: int | None = None


class _Worker:
    __slots__ = (
        "active",
        "beats",
        "beats_without_task_events",
        "changed_at",
        "former_pid",
        "freq",
        "hostname",
        "idle_at",
        "idle_beats",
        "judged",
        "last_seen",
        "load_average",
        "loss_meter",
        "missing",
        "pid",
        "processed",
        "processed_at_first",
        "sends",
        "state",
    )

    def __init__(self, hostname: str, now: float) -> None:
        self.hostname = hostname
        self.state = WorkerState.ONLINE
        self.changed_at = now  # when the state began
        self.last_seen = now
        self.beats = False  # has sent a heartbeat of its own; else it cannot be judged
        self.sends = False  # has sent a task event since its loss meter counts
        self.judged = False  # a goodbye whose unfinished tasks were already dealt with
        self.freq = _DEFAULT_FREQ
        self.pid: int | None = None
        self.former_pid: int | None = None
        self.active: int | None = None
        self.idle_at: float | None = None  # when a heartbeat last said that no task runs
        self.processed: int | None = None
        self.processed_at_first: int | None = None
        self.beats_without_task_events = 0  # since it began to work, or since the last one
        self.idle_beats = 0  # in a row
        self.load_average: float | None = None
        self.loss_meter = LossMeter()
        self.missing = 0  # events that are lost, unless it was asked not to send them

    @property
    def sends_task_events(self) -> bool:
        return self.beats_without_task_events < _BEATS_WITHOUT_TASK_EVENTS

    def become(self, state: WorkerState, now: float) -> None:
        self.state, self.changed_at, self.judged = state, now, False


class Roster:
    """All workers seen lately, by full nodename.

    ``grace_seconds`` and ``grace_beats``: the longer silence of the two makes a worker lost.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        grace_beats: float,
        forget_seconds: float,
        max_workers: int,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._grace_beats = grace_beats
        self._forget_seconds = forget_seconds
        self._max_workers = max_workers
        self._workers: dict[str, _Worker] = {}
        self._refused: set[str] = set()
        self._lost_events: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, hostname: object) -> bool:
        return hostname in self._workers

    def task_event(self, hostname: str, *, now: float) -> LossMeter:
        """Note that a task event arrived from this worker, so it is alive.

        Return its loss meter, which has to be given each task-started.
        """
        worker = self._workers.get(hostname) or self._join(hostname, now)
        if worker is None:
            return LossMeter()  # there is no room for it
        worker.last_seen = now
        if worker.beats_without_task_events or not worker.sends:
            if not worker.sends_task_events:
                worker.loss_meter = LossMeter()  # count from the next heartbeat on
            worker.sends = True
            worker.beats_without_task_events = 0
        if worker.missing:
            self._lose(worker)
        if worker.state is _LOST:
            worker.become(WorkerState.ONLINE, now)
        return worker.loss_meter

    def heartbeat(self, event: WorkerEvent, *, now: float) -> Departure | None:
        """Note a worker-online or worker-heartbeat event.

        Return the departure of the process that had this name before, if this one replaces it.
        """
        worker = self._workers.get(event.hostname) or self._join(event.hostname, now)
        if worker is None:
            return None
        departure = self._replaced(worker, event, now)
        if worker.state is not WorkerState.ONLINE:
            worker.become(WorkerState.ONLINE, now)
        worker.last_seen = now
        if event.pid is not None:
            worker.pid = event.pid
        if event.processed is not None:  # a reply to a broadcast has none, and an untrue freq
            worker.beats = True
            worker.freq = event.freq or _DEFAULT_FREQ
            worker.active = event.active
            worker.idle_at = now if event.active == 0 else None
            worker.load_average = event.loadavg[0] if event.loadavg else None
            self._count_missing(worker, event.timestamp, event.processed)
        return departure

    def _count_missing(self, worker: _Worker, at: float, processed: int) -> None:
        """Find out what is lost, and whether the worker sends task events at all.

        What is missing counts as lost when a later task event shows that events are sent, or when
        there is no work that would bring one.
        """
        if worker.processed_at_first is None:
            worker.processed_at_first = processed
        progress = worker.processed is not None and processed > worker.processed
        worker.processed = processed
        worker.idle_beats = 0 if progress else worker.idle_beats + 1
        if progress or (not worker.sends and processed > worker.processed_at_first):
            worker.beats_without_task_events += 1
        worker.missing += worker.loss_meter.heartbeat(at, processed)
        if not worker.sends_task_events:
            worker.missing, worker.sends = 0, False
        elif worker.missing and worker.idle_beats >= _IDLE_BEATS:
            self._lose(worker)

    def goodbye(self, event: WorkerEvent, *, now: float) -> None:
        """Note a worker-offline event; one of a process already replaced is out of date."""
        worker = self._workers.get(event.hostname)
        if worker is None:
            return
        if None not in (event.pid, worker.pid) and event.pid != worker.pid:
            return
        worker.last_seen = now
        if event.processed is not None:
            worker.missing += worker.loss_meter.heartbeat(event.timestamp, event.processed)
        if worker.state is not WorkerState.OFFLINE:
            worker.become(WorkerState.OFFLINE, now)

    def sweep(self, *, now: float, listening_since: float | None) -> tuple[Departure, ...]:
        """Judge all workers; return each death, and each goodbye that lasts, exactly once.

        ``listening_since`` is when we began to listen; None while we do not, when no worker can be
        judged.
        """
        if listening_since is None:
            return ()
        departures = []
        for worker in tuple(self._workers.values()):
            silent = now - max(worker.last_seen, listening_since)
            grace = max(self._grace_seconds, self._grace_beats * worker.freq)
            if worker.state is WorkerState.ONLINE:
                if worker.beats and silent > grace:
                    worker.become(WorkerState.LOST, now)
                    worker.judged = True
                    departures.append(Departure(worker.hostname, silent))
                elif silent > self._forget_seconds:  # never sent a heartbeat: nothing to judge by
                    del self._workers[worker.hostname]
                    departures.append(Departure(worker.hostname, silent, said_goodbye=True))
                continue
            if silent > _SETTLE_SECONDS:
                worker.missing += worker.loss_meter.settle()
                self._lose(worker)
            if not worker.judged and silent > grace:
                worker.judged = True
                departures.append(Departure(worker.hostname, silent, said_goodbye=True))
            if now - worker.changed_at > self._forget_seconds:
                del self._workers[worker.hostname]
        return tuple(departures)

    def collect(self, *, now: float) -> tuple[WorkerStatus, ...]:
        """Return the status of all workers, sorted by name."""
        return tuple(
            WorkerStatus(
                hostname=worker.hostname,
                state=worker.state,
                silent_seconds=now - worker.last_seen,
                pid=worker.pid,
                active=worker.active,
                processed=worker.processed,
                load_average=worker.load_average,
                sends_task_events=worker.sends_task_events,
            )
            for _, worker in sorted(self._workers.items())
        )

    def idle(self) -> dict[str, float]:
        """Return the workers whose last heartbeat says that they run nothing, and when it came."""
        return {
            worker.hostname: worker.idle_at
            for worker in self._workers.values()
            if worker.idle_at is not None
        }

    def take_refused(self) -> int:
        """Return how many names found no room since the last call."""
        refused, self._refused = self._refused, set()
        return len(refused)

    def take_lost_events(self) -> dict[str, int]:
        """Return how many task-started events never came, by worker, since the last call."""
        lost, self._lost_events = self._lost_events, {}
        return lost

    def _lose(self, worker: _Worker) -> None:
        """Count what is missing as lost, if the worker sends task events at all."""
        if worker.missing and worker.sends:
            before = self._lost_events.get(worker.hostname, 0)
            self._lost_events[worker.hostname] = before + worker.missing
        worker.missing = 0

    def _replaced(self, worker: _Worker, event: WorkerEvent, now: float) -> Departure | None:
        """Find out whether this heartbeat comes from a new process under the old name.

        A new pid says so. In containers the pid is always the same; then a smaller `processed`,
        which a process only ever counts up, says so.
        """
        new_pid = None not in (worker.pid, event.pid) and worker.pid != event.pid
        restarted = (
            event.processed is not None
            and worker.processed is not None
            and event.processed < worker.processed
        )
        if not (new_pid or restarted):
            return None
        if new_pid and event.pid == worker.former_pid and worker.state is WorkerState.ONLINE:
            log.warning(
                "two workers share the name %s (pids %s and %s): start each with its own -n",
                worker.hostname,
                worker.pid,
                event.pid,
            )
            worker.former_pid = worker.pid
            return None
        departure = Departure(
            worker.hostname,
            silent_seconds=now - worker.last_seen,
            said_goodbye=worker.state is WorkerState.OFFLINE,
            is_replaced=True,
            successor_pid=event.pid if new_pid else None,
        )
        already_told = worker.judged
        worker.former_pid = worker.pid if new_pid else None
        worker.missing += worker.loss_meter.settle()
        self._lose(worker)
        worker.loss_meter = LossMeter()
        worker.processed = worker.processed_at_first = None
        worker.beats_without_task_events = worker.idle_beats = 0
        worker.sends = False
        return None if already_told else departure

    def _join(self, hostname: str, now: float) -> _Worker | None:
        if len(self._workers) >= self._max_workers and not self._make_room():
            if len(self._refused) < self._max_workers:
                self._refused.add(hostname)
            return None
        worker = self._workers[hostname] = _Worker(hostname, now)
        return worker

    def _make_room(self) -> bool:
        """Forget the longest-silent worker that is gone or never beat; a live one never."""
        expendable = [
            worker
            for worker in self._workers.values()
            if worker.state is not WorkerState.ONLINE or not worker.beats
        ]
        if not expendable:
            return False
        del self._workers[min(expendable, key=lambda worker: worker.last_seen).hostname]
        return True
