"""Roster: which workers are online, offline (said goodbye) or lost (went silent).

Judged on the monitor's own monotonic clock by when events *arrive*; what a worker's clock or time
zone says changes nothing. A verdict needs evidence that no healthy system gives: a name shared by
several processes, a heartbeat after a goodbye, or silence while we were away is none. Pure: every
method is told the time. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..events import WorkerEvent
from ..snapshot import WorkerState, WorkerStatus
from .loss_meter import LossMeter
from .worker import DEFAULT_FREQ, Suspicion, Worker

__all__ = ["Departure", "Roster"]

_IDLE_BEATS = 3  # heartbeats without work, after which no task event is to be waited for
_MOST_SUSPECTS = 15  # processes under one name that are remembered
_SETTLE_SECONDS = 5.0  # after a goodbye: task events sent before it may still be on their way
_MISSED_BEATS = 2.0  # a process silent for longer than that has missed a heartbeat
_LOST = WorkerState.LOST  # looked up once: an enum's members are slow to reach


@dataclass(frozen=True, slots=True)
class Departure:
    """A process that is gone: the tasks it was running will not end there.

    ``is_replaced``: another process has the name now. Its pid is ``successor_pid``, if it is not
    the same (in containers it is). For ``undecided_seconds`` it may yet turn out to live.
    """

    hostname: str
    silent_seconds: float
    said_goodbye: bool = False
    is_replaced: bool = False
    successor_pid: int | None = None
    undecided_seconds: float = 0.0


class Roster:
    """All workers seen lately, by full nodename.

    ``grace_seconds`` and ``grace_beats``: the longer silence of the two makes a worker lost; one
    without heartbeats that answers questions is given ``answers_grace_seconds``, and is not judged
    if nobody ``asks``. ``refuted`` are names under which a process thought to be replaced turned
    out to live, ``resumed`` those of workers that came back as they were after a goodbye; the
    caller takes them.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        grace_beats: float,
        forget_seconds: float,
        max_workers: int,
        answers_grace_seconds: float = 180.0,
        asks: bool = True,
    ) -> None:
        self._asks = asks
        self._grace_seconds = grace_seconds
        self._answers_grace_seconds = max(grace_seconds, answers_grace_seconds)
        self._grace_beats = grace_beats
        self._forget_seconds = forget_seconds
        self._max_workers = max_workers
        self._workers: dict[str, Worker] = {}
        self._refused: set[str] = set()
        self._lost_events: dict[str, int] = {}
        self.refuted: set[str] = set()
        self.resumed: set[str] = set()

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, hostname: object) -> bool:
        return hostname in self._workers

    # -- evidence ------------------------------------------------------------------------------

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

    def note_answers(self, hostnames: Iterable[str], *, now: float) -> None:
        """Note that these workers answered a question then: alive, with heartbeats or without."""
        for hostname in hostnames:
            worker = self._workers.get(hostname) or self._join(hostname, now)
            if worker is None:
                continue
            if worker.answered_at is None or now > worker.answered_at:
                worker.answered_at = now
                worker.last_seen = max(worker.last_seen, now)
                if worker.state is _LOST and now >= worker.changed_at:
                    worker.become(WorkerState.ONLINE, now)

    def heartbeat(self, event: WorkerEvent, *, now: float) -> Departure | None:
        """Note a worker-online or worker-heartbeat event.

        Return the departure of the process that had this name before, if this one replaces it.
        """
        worker = self._workers.get(event.hostname) or self._join(event.hostname, now)
        if worker is None:
            return None
        if worker.is_shared(now):
            self._share(worker, event, now)
            return None
        is_another = worker.is_of_another_process(event)
        if worker.suspects:
            oldest = now - self._grace(worker)  # what comes later is no word of such a process
            worker.suspects = [
                suspect for suspect in worker.suspects if suspect.suspected_at >= oldest
            ]
        if any(suspect.is_refuted_by(worker, event) for suspect in worker.suspects):
            self.refuted.add(worker.hostname)
            pids = {worker.pid, event.pid, *(suspect.pid for suspect in worker.suspects)}
            worker.pids = {pid: now for pid in pids if pid is not None}
            worker.shared_at = now
            self._share(worker, event, now)
            return None
        if worker.state is WorkerState.OFFLINE and not is_another:
            worker.last_seen = now
            if event.type != "worker-online":
                return None  # gevent and eventlet beat on until their last task has ended
            self.resumed.add(worker.hostname)
        departure = self._replace(worker, event, now) if is_another else None
        if worker.state is not WorkerState.ONLINE:
            worker.become(WorkerState.ONLINE, now)
        worker.last_seen = now
        if event.pid is not None:
            worker.pid = event.pid
        if event.processed is not None:  # a reply to a broadcast has none, and an untrue freq
            worker.beats = True
            worker.last_beat = now
            worker.freq = event.freq or DEFAULT_FREQ
            worker.active = event.active
            worker.idle_at = now if event.active == 0 else None
            worker.load_average = event.loadavg[0] if event.loadavg else None
            self._count_missing(worker, event.timestamp, event.processed)
        return departure

    def goodbye(self, event: WorkerEvent, *, now: float) -> bool:
        """Note a worker-offline event; one of a process already replaced is out of date.

        Return whether the worker is leaving now: the tasks it runs go on until they end.
        """
        worker = self._workers.get(event.hostname)
        if worker is None:
            return False
        if worker.is_shared(now):
            if event.pid is not None and len(worker.pids) > 1:
                worker.pids[event.pid] = float("-inf")
            worker.last_seen = now
            return False
        if None not in (event.pid, worker.pid) and event.pid != worker.pid:
            return False
        worker.last_seen = now
        if event.processed is not None:
            worker.missing += worker.loss_meter.heartbeat(event.timestamp, event.processed)
            worker.processed = event.processed
        if worker.state is WorkerState.OFFLINE:
            return False
        worker.become(WorkerState.OFFLINE, now)
        return True

    # -- verdicts ------------------------------------------------------------------------------

    def sweep(
        self,
        *,
        now: float,
        listening_since: float | None,
        is_running: Callable[[str], bool] = lambda _hostname: False,
    ) -> tuple[Departure, ...]:
        """Judge all workers; return each death exactly once.

        ``listening_since`` is when we began to listen; None while we do not, when no worker can be
        judged. ``is_running`` tells whether a task runs on a worker.
        """
        if listening_since is None:
            return ()
        departures = []
        for worker in tuple(self._workers.values()):
            silent = now - max(worker.last_seen, listening_since)
            if worker.state is WorkerState.ONLINE:
                if silent > self._grace(worker) and self._is_evidence(worker, is_running):
                    worker.become(WorkerState.LOST, now)
                    departures.append(Departure(worker.hostname, silent))
                elif silent > self._forget_seconds and not is_running(worker.hostname):
                    del self._workers[worker.hostname]  # never sent a heartbeat: nothing to judge
                continue
            if silent > _SETTLE_SECONDS:
                worker.missing += worker.loss_meter.settle()
                self._lose(worker)
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
                sends_heartbeats=worker.beats or worker.answered_at is None,
                processes=worker.processes(now, within=self._grace(worker)),
                is_shared=worker.is_shared(now),
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

    # -- one worker ----------------------------------------------------------------------------

    def _grace(self, worker: Worker) -> float:
        if not worker.beats and worker.answered_at is not None:
            return self._answers_grace_seconds
        return max(self._grace_seconds, self._grace_beats * worker.freq)

    def _is_evidence(self, worker: Worker, is_running: Callable[[str], bool]) -> bool:
        """Return whether this worker's silence means that it is dead.

        One that never sent a heartbeat is judged by its answers, if it ever answered and somebody
        asks; a solo pool does not answer while it runs a task.
        """
        if worker.beats:
            return True
        return self._asks and worker.answered_at is not None and not is_running(worker.hostname)

    def _share(self, worker: Worker, event: WorkerEvent, now: float) -> None:
        """Note a heartbeat of one of several processes; what they count cannot be told apart."""
        is_another = worker.is_of_another_process(event)
        oldest = now - self._grace(worker)
        if is_another or any(
            pid != event.pid and seen_at >= oldest for pid, seen_at in worker.pids.items()
        ):
            worker.shared_at = now
        if worker.suspects or is_another:
            self._lost_events.pop(worker.hostname, None)
        worker.suspects = []
        worker.begin_process(event.pid)
        worker.processed = event.processed
        worker.sends = True  # nobody can say otherwise
        worker.beats |= event.processed is not None
        worker.last_seen = worker.last_beat = now
        worker.freq = event.freq if event.freq and event.processed is not None else worker.freq
        if event.pid is not None:
            worker.pids[event.pid] = now
        if worker.state is not WorkerState.ONLINE:
            worker.become(WorkerState.ONLINE, now)

    def _replace(self, worker: Worker, event: WorkerEvent, now: float) -> Departure | None:
        """Give the name to another process; return the departure of the one that had it.

        It is certain if that one has missed a heartbeat, or said goodbye. Else it may live: then
        its next heartbeat shows that the name is shared.
        """
        silent = now - worker.last_seen
        has_missed = now - worker.last_beat > _MISSED_BEATS * worker.freq
        said_goodbye = worker.state is WorkerState.OFFLINE
        is_new_pid = None not in (worker.pid, event.pid) and worker.pid != event.pid
        was_judged = worker.state is not WorkerState.ONLINE  # lost already, or it drains
        if not said_goodbye:
            worker.suspects = [*worker.suspects[-_MOST_SUSPECTS:], Suspicion(worker, now)]
        if has_missed or said_goodbye:
            worker.missing += worker.loss_meter.settle()
            self._lose(worker)
        worker.begin_process(event.pid)
        if was_judged:
            return None
        return Departure(
            worker.hostname,
            silent_seconds=silent,
            is_replaced=True,
            successor_pid=event.pid if is_new_pid else None,
            undecided_seconds=0.0 if has_missed else _MISSED_BEATS * worker.freq,
        )

    def _count_missing(self, worker: Worker, at: float, processed: int) -> None:
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

    def _lose(self, worker: Worker) -> None:
        """Count what is missing as lost, if the worker sends task events at all."""
        if worker.missing and worker.sends:
            before = self._lost_events.get(worker.hostname, 0)
            self._lost_events[worker.hostname] = before + worker.missing
        worker.missing = 0

    def _join(self, hostname: str, now: float) -> Worker | None:
        if len(self._workers) >= self._max_workers and not self._make_room():
            if len(self._refused) < self._max_workers:
                self._refused.add(hostname)
            return None
        worker = self._workers[hostname] = Worker(hostname, now)
        return worker

    def _make_room(self) -> bool:
        """Forget the longest-silent worker that is gone or may be made up; a live one never."""
        expendable = [
            worker
            for worker in self._workers.values()
            if worker.state is not WorkerState.ONLINE or not worker.is_genuine
        ]
        if not expendable:
            return False
        del self._workers[min(expendable, key=lambda worker: worker.last_seen).hostname]
        return True
