"""Verdicts: which process is dead, gone or forgotten, by what did not come while we listened.

A verdict needs evidence that no healthy system gives. Pure: every method is told the time. Not
thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from ..snapshot import WorkerState
from .in_flight import ANY_OWNER, Owner, Run
from .missing_events import SETTLE_SECONDS, MissingEvents
from .process import Process
from .worker import Worker

__all__ = ["Departure", "Limits", "Verdicts"]

_UNANSWERED = 2  # surveys in a row that a worker may miss
_LONGEST_SILENCE_SECONDS = 7 * 86_400.0  # of a task in a worker of which nothing else is known
# Looked up once: an enum's members are slow to reach.
_OFFLINE, _LOST = WorkerState.OFFLINE, WorkerState.LOST


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
    pid: int | None = field(default=None, compare=False)
    newest_at: float = field(default=0.0, compare=False)  # its last heartbeat, by its own clock
    id: str = field(default_factory=lambda: uuid4().hex[:16], compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a worker may be silent, all in seconds.

    The longer of ``grace`` and ``grace_beats`` heartbeats makes a worker lost. ``drain``: how long
    after a goodbye its running tasks may go on. ``survey``: how often the workers are asked; None
    if they are not.
    """

    grace: float
    grace_beats: float
    forget: float
    drain: float = 3_600.0
    survey: float | None = None


