"""Fleet: the worker processes, and the table of who was started, stopped and killed when."""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..support.processes import Process
from .app import QUEUE, SHORT_QUEUE
from .recording import Recording

WORKERS = 20


@dataclass(frozen=True, slots=True)
class Slot:
    """One nodename of the fleet, and how its workers are started."""

    name: str
    pool: str = "prefork"
    concurrency: int = 1
    queue: str = QUEUE


def slots() -> tuple[Slot, ...]:
    """Return the fleet: prefork with one or two processes, but for one worker of each other pool.

    gevent is left out where it is not installed.
    """
    special = {4: Slot("", "threads", 2), 9: Slot("", "solo", 1, SHORT_QUEUE)}
    if importlib.util.find_spec("gevent") is not None:
        special[14] = Slot("", "gevent", 4)
    fleet = []
    for number in range(WORKERS):
        slot = special.get(number, Slot("", concurrency=1 + number % 2))
        name = f"w{number:02}-{slot.pool}@soak"
        fleet.append(Slot(name, slot.pool, slot.concurrency, slot.queue))
    return tuple(fleet)


@dataclass(slots=True)
class Life:
    """One worker process: a row of the process table. Times are wall-clock seconds."""

    number: int
    name: str
    pid: int
    started_at: float
    stopped_at: float | None = None  # SIGTERM
    killed_at: float | None = None  # SIGKILL, to its children too
    exit_code: int | None = None


class Worker:
    """One running worker process, and its row."""

    def __init__(self, slot: Slot, life: Life, process: Process, recording: Recording) -> None:
        self.slot = slot
        self.life = life
        self._process = process
        self._recording = recording

    @property
    def is_ready(self) -> bool:
        """Return whether the broker has its worker-online."""
        return self._recording.is_online(self.life.pid)

    @property
    def said_goodbye(self) -> bool:
        """Return whether the broker has its worker-offline."""
        return self._recording.said_goodbye(self.life.pid)

    @property
    def running(self) -> frozenset[str]:
        """Return the tasks it runs, as far as the broker knows."""
        return self._recording.running(self.life.pid)

    @property
    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        self.look()
        return self.life.exit_code is not None

    @property
    def is_serving(self) -> bool:
        """Return whether it is ready, and nobody has asked it to end."""
        return self.is_ready and self.life.stopped_at is None and not self.has_ended

    def look(self) -> None:
        """Bring its row up to date."""
        self.life.exit_code = self._process.exit_code

    def stop(self) -> None:
        """Ask for a warm shutdown."""
        self.life.stopped_at = time.time()
        self._process.send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9, with its children; nothing happens to one that has ended already."""
        if self.has_ended:
            return
        self.life.killed_at = time.time()
        self._process.kill()
        self.look()

    def end(self) -> None:
        """Kill it as part of the cleaning up, of which the process table says nothing."""
        self._process.kill()


class Fleet:
    """Starts workers and remembers all of them."""

    def __init__(self, folder: Path, environ: Mapping[str, str], recording: Recording) -> None:
        self._folder = folder
        self._environ = dict(environ)
        self._recording = recording
        self.workers: list[Worker] = []

    @property
    def lives(self) -> tuple[Life, ...]:
        """Return the process table, brought up to date."""
        for worker in self.workers:
            worker.look()
        return tuple(worker.life for worker in self.workers)

    def start(self, slot: Slot) -> Worker:
        """Start a worker process under the name of that slot, whoever else has it."""
        number = len(self.workers)
        command = ["celery", "-A", "tests.soak.app", "worker", "--hostname", slot.name]
        command += ["--pool", slot.pool, "--concurrency", str(slot.concurrency)]
        command += ["--queues", slot.queue, "--task-events", "--loglevel", "INFO"]
        command += ["--without-mingle", "--without-gossip"]
        environ = {**self._environ, "SOAK_LEDGER": str(self.ledger(number))}
        process = Process(command, environ, self._folder / f"{number:03}-{slot.name}.log")
        life = Life(number, slot.name, process.pid, time.time())
        worker = Worker(slot, life, process, self._recording)
        self.workers.append(worker)
        return worker

    def ledger(self, number: int) -> Path:
        """Return the file in which the tasks of one process write down their runs."""
        return self._folder / f"{number:03}.ledger"

    def of(self, slot: Slot) -> list[Worker]:
        """Return the processes of one name that have not ended, oldest first."""
        return [w for w in self.workers if w.slot is slot and not w.has_ended]

    def close(self) -> None:
        """Kill what still runs, which is no part of the truth, and write the table down."""
        table = [asdict(life) for life in self.lives]
        (self._folder / "processes.json").write_text(json.dumps(table, indent=1))
        for worker in self.workers:
            worker.end()
