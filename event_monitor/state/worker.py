"""Worker: what the roster remembers of one nodename. Mutable; knows no time of its own."""

from __future__ import annotations

from ..events import WorkerEvent
from ..snapshot import WorkerState
from .loss_meter import LossMeter

__all__ = ["DEFAULT_FREQ", "Worker"]

DEFAULT_FREQ = 2.0  # seconds between heartbeats, Celery's default
_BEATS_WITHOUT_TASK_EVENTS = 3  # heartbeats to wait: task events may be buffered behind them
_SHARED_SECONDS = 600.0  # without evidence for so long, a name is taken for one process's again


class Worker:
    """One nodename, and the process that has it; or several, if it is shared."""

    __slots__ = (
        "active",
        "answered_at",
        "beats",
        "beats_without_task_events",
        "changed_at",
        "freq",
        "hostname",
        "idle_at",
        "idle_beats",
        "last_beat",
        "last_seen",
        "load_average",
        "loss_meter",
        "missing",
        "pid",
        "pids",
        "processed",
        "processed_at_first",
        "sends",
        "shared_at",
        "state",
        "suspects",
    )

    def __init__(self, hostname: str, now: float) -> None:
        self.hostname = hostname
        self.state = WorkerState.ONLINE
        self.changed_at = now  # when the state began
        self.last_seen = now  # by anything: heartbeat, task event, answer
        self.last_beat = now
        self.answered_at: float | None = None  # when it last answered the monitor's question
        self.beats = False  # has sent worker-online or a heartbeat of its own accord
        self.freq = DEFAULT_FREQ
        self.load_average: float | None = None
        self.pids: dict[int, float] = {}  # while the name is shared: when each was last heard of
        self.shared_at: float | None = None  # when several processes last showed under this name
        self.suspects: list[Suspicion] = []  # processes that seem to have been replaced lately
        self.begin_process(None)

    def begin_process(self, pid: int | None) -> None:
        """Forget what belongs to one process: another has the name now."""
        self.pid = pid
        self.active: int | None = None
        self.idle_at: float | None = None  # when a heartbeat last said that no task runs
        self.processed: int | None = None
        self.processed_at_first: int | None = None
        self.sends = False  # has sent a task event since its loss meter counts
        self.beats_without_task_events = 0  # since it began to work, or since the last one
        self.idle_beats = 0  # in a row
        self.loss_meter = LossMeter()
        self.missing = 0  # events that are lost, unless it was asked not to send them

    def become(self, state: WorkerState, now: float) -> None:
        """Change the state."""
        self.state, self.changed_at = state, now

    @property
    def is_genuine(self) -> bool:
        """Return whether it has sent more than task events, which name any worker they like."""
        return self.beats or self.answered_at is not None

    @property
    def sends_task_events(self) -> bool:
        """Return whether task events come, as far as heartbeats show."""
        return self.beats_without_task_events < _BEATS_WITHOUT_TASK_EVENTS

    def is_shared(self, now: float) -> bool:
        """Return whether several live processes have this name."""
        return self.shared_at is not None and now - self.shared_at <= _SHARED_SECONDS

    def processes(self, now: float, *, within: float) -> int:
        """Return how many live processes can be told apart under this name; at least 1."""
        if not self.is_shared(now):
            return 1
        alive = sum(now - seen_at <= within for seen_at in self.pids.values())
        return max(1, alive) if len(self.pids) > 1 else 2  # one pid: two containers at least

    def is_of_another_process(self, event: WorkerEvent) -> bool:
        """Return whether the event cannot come from the process that has the name.

        A new pid says so. In containers the pid is always the same; then a count of tasks that is
        smaller than it was says so, and at a hello one smaller than the tasks seen to start.
        """
        if None not in (self.pid, event.pid) and self.pid != event.pid:
            return True
        if event.processed is None or self.processed is None:
            return False
        begun = self.processed
        if event.type == "worker-online":
            begun += self.loss_meter.started_since
        return event.processed < begun


class Suspicion:
    """A process that seems to be replaced; if it beats again, the name is shared instead."""

    __slots__ = ("pid", "processed", "suspected_at")

    def __init__(self, worker: Worker, now: float) -> None:
        self.pid = worker.pid
        self.processed = worker.processed
        self.suspected_at = now

    def is_refuted_by(self, worker: Worker, event: WorkerEvent) -> bool:
        """Return whether this heartbeat comes from the process thought to be gone.

        Its pid says so, or a count that goes on from its last one, beyond what the new process can
        have done: that is what it told itself, and the tasks that were seen to start since.
        """
        if None not in (event.pid, self.pid) and {event.pid, self.pid} != {worker.pid}:
            return event.pid == self.pid
        if event.processed is None or self.processed is None or event.type == "worker-online":
            return False
        possible = (worker.processed or 0) + worker.loss_meter.started_since + 1
        return event.processed >= self.processed and event.processed > possible
