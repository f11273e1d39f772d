"""Scene: workers that beat, run tasks and die on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from event_monitor import events as ev
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, WorkerStatus
from event_monitor.state import Exposure, State
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import W1

FREQ = 2.0  # seconds between heartbeats
_TICK = 1e-6  # seconds


class Worker:
    """A worker process; it counts what it begins, as real ones do."""

    def __init__(
        self, scene: Scene, hostname: str = W1, *, pid: int = 1, clock_off: float = 0.0
    ) -> None:
        self._scene = scene
        self._hostname = hostname
        self._pid = pid
        self._clock_off = clock_off  # seconds by which its clock is ahead
        self.beat_at = 0.0
        self.processed = 0
        self.active = 0

    def _send(self, type_: str, **fields: Any) -> None:
        event = {
            "type": type_,
            "hostname": self._hostname,
            "pid": self._pid,
            "timestamp": self._scene.timestamp() + self._clock_off,
            **fields,
        }
        self._scene.state.observe([ev.event_from_mapping(event)])

    def _own(self, type_: str, **fields: Any) -> None:
        fields |= {"active": self.active, "processed": self.processed, "loadavg": (0.0, 0.0, 0.0)}
        self.beat_at = self._scene.clock.monotonic()
        self._send(type_, freq=FREQ, **fields)

    def hello(self) -> Worker:
        """Come up, or connect again."""
        self._own("worker-online")
        return self

    def beat(self) -> None:
        """Send a heartbeat."""
        self._own("worker-heartbeat")

    def goodbye(self, **fields: Any) -> None:
        """Begin a warm shutdown."""
        self._own("worker-offline", **fields)

    def reply(self) -> None:
        """Reply to the `heartbeat` broadcast, as those do, too, that send no heartbeats."""
        self._send("worker-heartbeat", freq=5.0)

    def begin(self, *uuids: str, name: str = "job") -> None:
        """Receive tasks and begin to run them."""
        for uuid in uuids:
            self._send("task-received", uuid=uuid, name=name)
            self._send("task-started", uuid=uuid)
            self.processed += 1
            self.active += 1

    def begin_unheard(self) -> None:
        """Begin to run a task of which no event comes."""
        self.processed += 1
        self.active += 1

    def end(self, *uuids: str, how: str = "task-succeeded") -> None:
        """Finish tasks."""
        for uuid in uuids:
            self._send(how, uuid=uuid)
            self.active -= 1

    def end_silently(self, count: int = 1) -> None:
        """Finish tasks without an event, as `Ignore` does."""
        self.active -= count


class Scene:
    """A state, its clock, and what its shots showed."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.state = State(Settings(**settings), clock=self.clock)
        self.shots: list[Snapshot] = []
        self._ticks = 0

    def timestamp(self) -> float:
        """Return the time on the wall; no two events have the same."""
        self._ticks += 1
        return self.clock.wall() + self._ticks * _TICK

    def worker(self, hostname: str = W1, *, pid: int = 1, clock_off: float = 0.0) -> Worker:
        """Return a worker process, of which nothing has come yet."""
        return Worker(self, hostname, pid=pid, clock_off=clock_off)

    def shoot(self) -> Snapshot:
        """Take a shot."""
        exposure: Exposure = self.state.freeze_while(self.state.expose)
        snapshot = exposure.develop()
        self.shots.append(snapshot)
        return snapshot

    def run(
        self,
        seconds: float,
        *workers: Worker,
        offsets: Sequence[float] = (0.0, 0.9, 1.4),
        each_beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Let time pass while these workers beat, each at an offset of its own, and shoot."""
        until, begun = self.clock.monotonic() + seconds, self.clock.monotonic()
        due = [
            max(begun + offset, worker.beat_at + FREQ)
            for worker, offset in zip(workers, offsets, strict=False)
        ]
        shoot_at = begun + 10
        while (now := min([*due, shoot_at, until])) < until:
            self.clock.advance(now - self.clock.monotonic())
            if now == shoot_at:
                shoot_at += 10
                self.shoot()
            for place, worker in enumerate(workers):
                if due[place] == now:
                    due[place] += FREQ
                    each_beat()
                    worker.beat()
        self.clock.advance(until - self.clock.monotonic())

    def answer(self, *answers: WorkerAnswer) -> None:
        """Let all workers be asked, of which these answer."""
        self.state.note_answers(answers, age_seconds=0.0)

    @property
    def deaths(self) -> int:
        """Return how many workers were lost in all shots."""
        return sum(not loss.said_goodbye for shot in self.shots for loss in shot.losses)

    @property
    def orphans(self) -> list[str]:
        """Return the tasks that were orphaned in all shots."""
        return [task.uuid for shot in self.shots for loss in shot.losses for task in loss.orphans]

    @property
    def lost_events(self) -> int:
        """Return how many events were lost in all shots."""
        return sum(count for shot in self.shots for _, count in shot.window.events_lost)

    @property
    def vanished(self) -> int:
        """Return how many tasks vanished in all shots."""
        return sum(counts.vanished for shot in self.shots for _, counts in shot.window.tasks)

    def status(self, hostname: str = W1) -> WorkerStatus:
        """Return what a shot now shows of a worker."""
        return {worker.hostname: worker for worker in self.shoot().workers}[hostname]
