"""Stream: what a fleet of busy workers would send. The same seed makes the same stream.

The bodies are those of ``tests/support/recordings``, field by field, with other values: real
workers send task events as JSON lists and heartbeats singly. Nothing here knows how a broker wraps
a body.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RECORDING = Path(__file__).parents[1] / "support" / "recordings" / "redis.jsonl"

EVENTS_PER_HEARTBEAT = 200  # 50 workers with a beat every two seconds at 5,000 events/s
_EVENTS_PER_SECOND = 5_000  # the stream's own pace; the sender has another
_PRODUCER = "gen900@web-1"
_RUNNING = 4  # tasks a worker runs at a time
_FAILED, _RETRIED = 0.03, 0.03  # the rest succeeds


@dataclass(frozen=True, slots=True)
class Spec:
    """The fleet to imitate. ``batch`` is how many task events a message holds on average.

    With ``queues`` a producer tells of each new task to which of them it sends it.
    """

    batch: int
    workers: int = 50
    names: int = 40
    queues: int = 0
    seed: int = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and how many events of each type are in it."""

    hostname: str
    routing_key: str
    body: str
    types: tuple[str, ...]


@dataclass(slots=True)
class _Task:
    uuid: str
    name: str
    retries: int = 0
    eta: str = "null"  # as JSON; of a retry, when it is due


@dataclass(slots=True)
class _Worker:
    hostname: str
    head: str  # of each of its events
    batch: int
    clock: int = 0
    processed: int = 0
    running: deque[_Task] = field(default_factory=deque)
    again: deque[_Task] = field(default_factory=deque)  # retried
    buffer: list[tuple[str, str]] = field(default_factory=list)  # type and JSON


def messages(spec: Spec, *, started_at: float) -> Iterator[Message]:
    """Yield the stream, without end; its first event happens at ``started_at`` (wall clock)."""
    rng = random.Random(spec.seed)
    made = _Events(rng, spec, started_at)
    workers = [
        _Worker(
            hostname=f"celery@ip-10-0-{number // 250}-{number % 250}",
            head=f'{{"hostname": "celery@ip-10-0-{number // 250}-{number % 250}", '
            f'"utcoffset": 0.0, "pid": {4_000 + number}, "clock": ',
            batch=rng.randint(1, 2 * spec.batch - 1),
        )
        for number in range(spec.workers)
    ]
    for beats in range(1_000_000_000):
        worker = workers[beats % len(workers)]
        heartbeat = made.heartbeat(worker)
        yield Message(worker.hostname, "worker.heartbeat", heartbeat, ("worker-heartbeat",))
        sent = 0
        while sent < EVENTS_PER_HEARTBEAT:
            worker = rng.choice(workers)
            task_sent = made.step(worker)
            if task_sent:
                sent += 1
                yield Message(_PRODUCER, "task.sent", task_sent, ("task-sent",))
            while len(worker.buffer) >= worker.batch:
                batch, worker.buffer = worker.buffer[: worker.batch], worker.buffer[worker.batch :]
                worker.batch = rng.randint(1, 2 * spec.batch - 1)
                sent += len(batch)
                body = f"[{', '.join(text for _, text in batch)}]"
                types = tuple(type_ for type_, _ in batch)
                yield Message(worker.hostname, "task.multi", body, types)


