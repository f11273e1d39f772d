"""Process: one worker process, as its heartbeats show it; several may run under one nodename.

Different pids tell them apart. In containers every worker has pid 1: there the count of tasks a
process has begun (``processed``, which never falls) and the rhythm of its heartbeats (never faster
than ``freq``) say whose a heartbeat is. Pure and not thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..events import WorkerEvent, WorkerFacts
from ..snapshot import WorkerState
from .in_flight import Run
from .loss_meter import LossMeter

__all__ = [
    "Process",
    "sender_of_beat",
    "sender_of_goodbye",
    "senders_of_last_goodbye",
    "with_events",
]

_BEATS_WITHOUT_TASK_EVENTS = 3  # heartbeats to wait: task events may be buffered behind them
_ONLINE = WorkerState.ONLINE  # looked up once: an enum's members are slow to reach
_DEFAULT_FREQ = 2.0  # seconds between heartbeats, Celery's default
_EARLIEST = 0.9  # of ``freq``: one process sends no heartbeat sooner after its last one
_LATE_BEATS = 2.0  # heartbeats of a healthy process are not missing for longer, plus:
_LATE_SECONDS = 1.0
_LATEST_SECONDS = 300.0  # over SQS an event may come as late, after a crash of ours


class Process:
    """One process under a nodename. Times ending in ``_at`` are our monotonic clock.

    ``runs`` are the tasks it was running when another process of its name appeared; until then it
    is None, and the tasks that run under the name are its own.
    """

    __slots__ = (
        "active",
        "beat_at",
        "beats",
        "beats_without_task_events",
        "changed_at",
        "counted",
        "facts",
        "freq",
        "idle_at",
        "idle_beats",
        "is_beating",
        "is_drained",
        "is_first",
        "is_settled",
        "is_successor",
        "joined_at",
        "load_average",
        "loss_meter",
        "missing",
        "newest_at",
        "pid",
        "processed",
        "processed_at_first",
        "runs",
        "said_hello",
        "sends",
        "sent_at",
        "state",
    )

    def __init__(self, pid: int | None, now: float, *, is_first: bool) -> None:
        self.pid = pid
        self.is_first = is_first  # no other process of the name was known when it came
        self.is_successor = False  # it can be no process that was known when it came
        self.said_hello = False  # it began with a worker-online
        self.state = WorkerState.ONLINE
        self.joined_at = now
        self.changed_at = now  # when the state began
        self.is_settled = False  # gone for long enough: what it had not begun is given up
        self.is_drained = False  # gone for so long that nothing it runs is waited for
        self.runs: tuple[Run, ...] | None = None
        self.beats = 0  # heartbeats of its own, worker-online included; without, no judgement
        self.beat_at = now  # when the last one arrived
        self.sent_at: float | None = None  # the same by the worker's clock
        self.newest_at = 0.0  # its latest heartbeat, by the worker's clock
        self.is_beating = False  # that was a worker-heartbeat, after which one follows the other
        self.freq = _DEFAULT_FREQ
        self.active: int | None = None
        self.idle_at: float | None = None  # when it last said that no task runs
        self.load_average: float | None = None
        self.facts: WorkerFacts | None = None  # of the last heartbeat
        self.processed: int | None = None
        self.processed_at_first: int | None = None
        self.sends = False  # has sent a task event since its loss meter counts
        self.counted: int | None = None  # `processed` when its loss meter last saw it
        self.beats_without_task_events = 0  # since it began to work, or since the last one
        self.idle_beats = 0  # in a row
        self.missing = 0  # events that are lost, unless it was asked not to send them
        self.loss_meter = LossMeter()

    @property
    def is_online(self) -> bool:
        """Return whether it neither said goodbye nor was found dead."""
        return self.state is _ONLINE

    @property
    def is_certain(self) -> bool:
        """Return whether it exists for certain: one heartbeat may be an old one, delivered late."""
        return self.is_first or self.said_hello or self.beats > 1

    @property
    def floor(self) -> int:
        """Return how many tasks it has begun at least."""
        return max(self.processed or 0, int(self.loss_meter.has_started))

    @property
    def late_seconds(self) -> float:
        """Return after how long a silence a healthy process would have sent a heartbeat."""
        return _LATE_BEATS * self.freq + _LATE_SECONDS

    @property
    def sends_task_events(self) -> bool:
        """Return whether task events come, as far as its heartbeats show that it works."""
        return self.beats_without_task_events < _BEATS_WITHOUT_TASK_EVENTS

    def note_task_event(self) -> None:
        """Note that a task event came, so that it sends them."""
        if self.beats_without_task_events or not self.sends:
            if not self.sends_task_events:
                self.loss_meter = LossMeter()  # count from the next heartbeat on
            self.sends = True
            self.beats_without_task_events = 0

    def take_count_of(self, other: Process) -> None:
        """Go on counting task events where the other process stopped: both may be one."""
        self.loss_meter, self.missing, self.counted = other.loss_meter, other.missing, other.counted
        self.sends, self.idle_beats = other.sends, other.idle_beats
        self.beats_without_task_events = other.beats_without_task_events
        self.processed_at_first = other.processed_at_first
        other.missing, other.loss_meter = 0, LossMeter()

    def count_from_next_beat(self) -> None:
        """Expect events only of what it begins after its next heartbeat."""
        self.loss_meter, self.counted, self.processed_at_first = LossMeter(), None, None

    def become(self, state: WorkerState, now: float) -> None:
        """Enter this state."""
        self.state, self.changed_at = state, now
        self.is_settled = self.is_drained = False

    def is_after(self, goodbye: WorkerEvent) -> bool:
        """Return whether it lived on: the goodbye is of a process before it, and came late.

        A difference that no message has is that of a clock that was stepped back.
        """
        return 0 < self.newest_at - goodbye.timestamp <= _LATEST_SECONDS

    def note_beat(self, event: WorkerEvent, now: float) -> None:
        """Take over what a heartbeat of its own says. Without ``processed`` it says nothing."""
        if event.pid is not None:
            self.pid = event.pid
        if event.processed is None:  # a reply to a broadcast, whose freq is untrue, too
            return
        self.beats += 1
        self.beat_at, self.sent_at = now, event.timestamp
        self.newest_at = max(self.newest_at, event.timestamp)
        self.is_beating = event.type == "worker-heartbeat"
        self.processed = event.processed
        self.freq = event.freq or _DEFAULT_FREQ
        self.active = event.active
        self.idle_at = now if event.active == 0 else None
        self.load_average = event.loadavg[0] if event.loadavg else None
        self.facts = event.facts


def with_events(processed: int, facts: WorkerFacts | None) -> int:
    """Return of how many tasks that it has begun a worker sent events, as far as it says."""
    return processed if facts is None else max(0, processed - (facts.silent or 0))


def sender_of_beat(
    event: WorkerEvent, processes: Sequence[Process], *, now: float
) -> Process | None:
    """Return the process whose heartbeat this is; None if none of these can have sent it."""
    if len(processes) == 1 and _is_usual(processes[0], event, now):  # nearly always
        return processes[0]
    same_pid = [process for process in processes if _may_have_pid(process, event.pid)]
    processed = event.processed
    if processed is None or not same_pid:  # of several with this pid, any is as good
        return max(same_pid, key=lambda process: process.is_online, default=None)
    possible = [process for process in same_pid if process.floor <= processed]
    if event.type != "worker-online":
        on_time = [process for process in possible if not _is_early(process, event, now)]
        known = [
            process
            for process in on_time
            if process.state is not WorkerState.LOST and not _has_fallen_silent(process, now)
        ]
        possible = known or on_time
    return min(
        possible,
        key=lambda process: (
            processed - process.floor,
            not process.is_online,
            abs(_elapsed(process, event, now) - process.freq),
        ),
        default=None,
    )


def sender_of_goodbye(
    event: WorkerEvent, processes: Sequence[Process], *, now: float
) -> Process | None:
    """Return the process that says goodbye; None if it is none of these."""
    same_pid = [process for process in processes if _may_have_pid(process, event.pid)]
    same_pid = [one for one in same_pid if not _has_fallen_silent(one, now)] or same_pid
    processed = event.processed
    if processed is None:  # the one that was replaced, if one was
        return next((process for process in same_pid if process.is_online), None) or next(
            iter(same_pid), None
        )
    possible = [process for process in same_pid if process.floor <= processed]
    return min(
        possible or same_pid,
        key=lambda process: (abs(processed - process.floor), not process.is_online),
        default=None,
    )


def senders_of_last_goodbye(event: WorkerEvent, processes: Sequence[Process]) -> Sequence[Process]:
    """Return the processes that may say a goodbye which is not their first.

    One that is online may be another of that name and count. But the first goodbye may not have
    come: then it is the only one that there is, if nothing else is known of it, or by its pid.
    """
    same_pid = [process for process in processes if _may_have_pid(process, event.pid)]
    offline = [process for process in same_pid if process.state is WorkerState.OFFLINE]
    if offline or len(same_pid) != 1:
        return offline
    process = same_pid[0]
    is_told_apart = not process.beats or (process.pid or 0) > 1  # containers have pid 1
    can_be = event.processed is None or event.processed >= process.floor
    return same_pid if is_told_apart and can_be else ()


def _is_usual(process: Process, event: WorkerEvent, now: float) -> bool:
    """Return whether this is a heartbeat as the only process of a name sends them."""
    return (
        process.pid == event.pid
        and process.state is _ONLINE
        and event.processed is not None
        and event.processed >= process.floor
        and (event.type == "worker-online" or not _is_early(process, event, now))
    )


def _has_fallen_silent(process: Process, now: float) -> bool:
    """Return whether it said goodbye, and its heartbeats have stopped since."""
    return process.state is WorkerState.OFFLINE and now - process.beat_at > process.late_seconds


def _may_have_pid(process: Process, pid: int | None) -> bool:
    return pid is None or process.pid is None or process.pid == pid


def _elapsed(process: Process, event: WorkerEvent, now: float) -> float:
    """Return how long after the process's last heartbeat this one was sent.

    By the worker's clock, since heartbeats may be delivered late and together; by ours where the
    two come from machines whose clocks differ.
    """
    if process.sent_at is None:
        return process.freq
    return max(event.timestamp - process.sent_at, now - process.beat_at)


def _is_early(process: Process, event: WorkerEvent, now: float) -> bool:
    """Return whether the process cannot have sent another heartbeat yet."""
    if event.timestamp == process.sent_at or not process.is_beating:
        return False  # the same one, delivered again; or the first after a hello
    return _elapsed(process, event, now) < _EARLIEST * process.freq
