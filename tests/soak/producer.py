"""Producer: sends tasks of mixed kinds all the time, and remembers each id with its name."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from celery import uuid

from .app import QUEUE, SHORT_QUEUE, app

TASKS_PER_SECOND = 8.0
LONG_SECONDS = (2.0, 6.0, 12.0, 14.0, 20.0)  # some longer than the monitor's grace


class Producer:
    """Sends from a thread between ``start()`` and ``stop()``; the sequence follows the seed."""

    def __init__(self, seed: int, *, longest_seconds: float) -> None:
        self.names: dict[str, str] = {}
        self._random = random.Random(seed)
        self._durations = [seconds for seconds in LONG_SECONDS if seconds <= longest_seconds]
        self._stop = threading.Event()
        self._only_short = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def send_only_short(self) -> None:
        """Send no long tasks any more, because the end is near."""
        self._only_short.set()

    def stop(self) -> None:
        """Send no more; raises what ended the thread before, if something did."""
        self._stop.set()
        self._thread.join(timeout=20)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._random.expovariate(TASKS_PER_SECOND)):
                self._choose()()
        except Exception as error:  # noqa: BLE001  it is raised where the soak waits for us
            self._failure = error

    def _choose(self) -> Callable[[], None]:
        """Return the next task to send; the draws do not depend on the time that has passed."""
        kind, seconds = self._random.random(), self._random.choice(self._durations)
        small, times = self._random.random() * 0.1, self._random.randint(1, 2)
        if kind < 0.12 and not self._only_short.is_set():
            return lambda: self._send("soak.long", seconds)
        if kind < 0.25:
            return lambda: self._send("soak.fail")
        if kind < 0.40:
            return lambda: self._send("soak.retry", times)
        if kind < 0.48:
            return lambda: self._send("soak.short", small, queue=SHORT_QUEUE)
        return lambda: self._send("soak.short", small)

    def _send(self, name: str, *args: float, queue: str = QUEUE) -> None:
        task_id = uuid()
        self.names[task_id] = name
        app.tasks[name].apply_async(args, task_id=task_id, queue=queue)
