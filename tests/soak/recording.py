"""Recording: the events that the recorder has written so far, in the order of arrival."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ENDINGS = frozenset(
    f"task-{how}" for how in ("succeeded", "failed", "retried", "revoked", "rejected")
)


@dataclass(frozen=True, slots=True)
class Event:
    """What the soak needs of a raw event.

    A heartbeat has the worker's own count of the runs that it has begun (``processed``), and of
    those that go on (``active``). ``retries`` is how many tries of the task went before, in
    task-sent and task-received.
    """

    type: str
    hostname: str
    pid: int
    uuid: str = ""
    processed: int | None = None
    active: int | None = None
    retries: int | None = None


def parse(line: str) -> Event:
    """Read one line of the recorder's file."""
    raw = json.loads(line)
    return Event(
        raw["type"],
        raw["hostname"],
        raw["pid"],
        raw.get("uuid", ""),
        raw.get("processed"),
        raw.get("active"),
        raw.get("retries"),
    )


class Recording:
    """Follows the recorder's file; ``read()`` takes in what has come since. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.task_events = 0
        self._online: set[int] = set()
        self._goodbyes: set[int] = set()
        self._running: dict[int, set[str]] = {}  # pid → uuids
        self._offset = 0

    def read(self) -> bool:
        """Take in the lines that are complete; return whether the recorder has subscribed."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        self._take(parse(line) for line in data.decode().splitlines() if line)
        return self._offset > 0

    def is_online(self, pid: int) -> bool:
        """Return whether the worker process with that pid has said hello."""
        return pid in self._online

    def said_goodbye(self, pid: int) -> bool:
        """Return whether it has said goodbye."""
        return pid in self._goodbyes

    def running(self, pid: int) -> frozenset[str]:
        """Return the tasks that it has started and not ended."""
        return frozenset(self._running.get(pid, ()))

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.task_events += event.type.startswith("task-")
            if event.type == "worker-online":
                self._online.add(event.pid)
            elif event.type == "worker-offline":
                self._goodbyes.add(event.pid)
            elif event.type == "task-started":
                self._running.setdefault(event.pid, set()).add(event.uuid)
            elif event.type in ENDINGS:
                self._running.get(event.pid, set()).discard(event.uuid)
