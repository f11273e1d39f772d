"""Worker: one nodename, with the processes that use it: nearly always one. Not thread-safe."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from ..events import WorkerEvent, WorkerFacts
from ..snapshot import WorkerState, WorkerStatus
from ..survey import WorkerAnswer
from .in_flight import ANY_OWNER, Owner
from .loss_meter import LossMeter
from .process import Process
from .silent_tasks import SilentTasks

__all__ = ["TaskMeter", "Worker"]

_TURNS = 3  # times that one of two processes beats after the other: then both are alive
_MOST_PROCESSES = 16  # remembered under one name
_REGULAR_BEATS = 3  # a process that sent so many heartbeats would have gone on


class TaskMeter(Protocol):
    """Counts task-started events, as a ``LossMeter`` does."""

    mark_at: float
    seen_since: int

    def started(self, at: float, pid: int | None) -> None:
        """Count one, by its timestamp and the pid that it names."""


class Worker:
    """A nodename. ``current`` is the process that task events under it are reckoned to."""

    mark_at, seen_since = inf, 0  # as a ``TaskMeter`` it has to be told of each task-started

    __slots__ = (
        "_last_beater",
        "_shared_until",
        "_turns",
        "answered_at",
        "current",
        "falls_silent",
        "hostname",
        "is_ambiguous",
        "joined_at",
        "last_seen",
        "may_be_one",
        "may_be_solo",
        "processes",
        "silent_tasks",
        "unanswered",
    )

    def __init__(self, hostname: str, now: float) -> None:
        self.hostname = hostname
        self.joined_at = now
        self.last_seen = now  # when its last event arrived
        self.answered_at: float | None = None  # when it was last known to answer
        self.unanswered = 0  # surveys in a row that it has missed
        self.may_be_solo = True  # nothing has shown yet that it answers while a task runs
        self.falls_silent = False  # its heartbeats pause, as those of a solo pool do
        self.silent_tasks = SilentTasks()
        self.processes = [Process(None, now, is_first=True)]  # oldest first
        self.current = self.processes[0]
        self.may_be_one = True  # but for the rhythm of the heartbeats, one process could send them
        self.is_ambiguous = False  # it is not known which process the task events are from
        self._last_beater: Process | None = None
        self._turns = 0
        self._shared_until = float("-inf")

    @property
    def online(self) -> list[Process]:
        """Return the processes that neither said goodbye nor were found dead, oldest first."""
        return [process for process in self.processes if process.is_online]

    @property
    def is_several(self) -> bool:
        """Return whether more than one process of this name is remembered."""
        return len(self.processes) > 1

    @property
    def predecessors(self) -> list[Process]:
        """Return those that have a successor if another process comes now.

        The current one, and those that said goodbye and whose tasks may still run.
        """
        return [
            process
            for process in self.processes
            if process is self.current
            or (process.state is WorkerState.OFFLINE and not process.is_drained)
        ]

    @property
    def meter(self) -> TaskMeter:
        """Return what has to be given each task-started under this name."""
        return self if self.is_several else self.current.loss_meter

    @property
    def is_expendable(self) -> bool:
        """Return whether it is gone, or known by task events only, which name anybody."""
        return not self.online or not (self.current.beats or self.answered_at is not None)

    @property
    def evidence_at(self) -> float:
        """Return when the last sign of life came."""
        return max(self.last_seen, self.answered_at or 0.0)

    @property
    def last_beat_at(self) -> float:
        """Return when the last heartbeat of any of its processes came."""
        return max(process.beat_at for process in self.processes)

    def is_shared(self, now: float) -> bool:
        """Return whether several processes were seen alive under this name lately."""
        return now < self._shared_until

    # -- what is noted -------------------------------------------------------------------------

    def add_process(self, event: WorkerEvent, now: float) -> Process:
        """Return a new process, the first event of which this is."""
        process = Process(event.pid, now, is_first=False)
        same_pid = [
            other
            for other in self.processes
            if None in (other.pid, event.pid) or other.pid == event.pid
        ]
        process.said_hello = event.type == "worker-online" and event.processed is not None
        process.is_successor = not same_pid or all(
            other.floor > (event.processed or 0) for other in same_pid
        )
        if len(self.processes) >= _MOST_PROCESSES:
            self._forget_one()
        self.processes.append(process)
        self.may_be_one = self.may_be_one and not process.is_successor
        self.choose_current()
        return process

    def _forget_one(self) -> None:
        """Make room for a process: a dead one goes first, and one that lives last."""
        victim = min(
            self.processes,
            key=lambda one: (one.is_online, one.state is WorkerState.OFFLINE),
        )
        self.processes.remove(victim)
        if self._last_beater is victim:
            self._last_beater = None

    def note_count(self, processed: int) -> None:
        """Note how many tasks a process has begun: two that count apart are two for certain."""
        if self.may_be_one and processed < (self.current.counted or 0):
            self.may_be_one = False
            self.choose_current()

    def note_gap(
        self, process: Process, event: WorkerEvent, *, listening_since: float | None
    ) -> None:
        """Note whether heartbeats were missing before this one, though we listened."""
        if (
            process.sent_at is not None
            and event.type == "worker-heartbeat"
            and listening_since is not None
            and process.beat_at >= listening_since
            and event.timestamp - process.sent_at > process.late_seconds
        ):
            self.falls_silent = True

    def note_turn(self, process: Process, now: float, *, hold_seconds: float) -> None:
        """Note whose heartbeat came: where two take turns, two are alive."""
        last, self._last_beater = self._last_beater, process
        if last is None or last is process or not process.beats:
            return
        if last.is_online and process.is_online:
            process.runs = None  # another process came, and it lives all the same
            self._turns += 1
            if self._turns >= _TURNS:
                self._shared_until = now + hold_seconds
                self.choose_current()

    def note_answer(
        self, answer: WorkerAnswer, at: float, sends_events: Callable[[str], bool]
    ) -> None:
        """Note that it answered when it was asked."""
        self.answered_at = max(at, self.answered_at or 0.0)
        self.unanswered = 0
        self.note_pool(answer)
        current = self.current
        if current.state is WorkerState.LOST and at > current.changed_at:
            current.become(WorkerState.ONLINE, at)
        if answer.processed:
            self.silent_tasks.note_totals(
                dict(answer.processed),
                at=at,
                is_new=current.processed_at_first == 0,
                sends_events=sends_events,
            )

    def note_pool(self, said: WorkerAnswer | WorkerFacts) -> None:
        """Note what it says of its pool: a solo pool says nothing while a task runs."""
        if said.is_solo is not None:
            self.may_be_solo = said.is_solo
            self.falls_silent |= said.is_solo
        elif said.active or (said.pool_processes or 0) > 1:
            self.may_be_solo = False

    def choose_current(self) -> None:
        """Choose the current process: the newest that is online, or that said goodbye."""
        online = self.online
        if len(online) < 2:
            self._turns, self.may_be_one = 0, True
        left = [process for process in self.processes if process.state is WorkerState.OFFLINE]
        left.sort(key=lambda process: process.changed_at)
        before = self.current
        self.current = (online or left or self.processes)[0 if self.may_be_one and online else -1]
        current = self.current
        if current is not before and current.counted is None and not current.is_successor:
            current.take_count_of(before)
        was_ambiguous, self.is_ambiguous = (
            self.is_ambiguous,
            len(online) > 1
            and not self.may_be_one
            and not _have_own_pids(online)
            and (self._turns >= _TURNS or not self.current.said_hello),
        )
        if was_ambiguous != self.is_ambiguous:
            for process in self.processes:
                process.missing, process.loss_meter = 0, LossMeter()

    def remove(self, process: Process) -> None:
        """Forget a process, unless it is the only one."""
        if len(self.processes) > 1:
            self.processes.remove(process)
            if self._last_beater is process:
                self._last_beater = None
            self.choose_current()

    # -- what is known -------------------------------------------------------------------------

    def is_known_by_pid(self, process: Process) -> bool:
        """Return whether this process, under a shared name, cannot be mistaken for another."""
        pids = [other.pid for other in self.processes]
        return (
            process.pid is not None
            and pids.count(process.pid) == 1
            and (process.said_hello or process.beats >= _REGULAR_BEATS)
        )

    def counting(self, process: Process) -> Process:
        """Return the process that counts the task events of this one: of a pid the current one.

        Unless several are known to have the same pid.
        """
        return process if self.is_ambiguous or process.pid != self.current.pid else self.current

    def started(self, at: float, pid: int | None) -> None:
        """Count a task-started, as ``LossMeter.started``, for the process that has this pid."""
        process = next(
            (process for process in reversed(self.processes) if process.pid == pid),
            self.current,
        )
        process = self.counting(process)
        process.note_task_event()
        process.loss_meter.started(at, pid)

    def owner_of(self, process: Process) -> Owner:
        """Return which of the tasks that run under this name the process runs."""
        others = [other for other in self.processes if other is not process]
        if not others:
            return ANY_OWNER
        alike = [other for other in others if other.pid == process.pid and other.runs is None]
        return Owner(
            pid=process.pid,
            since=process.joined_at
            if any(other.joined_at < process.joined_at for other in alike)
            else None,
            until=min(
                (other.joined_at for other in alike if other.joined_at > process.joined_at),
                default=None,
            ),
            without=tuple(run for other in others for run in other.runs or ()),
        )

    def status(self, now: float, *, grace_seconds: float) -> WorkerStatus:
        """Return what is known of it."""
        current = self.current
        if len(self.processes) == 1:  # nearly always
            return WorkerStatus(
                self.hostname,
                current.state,
                now - self.last_seen,
                current.pid,
                current.active,
                current.processed,
                current.load_average,
                current.sends_task_events,
                bool(current.beats) or now - self.joined_at <= grace_seconds,
                answer=_answer_of(self.hostname, current, now, grace_seconds),
                answer_age_seconds=now - current.beat_at,
            )
        online = self.online
        shown = online or [current]
        states = {process.state for process in self.processes}
        gone = WorkerState.OFFLINE if WorkerState.OFFLINE in states else WorkerState.LOST
        pids = {process.pid for process in shown}
        certain = sum(process.is_certain for process in online)
        return WorkerStatus(
            hostname=self.hostname,
            state=WorkerState.ONLINE if online else gone,
            silent_seconds=now - self.last_seen,
            pid=current.pid if len(pids) == 1 else None,
            active=_sum([process.active for process in shown]),
            processed=_sum([process.processed for process in shown]),
            load_average=max(
                (process.load_average for process in shown if process.load_average is not None),
                default=None,
            ),
            sends_task_events=all(process.sends_task_events for process in shown),
            sends_heartbeats=any(process.beats for process in shown)
            or now - self.joined_at <= grace_seconds,
            processes=max(1, certain),
            is_shared=self.is_shared(now) and len(online) > 1,
            # Of several nobody knows whether these are all.
            answer=_answer_of(self.hostname, shown[0], now, grace_seconds)
            if len(shown) == 1
            else None,
            answer_age_seconds=now - shown[0].beat_at,
        )


def _have_own_pids(processes: list[Process]) -> bool:
    """Return whether each has a pid that none of the others can have."""
    pids = {process.pid for process in processes}
    return len(pids) == len(processes) and None not in pids


def _answer_of(
    hostname: str, process: Process, now: float, grace_seconds: float
) -> WorkerAnswer | None:
    """Return what the process said of itself in its last heartbeat, as if it had been asked.

    None where it says nothing of the kind, or is online and has not said it for too long.
    """
    facts = process.facts
    if facts is None or (process.is_online and now - process.beat_at > grace_seconds):
        return None
    return WorkerAnswer(
        hostname,
        active=facts.active if facts.active is not None else process.active,
        reserved=facts.reserved,
        scheduled=facts.scheduled,
        revoked=facts.revoked,
        pool_processes=facts.pool_processes,
        memory_bytes=facts.memory_bytes,
        queues=facts.queues,
        prefetch_count=facts.prefetch_count,
        is_solo=facts.is_solo,
        start_interval_seconds=facts.start_interval_seconds,
    )


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
