"""Roster: which workers are online, offline (said goodbye) or lost (went silent).

Judged on the monitor's own monotonic clock by when events and answers *arrive*; what a worker's
clock or time zone says changes nothing. Silence is counted only while we listen. Pure: every method
is told the time. Not thread-safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import nlargest
from operator import itemgetter

from ..events import Alive, WorkerEvent
from ..snapshot import WorkerState, WorkerStatus
from ..survey import WorkerAnswer
from .in_flight import ANY_OWNER, Owner
from .loss_meter import LossMeter
from .missing_events import MissingEvents
from .process import (
    Process,
    sender_of_beat,
    sender_of_goodbye,
    senders_of_last_goodbye,
    with_events,
)
from .verdicts import Departure, Limits, Verdicts
from .worker import TaskMeter, Worker

__all__ = ["Roster"]

_MOST_ALIVE = 500  # of which others are told
_MOST_SILENT = 50  # each takes 3 µs under the lock
_SAME_SECONDS = 1.0  # answers that come sooner after others are the same ones, given again
# Looked up once: an enum's members are slow to reach.
_ONLINE, _OFFLINE, _LOST = WorkerState.ONLINE, WorkerState.OFFLINE, WorkerState.LOST


class Roster:
    """All workers seen lately, by full nodename."""

    def __init__(self, limits: Limits, *, max_workers: int) -> None:
        self._max_workers = max_workers
        self._workers: dict[str, Worker] = {}
        self._left: dict[str, None] = {}  # those that said goodbye and nothing else
        self._refused: set[str] = set()
        self._expendable: deque[str] = deque()  # names that may be forgotten, by their last change
        self._missing_events = MissingEvents(survey_seconds=limits.survey)
        self.verdicts = Verdicts(limits, self._missing_events)
        self._grace_seconds = limits.grace
        self.evictions = 0  # workers that made room for others
        self._answers_at: float | None = None  # when the last survey's answers were complete

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, hostname: object) -> bool:
        return hostname in self._workers

    # -- evidence ------------------------------------------------------------------------

    def task_event(self, hostname: str, now: float) -> Worker | None:
        """Note that a task event arrived from this worker, so it is alive; return it.

        Its ``meter`` has to be given each task-started. None if there is no room for it.
        """
        worker = self._workers.get(hostname) or self._join(hostname, now)
        if worker is None:
            return None
        worker.last_seen = now
        process = worker.current
        if not worker.is_several:
            process.note_task_event()
        if process.missing:
            self._missing_events.lose(worker, process, now)
        if process.state is _LOST:
            process.become(_ONLINE, now)
        return worker

    def heartbeat(self, event: WorkerEvent, *, now: float) -> Sequence[Process]:
        """Note a worker-online or worker-heartbeat event.

        Return the processes that now have a successor under their name, if this event is the first
        of another process: whoever keeps the tasks has to set their ``runs``, unless they are set.
        """
        worker = self._workers.get(event.hostname)
        if worker is None:
            worker = self._join(event.hostname, now)
            if worker is None:
                return ()
        is_hello = event.type == "worker-online" and event.processed is not None
        worker.last_seen = now
        process = sender_of_beat(event, worker.processes, now=now)
        predecessors: Sequence[Process] = ()
        if process is None:
            predecessors, process = worker.predecessors, worker.add_process(event, now)
        elif process.state is _LOST or (is_hello and process.state is _OFFLINE):
            # Workers since 5.7 say a goodbye of the past just before the hello of a reconnect.
            process.become(_ONLINE, now)
            process.runs = None
            worker.choose_current()
        process.said_hello |= is_hello
        if event.processed is not None:
            worker.note_count(event.processed)
            worker.note_gap(process, event, listening_since=self.verdicts.listening_since)
            worker.note_turn(process, now, hold_seconds=2 * self.verdicts.grace(process))
        process.note_beat(event, now)
        if event.facts is not None:
            worker.note_pool(event.facts)
        if event.processed is not None:
            self._missing_events.heartbeat(worker, worker.counting(process), event, now)
        if not predecessors and worker.is_several:
            self.verdicts.judge_several(worker, now)
        return predecessors

    def goodbye(self, event: WorkerEvent, *, now: float) -> Process | None:
        """Note a worker-offline event; return the process that says it.

        One of a process already replaced is out of date, and a second one says nothing new: None.
        Neither does the last one of a process that has said it, but for its count.
        """
        worker = self._workers.get(event.hostname)
        if worker is None:
            self._left[event.hostname] = None
            if len(self._left) > self._max_workers:
                self._left.pop(next(iter(self._left)))
            return None
        processes: Sequence[Process] = worker.processes
        if event.is_last:
            processes = senders_of_last_goodbye(event, processes)
        process = sender_of_goodbye(event, processes, now=now)
        if process is None:
            return None
        worker.last_seen = now
        is_first = process.state is not _OFFLINE
        if process.is_after(event) or not (is_first or event.is_last):
            return None
        if is_first:
            process.become(_OFFLINE, now)
            self._note_expendable(event.hostname)
        if event.processed is not None:
            process.idle_at = now if event.active == 0 else None
            process.processed = max(event.processed, process.processed or 0)
            if not worker.is_ambiguous:
                expected = with_events(event.processed, event.facts or process.facts)
                process.missing += process.loss_meter.heartbeat(event.timestamp, expected)
        if not is_first:
            return None
        worker.choose_current()
        return process

    def introduce(self, others: Iterable[Alive], *, now: float) -> None:
        """Note the processes that another monitor knows and we have not heard of.

        One that died before we came, and is not found dead yet, is found so by us then. What it had
        begun by then says nothing of the events that we should have had.
        """
        for hostname, pid, freq, processed, silent, newest_at in others:
            if hostname not in self._workers and hostname not in self._left:
                beat = WorkerEvent(
                    type="worker-heartbeat",
                    hostname=hostname,
                    pid=pid,
                    freq=freq,
                    processed=processed,
                    timestamp=newest_at,
                )
                self.heartbeat(beat, now=now - silent)
                if hostname in self._workers:  # there was room for it
                    self._workers[hostname].current.count_from_next_beat()

    def alive(self, *, now: float) -> tuple[Alive, ...]:
        """Return the processes that are online, those first that have been silent for longest.

        Without those whose goodbye we may have missed, as we did not listen.
        """
        found: list[Alive] = []
        since = self.verdicts.listening_since
        if since is None:
            return ()
        for hostname, worker in self._workers.items():
            process = worker.current
            beats = process.is_online and process.beats and process.beat_at >= since
            if beats and not worker.is_several:
                silent = max(0.0, now - process.beat_at)
                count, freq = process.processed or 0, process.freq
                found.append((hostname, process.pid, freq, count, silent, process.newest_at))
        return tuple(nlargest(_MOST_ALIVE, found, key=itemgetter(4)))

    def note_answers(
        self,
        answers: Iterable[WorkerAnswer],
        *,
        at: float,
        sends_events: Callable[[str], bool],
    ) -> None:
        """Note which workers answered when all were asked; ``at`` is when that was known.

        The same answers may be given again. ``sends_events`` returns whether an event of tasks of
        that name ever came.
        """
        if self._answers_at is not None and at < self._answers_at + _SAME_SECONDS:
            return
        self._answers_at = at
        self._missing_events.are_asked = True
        answered = set()
        for answer in answers:
            worker = self._workers.get(answer.hostname) or self._join(answer.hostname, at)
            if worker is not None:
                answered.add(answer.hostname)
                worker.note_answer(answer, at, sends_events)
        if not answered and any(
            worker.answered_at is not None and worker.current.is_online and worker.current.beats
            for worker in self._workers.values()
        ):
            return  # nobody answers though they are well: it is the question that does not arrive
        for hostname, worker in self._workers.items():
            if hostname not in answered:
                worker.unanswered += 1

    # -- what is known -------------------------------------------------------------------

    def sweep(self, *, now: float, busy: Container[str] = ()) -> tuple[Departure, ...]:
        """Judge all workers; return each death, and each goodbye that lasts, exactly once.

        ``busy`` are the workers that run tasks, as far as events tell.
        """
        verdicts = self.verdicts
        if verdicts.listening_since is not None:
            for worker in tuple(self._workers.values()):
                process = worker.current
                if worker.is_several:
                    verdicts.judge_several(worker, now)
                elif (
                    process.beats
                    and process.is_online
                    and not (now - worker.last_seen > self._grace_seconds)
                ):
                    continue  # nearly always
                if not verdicts.judge(worker, now, is_busy=worker.hostname in busy):
                    del self._workers[worker.hostname]
                elif not worker.current.is_online and worker.current.changed_at == now:
                    self._note_expendable(worker.hostname)
        return verdicts.take()

    def lose(
        self,
        hostname: str,
        pid: int | None,
        *,
        silent: float,
        newest_at: float | None = None,
        now: float,
    ) -> Departure:
        """Take a process for dead, as somebody else has found; return its departure.

        ``newest_at``: unless a later heartbeat has come since, by its own clock.
        """
        worker = self._workers.get(hostname)
        if worker is None:
            return Departure(hostname, silent, pid=pid)
        departure = self.verdicts.lose(worker, pid, now, silent=silent, newest_at=newest_at)
        self._note_expendable(hostname)
        return departure

    def silent(self, *, now: float, listening_since: float) -> tuple[tuple[str, float], ...]:
        """Return who ``sweep`` would find dead by its silence now, and for how many seconds.

        Changes nothing, so that it may be asked between two shots. When a data centre goes, 50 of
        its workers will do.
        """
        late = [
            worker
            for worker in self._workers.values()
            if now - worker.last_seen > self._grace_seconds  # nearly never
        ]
        silences = (
            (worker.hostname, self.verdicts.silence(worker, now, listening_since=listening_since))
            for worker in late[:_MOST_SILENT]
        )
        return tuple((hostname, seconds) for hostname, seconds in silences if seconds is not None)

    def collect(self, *, now: float) -> tuple[WorkerStatus, ...]:
        """Return the status of all workers, sorted by name."""
        return tuple(
            worker.status(now, grace_seconds=self.verdicts.grace(worker.current))
            for _, worker in sorted(self._workers.items())
        )

    def meter_of(self, hostname: str) -> TaskMeter:
        """Return the loss meter that has to be given each task-started of this worker."""
        worker = self._workers.get(hostname)
        return LossMeter() if worker is None else worker.meter

    def owner_of(self, hostname: str, process: Process) -> Owner:
        """Return whose tasks the process runs among those under its name."""
        worker = self._workers.get(hostname)
        return ANY_OWNER if worker is None else worker.owner_of(process)

    def idle(self) -> Iterator[tuple[str, float, Owner]]:
        """Yield workers that said last that they run nothing, when that came, and whose tasks."""
        for hostname, worker in self._workers.items():
            if len(worker.processes) == 1:  # nearly always
                if worker.current.idle_at is not None:
                    yield hostname, worker.current.idle_at, ANY_OWNER
                continue
            speaking = worker.online or [worker.current]
            since = [process.idle_at for process in speaking]
            times = [at for at in since if at is not None]
            if times and len(times) == len(since):
                owner = worker.owner_of(speaking[-1])
                if len(speaking) > 1:  # whoever of them began a task, none of them runs it
                    owner = replace(owner, pid=None, since=None)
                yield hostname, min(times), owner

    def draining(self) -> Iterator[tuple[str, Process]]:
        """Yield the processes that said goodbye and whose tasks may still run."""
        for hostname, worker in self._workers.items():
            for process in worker.processes:
                if process.state is _OFFLINE and not process.is_drained:
                    yield hostname, process

    def take_refused(self) -> int:
        """Return how many names found no room since the last call."""
        refused, self._refused = self._refused, set()
        return len(refused)

    def take_lost_events(self, *, now: float) -> dict[str, int]:
        """Return how many task-started events never came, by worker, since the last call."""
        return self._missing_events.take(self._workers.values(), now=now)

    # -- room ----------------------------------------------------------------------------

    def _join(self, hostname: str, now: float) -> Worker | None:
        if len(self._workers) >= self._max_workers and not self._make_room():
            if len(self._refused) < self._max_workers:
                self._refused.add(hostname)
            return None
        self._left.pop(hostname, None)
        worker = self._workers[hostname] = Worker(hostname, now)
        self._note_expendable(hostname)
        return worker

    def _note_expendable(self, hostname: str) -> None:
        """Note that this worker may be gone, or give no sign of its own, when room is needed."""
        self._expendable.append(hostname)
        if len(self._expendable) > 2 * self._max_workers:
            names = dict.fromkeys(self._expendable)
            self._expendable = deque(filter(self._is_expendable, names))

    def _is_expendable(self, hostname: str) -> bool:
        worker = self._workers.get(hostname)
        return worker is not None and worker.is_expendable

    def _make_room(self) -> bool:
        """Forget a worker that is gone, or gave no sign of its own; a live one never.

        Each name is looked at once for each time it was noted: a flood of names costs no walk over
        all workers.
        """
        while self._expendable:
            hostname = self._expendable.popleft()
            if self._is_expendable(hostname):
                del self._workers[hostname]
                self.evictions += 1
                return True
        return False