class Verdicts:
    """The judge of the processes under each name, and what it found since the last ``take``.

    ``listening_since`` is when we began to listen, by our monotonic clock; None while we do not,
    when no worker is judged. ``is_told``: somebody else judges who is dead, and tells by ``lose``.
    """

    def __init__(self, limits: Limits, missing_events: MissingEvents) -> None:
        self.listening_since: float | None = 0.0
        self.is_told = False
        self._limits = limits
        self._missing_events = missing_events
        self._departures: list[Departure] = []

    def take(self) -> tuple[Departure, ...]:
        """Return each death, and each goodbye that lasts, exactly once."""
        departures, self._departures = tuple(self._departures), []
        return departures

    def judge(self, worker: Worker, now: float, *, is_busy: bool) -> bool:
        """Judge this worker by its silence; return whether it is still to be remembered.

        ``is_busy``: it runs tasks, as far as events tell.
        """
        for process in tuple(worker.processes):
            if process.state is _OFFLINE:
                self._judge_departed(worker, process, now, is_busy=is_busy)
            elif process.state is _LOST and now - process.changed_at > SETTLE_SECONDS:
                self._missing_events.settle(worker, process, now)
        silent = now - max(worker.evidence_at, self.listening_since or 0.0)
        online = worker.online
        if not online:
            drains = any(
                process.state is _OFFLINE and not process.is_drained for process in worker.processes
            )
            if not drains and now - worker.current.changed_at > self._limits.forget:
                return False
        elif any(process.beats for process in online):
            if self._is_beyond_grace(online, silent):
                if self.is_told and silent > self._limits.grace + self._limits.forget:
                    return False  # whoever judges does not know it
                for process in online:
                    self._note_death(worker, process, now, silent, is_counted=process.is_certain)
        elif self._has_stopped_answering(worker, silent, is_busy=is_busy):
            self._note_death(worker, worker.current, now, silent)
        elif silent > (_LONGEST_SILENCE_SECONDS if is_busy else self._limits.forget):
            self._departures.append(Departure(worker.hostname, silent, said_goodbye=True))
            return False
        return True

    def judge_several(self, worker: Worker, now: float) -> None:
        """Judge the processes under one name that are silent while another of them goes on."""
        since = self.listening_since
        if since is None:
            return
        processes = tuple(worker.processes)
        for place, process in enumerate(processes):
            silent = now - max(process.beat_at, since)
            if process.state is _LOST:
                if now - process.changed_at > self.grace(process):
                    worker.remove(process)
            elif not process.is_online:
                pass  # its tasks may go on
            elif silent > self.grace(process) and worker.is_known_by_pid(process):
                if self.grace(process) >= now - worker.last_beat_at:
                    self._note_death(worker, process, now, silent)
            elif worker.is_shared(now):  # nobody knows what became of one that cannot be told apart
                if silent > self.grace(process) >= now - worker.last_beat_at:
                    worker.remove(process)
            elif silent >= (self.grace(process) if worker.falls_silent else process.late_seconds):
                self._judge_replaced(worker, process, processes[place + 1 :], now, silent)
        worker.choose_current()

    def lose(
        self,
        worker: Worker,
        pid: int | None,
        now: float,
        *,
        silent: float,
        newest_at: float | None = None,
    ) -> Departure:
        """Take a process for dead, as somebody else has found; return its departure.

        ``newest_at``: unless a later heartbeat has come since, by its own clock, or none at all:
        then it is not known to be the same.
        """
        found = [
            process
            for process in worker.online
            if (process.pid == pid or process.pid is None or pid is None)
            and (newest_at is None or 0 < process.newest_at <= newest_at)
        ]
        if not found:
            return Departure(worker.hostname, silent, runs=(), pid=pid)
        self._take_for_dead(worker, min(found, key=lambda process: process.beat_at), now, silent)
        return self._departures.pop()

    def silence(self, worker: Worker, now: float, *, listening_since: float) -> float | None:
        """Return for how long a worker that beats has been silent, if ``judge`` would find it dead.

        None if it would not. Changes nothing.
        """
        silent = now - max(worker.evidence_at, listening_since)
        online = worker.online
        has_beaten = any(process.beats for process in online)
        return silent if has_beaten and self._is_beyond_grace(online, silent) else None

    def _is_beyond_grace(self, online: Sequence[Process], silent: float) -> bool:
        return silent > max(self.grace(process) for process in online)

    def grace(self, process: Process) -> float:
        """Return the silence after which a process that beats is dead, in seconds."""
        return max(self._limits.grace, self._limits.grace_beats * process.freq)

    def _judge_replaced(
        self, worker: Worker, process: Process, later: Sequence[Process], now: float, silent: float
    ) -> None:
        """Judge a process whose heartbeats are missing since others came under its name."""
        successors = [other for other in later if other.is_successor]
        if any(other.is_certain for other in successors):
            if process.beats:
                self._note_death(worker, process, now, silent)
            else:  # it never sent a heartbeat: that it died is likely, not certain
                process.become(_OFFLINE, now)
        elif (
            not worker.is_known_by_pid(process)
            and not any(self._beats_in_time(other, now) for other in successors)
            and any(
                self._beats_in_time(other, now) for other in worker.online if other is not process
            )
        ):
            worker.remove(process)  # an old heartbeat, or a clock that was stepped

    def _beats_in_time(self, process: Process, now: float) -> bool:
        silent = now - max(process.beat_at, self.listening_since or 0.0)
        return process.is_online and silent < process.late_seconds

    def _judge_departed(
        self, worker: Worker, process: Process, now: float, *, is_busy: bool
    ) -> None:
        """Find out, after a goodbye, what has to be given up by now.

        While it finishes its work, task events from before its goodbye may wait in its buffer.
        """
        if not is_busy and now - process.changed_at > SETTLE_SECONDS:
            self._missing_events.settle(worker, process, now)
        gone = now - max(process.changed_at, self.listening_since or 0.0)
        is_replaced = worker.current is not process
        if not process.is_settled and gone > self.grace(process):
            process.is_settled = True
            self._departures.append(
                Departure(
                    worker.hostname, gone, said_goodbye=True, is_replaced=is_replaced, runs=()
                )
            )
        if not process.is_drained and gone > self._limits.drain:
            process.is_drained = True
            self._missing_events.settle(worker, process, now)
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

    def _note_death(
        self,
        worker: Worker,
        process: Process,
        now: float,
        silent: float,
        *,
        is_counted: bool = True,
    ) -> None:
        """Note that a process is dead, unless that is for somebody else to say."""
        if not self.is_told:
            self._take_for_dead(worker, process, now, silent, is_counted=is_counted)

    def _take_for_dead(
        self,
        worker: Worker,
        process: Process,
        now: float,
        silent: float,
        *,
        is_counted: bool = True,
    ) -> None:
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
                    pid=process.pid,
                    newest_at=process.newest_at,
                )
            )
        process.become(_LOST, now)
        self._missing_events.settle(worker, process, now)
        if not is_alone:
            worker.choose_current()

    def _has_stopped_answering(self, worker: Worker, silent: float, *, is_busy: bool) -> bool:
        """Return whether a worker without heartbeats is dead: it answered, and does not any more.

        A solo pool does not answer while a task runs, and mostly the events of that task wait in
        it, too: it is given as long as a task may take that nobody hears of.
        """
        if self._limits.survey is None or worker.answered_at is None:
            return False
        if not worker.may_be_solo:
            patience = self.grace(worker.current)
        elif is_busy:
            return False
        else:
            patience = self._limits.drain
        return worker.unanswered >= _UNANSWERED and silent > patience
