"""Witness: a second receiver, Celery's own, that only keeps what it receives.

By it a test knows what has happened without asking the monitor under test.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Message

from .listener import Listener
from .waiting import wait_until


class Witness:
    """Listens from construction until ``stop()``. All readers are safe in any thread."""

    def __init__(self, app: Celery) -> None:
        self.messages: list[dict[str, Any]] = []
        self._connection = app.connection_for_read()
        self._receiver = _Recorder(self._connection, app=app, accept={"json"})
        self._receiver.recorder = self.messages.append
        self._thread = threading.Thread(target=self._listen, name="witness", daemon=True)
        self._thread.start()
        self._receiver.wait_until_ready(60)

    def events(self, **fields: str) -> list[dict[str, Any]]:
        """Return the events so far, as sent, whose fields have those values."""
        flat: list[dict[str, Any]] = []
        for message in list(self.messages):
            body = message["body"]
            flat.extend(body if isinstance(body, list) else [body])
        return [event for event in flat if all(event.get(key) == fields[key] for key in fields)]

    def types_of(self, uuid: str) -> Counter[str]:
        """Count the events of one task by type."""
        return Counter(event["type"] for event in self.events(uuid=uuid))

    def wait_for(self, deadline_seconds: float, **fields: str) -> dict[str, Any]:
        """Wait for the first event with those fields, and return it."""
        why = f"an event with {fields}"
        return wait_until(lambda: self.events(**fields), deadline_seconds, why)[0]

    def wait_for_beats(self, *hostnames: str) -> None:
        """Wait for one more heartbeat of each worker: all it sent before has arrived by then."""

        def beats(worker: str) -> int:
            return len(self.events(type="worker-heartbeat", hostname=worker))

        def has_more(worker: str, before: int) -> bool:
            return beats(worker) > before

        for worker, before in [(worker, beats(worker)) for worker in hostnames]:
            wait_until(partial(has_more, worker, before), 60, f"a heartbeat of {worker}")

    def save(self, path: Path) -> None:
        """Write one message per line, without the names and paths of this machine."""
        text = "".join(
            json.dumps(message, separators=(",", ":")) + "\n" for message in self.messages
        )
        text = re.sub(rf"(gen)?\d*@{re.escape(socket.gethostname())}", r"gen1@host1", text)
        for place in (str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix):
            text = text.replace(place, "/app")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def stop(self) -> None:
        """Stop listening."""
        self._receiver.should_stop = True
        self._thread.join(timeout=60)
        self._connection.release()

    def _listen(self) -> None:
        for _ in self._receiver.consume(limit=None, safety_interval=0.2):
            pass


class _Recorder(Listener):
    recorder: Callable[[dict[str, Any]], None]

    def receive(self, body: object, message: Message) -> None:
        info = message.delivery_info or {}
        self.recorder(
            {
                "received_at": time.time(),
                "routing_key": info.get("routing_key"),
                "hostname": (message.headers or {}).get("hostname"),
                "body": body,
            }
        )