class _Events:
    """Writes the JSON of each type of event, as Celery's dispatcher does."""

    def __init__(self, rng: random.Random, spec: Spec, started_at: float) -> None:
        self._rng = rng
        self._queues = spec.queues
        self._now = started_at
        self._names = [
            f"shop.{('orders', 'billing', 'mail', 'stock')[n % 4]}.tasks.job_{n}"
            for n in range(spec.names)
        ]
        weights = [1 / (rank + 1) for rank in range(spec.names)]  # few names do most of the work
        self._drawn = rng.choices(self._names, weights, k=4_096 + spec.names)
        self._drawn[4_096:] = self._names  # and each is drawn
        self._args = [
            json.dumps(f"({rng.randrange(10**7)}, 'customer-{rng.randrange(10**5)}')")
            for _ in range(64)
        ]
        self._kwargs = [
            json.dumps(str({"notify": rng.random() < 0.5, "batch": "x" * rng.randrange(40)}))
            for _ in range(64)
        ]
        self._results = [
            json.dumps(str({"id": rng.randrange(10**9), "items": ["ok"] * rng.randrange(12)}))
            for _ in range(64)
        ]
        self._runtimes = [repr(rng.lognormvariate(-2.0, 1.2)) for _ in range(4_096)]
        self._failed, self._retried = (
            _recorded_error("task-failed"),
            _recorded_error("task-retried"),
        )

    def step(self, worker: _Worker) -> str:
        """Begin a task; if the worker has enough of them, end its oldest.

        Return the event of its producer; "" if there is none.
        """
        task_sent = ""
        if worker.again:
            task = worker.again.popleft()
        else:
            text = f"{self._rng.getrandbits(128):032x}"
            uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
            task = _Task(uuid, self._rng.choice(self._drawn))
            if self._queues:
                task_sent = self._sent(task)
        uuid, choose = task.uuid, self._rng.choice
        self._add(
            worker,
            "task-received",
            f'"uuid": "{uuid}", "name": "{task.name}", "args": {choose(self._args)}, '
            f'"kwargs": {choose(self._kwargs)}, "root_id": "{uuid}", "parent_id": null, '
            f'"retries": {task.retries}, "eta": {task.eta}, "expires": null',
        )
        self._add(worker, "task-started", f'"uuid": "{uuid}"')
        worker.processed += 1
        worker.running.append(task)
        if len(worker.running) > _RUNNING:
            self._end(worker, worker.running.popleft())
        return task_sent

    def heartbeat(self, worker: _Worker) -> str:
        """Return its heartbeat, which has no part in the batches."""
        self._add(
            worker,
            "worker-heartbeat",
            f'"freq": 2.0, "active": {len(worker.running)}, "processed": {worker.processed}, '
            '"loadavg": [0.23, 0.24, 0.12], "sw_ident": "py-celery", "sw_ver": "5.7.0", '
            '"sw_sys": "Linux"',
        )
        return worker.buffer.pop()[1]

    def _sent(self, task: _Task) -> str:
        self._now += 1 / _EVENTS_PER_SECOND
        choose = self._rng.choice
        return (
            f'{{"hostname": "{_PRODUCER}", "utcoffset": 0.0, "pid": 900, "clock": 1, '
            f'"uuid": "{task.uuid}", "root_id": "{task.uuid}", "parent_id": null, '
            f'"name": "{task.name}", "args": {choose(self._args)}, '
            f'"kwargs": {choose(self._kwargs)}, "retries": 0, "eta": null, "expires": null, '
            f'"queue": "queue-{self._rng.randrange(self._queues)}", "exchange": "", '
            f'"routing_key": "queue", "timestamp": {self._now:.7f}, "type": "task-sent"}}'
        )

    def _end(self, worker: _Worker, task: _Task) -> None:
        uuid, chance = task.uuid, self._rng.random()
        if chance < _FAILED:
            self._add(worker, "task-failed", f'"uuid": "{uuid}", {self._failed}')
        elif chance < _FAILED + _RETRIED:
            self._add(worker, "task-retried", f'"uuid": "{uuid}", {self._retried}')
            task.retries += 1
            task.eta = f'"{datetime.fromtimestamp(self._now, UTC).isoformat()}"'
            worker.again.append(task)
        else:
            choose = self._rng.choice
            self._add(
                worker,
                "task-succeeded",
                f'"uuid": "{uuid}", "result": {choose(self._results)}, '
                f'"runtime": {choose(self._runtimes)}',
            )

    def _add(self, worker: _Worker, type_: str, fields: str) -> None:
        worker.clock += 1
        self._now += 1 / _EVENTS_PER_SECOND
        text = f'{worker.head}{worker.clock}, {fields}, "timestamp": {self._now:.7f}, '
        worker.buffer.append((type_, f'{text}"type": "{type_}"}}'))


def _recorded_error(type_: str) -> str:
    """Return the exception and traceback of a recorded event of that type, as JSON fields."""
    for line in RECORDING.read_text().splitlines():
        body = json.loads(line)["body"]
        for event in body if isinstance(body, list) else [body]:
            if event["type"] == type_:
                kept = {name: event[name] for name in ("exception", "traceback")}
                return json.dumps(kept)[1:-1]
    raise LookupError(f"no {type_} was recorded")
