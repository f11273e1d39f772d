"""Synthetic: a worker that runs nothing and sends, through Celery's own dispatcher, every event."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from celery import Celery, uuid
from celery.events.dispatcher import EventDispatcher
from kombu import Connection

FREQ_SECONDS = 1.0
TASK = "synthetic.task"


class SyntheticWorker:
    """Thousands of tasks a second, of which the truth is known. Only ``beat`` is thread-safe.

    As a worker does, it buffers task events, and each heartbeat has the number of started tasks.
    ``options`` are more transport options.
    """

    def __init__(self, url: str, hostname: str = "w1@synthetic", **options: str) -> None:
        self._app = Celery("synthetic", broker=url, set_as_current=False)
        # A send returns when RabbitMQ has the event.
        self._app.conf.broker_transport_options = {"confirm_publish": True, **options}
        self._hostname = hostname
        self.processed = 0
        self._connection: Connection | None = None
        self._dispatcher: EventDispatcher
        self.connect()

    def connect(self) -> None:
        """Connect, again if the broker went away; it stays the same process."""
        self._hang_up()
        self._connection = self._app.connection_for_write()
        self._dispatcher = self._app.events.Dispatcher(
            self._connection,
            hostname=self._hostname,
            buffer_group=frozenset({"task"}),
            buffer_while_offline=False,
        )
        self._dispatcher.send("worker-online", **self._vitals())

    def start(self, tasks: int = 1, *, name: str = TASK, padding: int = 0) -> list[str]:
        """Receive and start tasks; return their ids. ``padding`` is bytes of arguments."""
        uuids = [uuid() for _ in range(tasks)]
        for task in uuids:
            self._dispatcher.send("task-received", uuid=task, name=name, args="x" * padding)
            self._dispatcher.send("task-started", uuid=task)
        self.processed += tasks
        self._dispatcher.flush()
        return uuids

    def succeed(self, uuids: list[str]) -> None:
        """End these tasks."""
        for task in uuids:
            self._dispatcher.send("task-succeeded", uuid=task, result="None", runtime=0.25)
        self._dispatcher.flush()

    def run(self, tasks: int = 1, *, name: str = TASK, padding: int = 0) -> None:
        """Start and end tasks."""
        self.succeed(self.start(tasks, name=name, padding=padding))

    def beat(self) -> None:
        """Send one heartbeat."""
        self._dispatcher.send("worker-heartbeat", **self._vitals())

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Send heartbeats all the while; a broker that is away is not waited for."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(FREQ_SECONDS / 2):
                with contextlib.suppress(Exception):
                    self.beat()

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def close(self) -> None:
        """Disconnect without a goodbye."""
        self._hang_up()
        self._app.close()

    def _hang_up(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):  # the broker may have gone before us
                self._connection.release()

    def _vitals(self) -> dict[str, object]:
        return {
            "freq": FREQ_SECONDS,
            "active": 0,
            "processed": self.processed,
            "loadavg": (0.5, 0.4, 0.3),
            "sw_ident": "py-celery",
            "sw_ver": "5.7.0",
            "sw_sys": "Linux",
        }
