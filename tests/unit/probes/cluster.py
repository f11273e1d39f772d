"""Cluster: one queue, its producer and its workers on a clock of the test's own; it may lose tasks.

What happens to a task and what events tell of it are apart, so that the truth is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from event_monitor import events as ev
from event_monitor.probes.books import Books
from event_monitor.settings import Settings
from event_monitor.snapshot import MissingTasks, Snapshot
from event_monitor.state import Exposure, State
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

QUEUE = "mail"
SURVEY_SECONDS = 5
VISIBILITY_SECONDS = 30  # until Redis gives back what a dead worker held
SETTINGS = Settings(
    interval=SURVEY_SECONDS,
    probe_seconds=1,
    worker_grace_seconds=6,
    worker_grace_beats=2,
    worker_drain_seconds=60,
)


class Cluster:
    """A queue, on RabbitMQ or Redis, that one worker after the other reads.

    Events of one sender arrive in order, ``delay`` seconds late, and ``copies`` times.
    """

    def __init__(self, *, is_redis: bool = False) -> None:
        self.clock = FakeClock()
        self.state = State(SETTINGS, clock=self.clock)
        self.books = Books(self.state, SETTINGS)
        self.is_redis = is_redis
        self.delay, self.copies = 0.0, 1
        self.ready: list[str] = []
        self.retries: dict[str, int] = {}
        self.held: list[str] = []  # received by the worker, and not begun
        self.running: list[str] = []
        self.ended: list[str] = []
        self.lost: list[str] = []  # purged, or acknowledged by a worker that died
        self.orphaned: list[str] = []  # were running on one
        self.found: list[str] = []
        self.named: list[str] = []
        self.returned: list[str] = []
        self.said: list[MissingTasks | None] = []
        self.depth: dict[str, Any] = {}  # what the broker says otherwise than it is
        self.answers: dict[str, Any] = {}  # the same of the worker
        self.is_silent = False  # the worker neither beats nor answers
        self._restored: list[tuple[float, str]] = []  # when Redis gives back what
        self._unsent: list[tuple[float, int, ev.Event]] = []
        self._arrives: dict[str, float] = {}  # sender → when its last event does
        self._sent = self._worker = self._begun = 0
        self._ticks = 0
        self.start_worker()

    @property
    def hostname(self) -> str:
        return f"celery@{self._worker}"

    # -- what happens --------------------------------------------------------------------------

    def start_worker(self) -> None:
        """Start a worker with a new name."""
        self._worker += 1
        self._begun, self.is_silent = 0, False
        self._beat("worker-online")

    def send(self, count: int = 1, *, name: str = "pay", **fields: Any) -> list[str]:
        """Publish tasks."""
        sent = [f"task-{self._sent + number}" for number in range(1, count + 1)]
        self._sent += count
        for uuid in sent:
            self.ready.append(uuid)
            fields = {"retries": 0, **fields}
            self._tell("sent", uuid, by="gen@shop", queue=QUEUE, name=name, **fields)
        return sent

    def receive(self, *, name: str = "pay") -> None:
        """Let the worker take a message."""
        if self.ready:
            uuid = self.ready.pop(0)
            self.held.append(uuid)
            self._tell("received", uuid, name=name, retries=self.retries.get(uuid, 0))

    def begin(self, *, is_told: bool = True) -> None:
        """Let the worker begin what it holds, and acknowledge it."""
        if self.held:
            uuid = self.held.pop(0)
            self.running.append(uuid)
            self._begun += 1
            if is_told:
                self._tell("started", uuid)

    def end(self, how: str = "succeeded") -> None:
        """Let the worker end what it runs."""
        if self.running:
            uuid = self.running.pop(0)
            self.ended.append(uuid)
            self._tell(how, uuid)

    def retry(self) -> None:
        """Let the worker ask for another run of what it runs."""
        if self.running:
            uuid = self.running.pop(0)
            self.ready.append(uuid)
            self.retries[uuid] = retries = self.retries.get(uuid, 0) + 1
            self._tell("sent", uuid, queue=QUEUE, name="pay", retries=retries)
            self._tell("retried", uuid)

    def leave(self) -> None:
        """Let the worker say goodbye, and another one start."""
        self._beat("worker-offline")
        self.start_worker()

    def work(self) -> None:
        """Let the worker do all there is."""
        while self.ready or self.held or self.running:
            self.receive()
            self.begin()
            self.end()

    def purge(self) -> None:
        """Empty the queue."""
        self.lost += self.ready
        self.ready.clear()

    def kill(self, *, acknowledged: int = 0) -> None:
        """Kill the worker, which has acknowledged some of what it held and told nobody."""
        self.lost += self.held[:acknowledged]
        back = self.held[acknowledged:]
        if self.is_redis:
            at = self.clock.monotonic() + VISIBILITY_SECONDS
            self._restored += [(at, uuid) for uuid in back]
        else:
            self.ready += back
        self.orphaned += self.running
        self.held, self.running = [], []
        self.start_worker()

    # -- what is seen --------------------------------------------------------------------------

    def run(self, seconds: int) -> None:
        """Let time pass; the cluster is looked at every ``SURVEY_SECONDS``."""
        for _ in range(seconds):
            self.clock.advance(1)
            now = self.clock.monotonic()
            self.ready += [uuid for at, uuid in self._restored if at <= now]
            self._restored = [(at, uuid) for at, uuid in self._restored if at > now]
            if not self.is_silent:
                self._beat("worker-heartbeat")
            self.state.note_reading()
            self._unsent.sort(key=lambda entry: entry[:2])
            while self._unsent and self._unsent[0][0] <= now:
                self.state.observe([self._unsent.pop(0)[2]])
            if round(now) % SURVEY_SECONDS == 0:
                self.shoot()

    def shoot(self) -> Snapshot:
        """Take a shot, just after broker and worker were asked; judge it."""
        exposure: Exposure = self.state.freeze_while(self.state.expose)
        survey = self._survey()
        snapshot = replace(exposure.develop(), survey=survey)
        missing = self.books.judge(snapshot, survey.queues, now=self.clock.monotonic())
        self.said.append(missing)
        if missing is not None:
            self.found += [name for name, count in missing.counts for _ in range(count)]
            self.named += [task.uuid for task in missing.named]
            self.returned += [task.uuid for task in missing.returned]
        return snapshot

    @property
    def in_flight(self) -> int:
        return len(set(self.ready) | set(self.held) | set(self.running) | set(self._waits_in_redis))

    @property
    def _waits_in_redis(self) -> Iterator[str]:
        return (uuid for _, uuid in self._restored)

    def _survey(self) -> Survey:
        depth: dict[str, Any] = {"ready": len(self.ready)}
        if self.is_redis:
            held = [*self.held, *self._waits_in_redis]
            depth |= {"unacked": len(held), "unacked_ids": frozenset(held)}
        else:
            depth |= {"consumers": 1}
        answer = WorkerAnswer(
            self.hostname, **{"queues": (QUEUE,), "is_solo": False, **self.answers}
        )
        absent = (AbsentWorker(self.hostname),) if self.is_silent else ()
        return Survey(
            queues=(QueueDepth(QUEUE, **{**depth, **self.depth}),),
            queues_age_seconds=0.1,
            workers=() if self.is_silent else (answer,),
            workers_age_seconds=0.2,
            absent=absent,
        )

    # -- what is told --------------------------------------------------------------------------

    def _beat(self, type_: Any) -> None:
        active = len(self.running)
        fields: dict[str, Any] = {"pid": self._worker, "freq": 1.0, "active": active}
        fields |= {"processed": self._begun, "timestamp": self.clock.wall()}
        self._deliver(ev.WorkerEvent(type=type_, hostname=self.hostname, **fields))

    def _tell(self, what: str, uuid: str, *, by: str = "", **fields: Any) -> None:
        type_: Any = f"task-{what}"
        self._ticks += 1
        fields["timestamp"] = self.clock.wall() + self._ticks * 1e-6
        event = ev.TaskEvent(
            type=type_, uuid=uuid, hostname=by or self.hostname, pid=self._worker, **fields
        )
        for _ in range(self.copies):
            self._deliver(event)

    def _deliver(self, event: ev.Event) -> None:
        sender = event.hostname
        at = max(self._arrives.get(sender, 0.0), self.clock.monotonic() + self.delay)
        self._arrives[sender] = at
        self._unsent.append((at, len(self._unsent), event))
