"""Roster: which workers are online, offline (said goodbye) or lost (went silent).

Judged on the monitor's own monotonic clock by when events and answers *arrive*; what a worker's
clock or time zone says changes nothing. Silence is counted only while we listen. Pure: every method
is told the time. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..events import WorkerEvent
from ..snapshot import WorkerState, WorkerStatus
from ..survey import WorkerAnswer
from .in_flight import ANY_OWNER, Owner, Run
from .loss_meter import LossMeter
from .process import Process, sender_of_beat, sender_of_goodbye
from .worker import Worker

__all__ = ["Departure", "Roster"]

_IDLE_BEATS = 3  # heartbeats without work, after which no task event is to be waited for
_SAME_SECONDS = 1.0  # answers that come sooner after others are the same ones, given again
_SETTLE_SECONDS = 5.0  # after a goodbye: task events sent before it may still be on their way
_UNANSWERED = 2  # surveys in a row that a worker may miss
_LONGEST_SILENCE_SECONDS = 7 * 86_400.0  # of a task in a worker of which nothing else is known
# Looked up once: an enum's members are slow to reach.
_ONLINE, _OFFLINE, _LOST = WorkerState.ONLINE, WorkerState.OFFLINE, WorkerState.LOST


@dataclass(frozen=True, slots=True)
class Departure:
    """A process that is gone: the tasks it was running will not end there.

    ``is_replaced``: another process has the name. ``runs`` are the tasks that it was running when
    that one came; None: those that its ``owner`` runs now.
    """

    hostname: str
    silent_seconds: float
    said_goodbye: bool = False
    is_replaced: bool = False
    runs: tuple[Run, ...] | None = None
    owner: Owner = ANY_OWNER


class Roster:
    """All workers seen lately, by full nodename.

    ``grace_seconds`` and ``grace_beats``: the longer silence of the two makes a worker lost.
    ``drain_seconds``: how long after a goodbye its running tasks may go on. ``survey_seconds``: how
    often the workers are asked; None if they are not.

    ``listening_since`` is when we began to listen, by our monotonic clock; None while we do not,
    when no worker is judged. Its owner keeps it up to date.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        grace_beats: float,
        forget_seconds: float,
        max_workers: int,
        drain_seconds: float = 3_600.0,
        survey_seconds: float | None = None,
    ) -> None:
        self.listening_since: float | None = 0.0
        self._grace_seconds = grace_seconds
        self._grace_beats = grace_beats
        self._forget_seconds = forget_seconds
        self._max_workers = max_workers
        self._drain_seconds = drain_seconds
        self._survey_seconds = survey_seconds
        self._workers: dict[str, Worker] = {}
        self._refused: set[str] = set()
        self._lost_events: dict[str, int] = {}
        self._departures: list[Departure] = []  # found since the last sweep
        self._answers_at: float | None = None  # when the last survey's answers were complete

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
        process = worker.current
        if process.beats_without_task_events or not process.sends:
            if not process.sends_task_events:
                process.loss_meter = LossMeter()  # count from the next heartbeat on
            process.sends = True
            process.beats_without_task_events = 0
        if process.missing:
            self._lose(worker, process, now)
        if process.state is _LOST:
            process.become(_ONLINE, now)
        return process.loss_meter

    def heartbeat(self, event: WorkerEvent, *, now: float) -> Process | None:
        """Note a worker-online or worker-heartbeat event.

        Return the process that now has a successor under its name, if this event is the first of
        another process: whoever keeps the tasks has to set its ``runs``.
        """
        worker = self._workers.get(event.hostname)
        if worker is None:
            worker = self._join(event.hostname, now)
            if worker is None:
                return None
        is_hello = event.type == "worker-online" and event.processed is not None
        worker.last_seen = now
        process = sender_of_beat(event, worker.processes, now=now)
        predecessor = None
        if process is None:
            predecessor, process = worker.current, worker.add_process(event, now)
        elif process.state is _LOST or (is_hello and process.state is _OFFLINE):
            # Workers since 5.7 say a goodbye of the past just before the hello of a reconnect.
            process.become(_ONLINE, now)
            process.runs = None
            worker.elect()
        if event.processed is not None:
            worker.note_count(event.processed)
            worker.note_gap(process, event, listening_since=self.listening_since)
            worker.note_turn(process, now, hold_seconds=2 * self._grace(process))
        process.note_beat(event, now)
        if event.processed is not None:
            self._count_missing(
                worker, process if worker.is_muddled else worker.current, event, now
            )
        if predecessor is None and len(worker.processes) > 1:
            self._judge_several(worker, now)
        return predecessor

    def goodbye(self, event: WorkerEvent, *, now: float) -> Process | None:
        """Note a worker-offline event; return the process that says it.

        One of a process already replaced is out of date, and a second one says nothing new: None.
        """
        worker = self._workers.get(event.hostname)
        if worker is None:
            return None
        process = sender_of_goodbye(event, worker.processes)
        if process is None:
            return None
        worker.last_seen = now
        if process.state is _OFFLINE:
            return None
        process.become(_OFFLINE, now)
        if event.processed is not None:
            process.idle_at = now if event.active == 0 else None
            process.processed = max(event.processed, process.processed or 0)
            if not worker.is_muddled:
                process.missing += process.loss_meter.heartbeat(event.timestamp, event.processed)
        worker.elect()
        return process

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

    # -- judgement -----------------------------------------------------------------------------

    def sweep(self, *, now: float, busy: Container[str] = ()) -> tuple[Departure, ...]:
        """Judge all workers; return each death, and each goodbye that lasts, exactly once.

        ``busy`` are the workers that run tasks, as far as events tell.
        """
        if self.listening_since is not None:
            for worker in tuple(self._workers.values()):
                process = worker.current
                if len(worker.processes) > 1:
                    self._judge_several(worker, now)
                elif (
                    process.beats
                    and process.is_online
                    and not (now - worker.last_seen > self._grace_seconds)
                ):
                    continue  # nearly always
                self._judge(worker, now, is_busy=worker.hostname in busy)
        departures, self._departures = tuple(self._departures), []
        return departures

    def _judge(self, worker: Worker, now: float, *, is_busy: bool) -> None:
        for process in worker.processes:
            if process.state is _OFFLINE:
                self._judge_departed(worker, process, now)
            elif process.state is _LOST and now - process.changed_at > _SETTLE_SECONDS:
                self._settle(worker, process, now)
        silent = now - max(worker.evidence_at, self.listening_since or 0.0)
        online = worker.online
        if not online:
            drains = any(
                process.state is _OFFLINE and not process.is_drained for process in worker.processes
            )
            if not drains and now - worker.current.changed_at > self._forget_seconds:
                del self._workers[worker.hostname]
        elif any(process.beats for process in online):
            if silent > max(self._grace(process) for process in online):
                for process in online:
                    self._bury(worker, process, now, silent, is_counted=process.is_certain)
        elif self._has_stopped_answering(worker, silent, is_busy=is_busy):
            self._bury(worker, worker.current, now, silent)
        elif silent > (_LONGEST_SILENCE_SECONDS if is_busy else self._forget_seconds):
            del self._workers[worker.hostname]
            self._departures.append(Departure(worker.hostname, silent, said_goodbye=True))

    def _judge_several(self, worker: Worker, now: float) -> None:
        """Judge the processes under one name that are silent while another of them goes on."""
        since = self.listening_since
        if since is None:
            return
        processes = tuple(worker.processes)
        for place, process in enumerate(processes):
            silent = now - max(process.beat_at, since)
            if process.state is _LOST:
                if now - process.changed_at > self._grace(process):
                    worker.remove(process)
            elif not process.is_online:
                pass  # its tasks may go on
            elif worker.is_shared(now):
                if silent > self._grace(process) >= now - worker.last_beat_at:
                    self._judge_sharer(worker, process, now, silent)
            elif silent >= (self._grace(process) if worker.falls_silent else process.late_seconds):
                self._judge_replaced(worker, process, processes[place + 1 :], now, silent)
        worker.elect()

    def _judge_sharer(self, worker: Worker, process: Process, now: float, silent: float) -> None:
        """Judge a process that is silent past its grace, of several that live under one name.

        That it is dead is certain only if it has its own pid and did beat regularly; of the others
        nothing is said.
        """
        if worker.is_known_by_pid(process):
            self._bury(worker, process, now, silent)
        else:
            worker.dismiss(process, now)

    def _judge_replaced(
        self, worker: Worker, process: Process, later: Sequence[Process], now: float, silent: float
    ) -> None:
        """Judge a process whose heartbeats are missing since others came under its name."""
        successors = [other for other in later if other.is_successor]
        if any(other.is_certain for other in successors):
            if process.beats:
                self._bury(worker, process, now, silent)
            else:  # it never sent a heartbeat: that it died is likely, not certain
                process.become(_OFFLINE, now)
        elif not any(self._beats_in_time(other, now) for other in successors) and any(
            self._beats_in_time(other, now) for other in worker.online if other is not process
        ):
            worker.dismiss(process, now)  # an old heartbeat, or a clock that was stepped

    def _beats_in_time(self, process: Process, now: float) -> bool:
        silent = now - max(process.beat_at, self.listening_since or 0.0)
        return process.is_online and silent < process.late_seconds

    def _judge_departed(self, worker: Worker, process: Process, now: float) -> None:
        """Return, after a goodbye, what has to be given up by now."""
        if now - process.changed_at > _SETTLE_SECONDS:
            self._settle(worker, process, now)
        gone = now - max(process.changed_at, self.listening_since or 0.0)
        is_replaced = worker.current is not process
        if not process.is_settled and gone > self._grace(process):
            process.is_settled = True
            self._departures.append(
                Departure(
                    worker.hostname, gone, said_goodbye=True, is_replaced=is_replaced, runs=()
                )
            )
        if not process.is_drained and gone > self._drain_seconds:
            process.is_drained = True
            self._departures.append(
                Departure(
                    worker.hostname,
                    gone,
                    said_goodbye=True,
                    is_replaced=is_replaced,
                    runs=process.runs,
                    owner=worker.owner_of(process),
                )
            )
            if is_replaced:
                worker.remove(process)

    def _bury(
        self,
        worker: Worker,
        process: Process,
        now: float,
        silent: float,
        *,
        is_counted: bool = True,
    ) -> None:
        """Note that a process is dead."""
        is_alone = len(worker.processes) == 1
        if is_counted:
            self._departures.append(
                Departure(
                    worker.hostname,
                    silent,
                    is_replaced=not is_alone
                    and any(other is not process for other in worker.online),
                    runs=process.runs,
                    owner=worker.owner_of(process),
                )
            )
        process.become(_LOST, now)
        self._settle(worker, process, now)
        if not is_alone:
            worker.elect()

    def _has_stopped_answering(self, worker: Worker, silent: float, *, is_busy: bool) -> bool:
        """Return whether a worker without heartbeats is dead: it answered, and does not any more.

        A solo pool does not answer while a task runs, and mostly the events of that task wait in
        it, too: it is given as long as a task may take that nobody hears of.
        """
        if self._survey_seconds is None or worker.answered_at is None:
            return False
        if not worker.may_be_solo:
            patience = self._grace(worker.current)
        elif is_busy:
            return False
        else:
            patience = self._drain_seconds
        return worker.unanswered >= _UNANSWERED and silent > patience

    def _grace(self, process: Process) -> float:
        return max(self._grace_seconds, self._grace_beats * process.freq)

    # -- what is known -------------------------------------------------------------------------

    def collect(self, *, now: float) -> tuple[WorkerStatus, ...]:
        """Return the status of all workers, sorted by name."""
        return tuple(
            worker.status(now, grace_seconds=self._grace(worker.current))
            for _, worker in sorted(self._workers.items())
        )

    def meter_of(self, hostname: str) -> LossMeter:
        """Return the loss meter that has to be given each task-started of this worker."""
        worker = self._workers.get(hostname)
        return LossMeter() if worker is None else worker.current.loss_meter

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
        lost, self._lost_events = self._lost_events, {}
        patience = _UNANSWERED * (self._survey_seconds or 0.0)
        for hostname, worker in self._workers.items():
            missing = worker.silent_tasks
            if missing.is_empty:  # nearly always
                continue
            count = missing.take_lost(now=now, patience_seconds=patience)
            if count:
                lost[hostname] = lost.get(hostname, 0) + count
        return lost

    # -- events that are missing ---------------------------------------------------------------

    def _count_missing(
        self, worker: Worker, process: Process, event: WorkerEvent, now: float
    ) -> None:
        """Find out what is lost, and whether the worker sends task events at all.

        What is missing counts as lost when a later task event shows that events are sent, or when
        there is no work that would bring one. Where it is not known whose task events come, nothing
        is missing.
        """
        processed = event.processed or 0
        if process.processed_at_first is None:
            process.processed_at_first = processed
        progress = process.counted is not None and processed > process.counted
        process.counted = processed
        process.idle_beats = 0 if progress else process.idle_beats + 1
        if worker.is_muddled:
            return
        if progress or (not process.sends and processed > process.processed_at_first):
            process.beats_without_task_events += 1
        process.missing += process.loss_meter.heartbeat(event.timestamp, processed)
        if not process.sends_task_events:
            process.missing, process.sends = 0, False
        elif process.missing and process.idle_beats >= _IDLE_BEATS:
            self._lose(worker, process, now)

    def _settle(self, worker: Worker, process: Process, now: float) -> None:
        """Count what is missing of a process that is gone."""
        if not worker.is_muddled:
            process.missing += process.loss_meter.settle()
        self._lose(worker, process, now)

    def _lose(self, worker: Worker, process: Process, now: float) -> None:
        """Count what is missing as lost, if the worker sends task events at all.

        Where the worker's own totals can tell, it is first seen whether silent tasks explain it.
        """
        missing, process.missing = process.missing, 0
        if not missing or not process.sends:
            return
        if self._survey_seconds is not None and worker.silent_tasks.is_asked:
            worker.silent_tasks.miss(missing, now=now)
        else:
            before = self._lost_events.get(worker.hostname, 0)
            self._lost_events[worker.hostname] = before + missing

    # -- room ----------------------------------------------------------------------------------

    def _join(self, hostname: str, now: float) -> Worker | None:
        if len(self._workers) >= self._max_workers and not self._make_room():
            if len(self._refused) < self._max_workers:
                self._refused.add(hostname)
            return None
        worker = self._workers[hostname] = Worker(hostname, now)
        return worker

    def _make_room(self) -> bool:
        """Forget the longest-silent worker that is gone or gave no sign of its own; no live one."""
        expendable = [
            worker
            for worker in self._workers.values()
            if not worker.online or not (worker.current.beats or worker.answered_at is not None)
        ]
        if not expendable:
            return False
        del self._workers[min(expendable, key=lambda worker: worker.last_seen).hostname]
        return True
