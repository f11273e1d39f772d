"""Listener: Celery's own receiver, which knows when what is sent from now on reaches it."""

from __future__ import annotations

import threading
import time
from typing import Any

from celery import Celery
from celery.events.receiver import EventReceiver
from kombu import Message

_MARKER = "listener-marker"
_PERIOD = 0.05  # seconds from one marker to the next


class Listener(EventReceiver):  # type: ignore[misc]  # Celery ships no types
    """Hears each event once ``wait_until_ready`` has returned.

    On RabbitMQ a queue is bound before the receiver is ready. To Redis kombu subscribes with its
    first read, some time after: there the listener waits for an event of its own, which it hides.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_ready = threading.Event()
        self._subscribes_late = self.connection.transport.driver_type == "redis"

    def wait_until_ready(self, deadline_seconds: float) -> None:
        """Wait, while another thread consumes; ``AssertionError`` if it takes longer."""
        app: Celery = self.app
        deadline = time.monotonic() + deadline_seconds
        with app.events.default_dispatcher() as dispatcher:
            while not self._is_ready.wait(_PERIOD):
                assert time.monotonic() < deadline, f"nothing is heard in {deadline_seconds} s"
                if self._subscribes_late:
                    dispatcher.send(_MARKER)

    def on_consume_ready(self, *args: Any, **kwargs: Any) -> None:
        super().on_consume_ready(*args, **kwargs)
        if not self._subscribes_late:
            self._is_ready.set()

    def _receive(self, body: Any, message: Message) -> None:
        if isinstance(body, dict) and body.get("type") == _MARKER:
            self._is_ready.set()
        else:
            self.receive(body, message)

    def receive(self, body: Any, message: Message) -> None:
        """Take one message, not a marker."""
        super()._receive(body, message)
