"""Witness: a second listener, on Celery's stock receiver, that only writes down what it hears.

It tells a test when something has happened, without a word from the monitor under test.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from celery import Celery
from celery.events.receiver import EventReceiver
from kombu import Message

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
        wait_until(lambda: self._receiver.live, 20, "the witness listens")

    def events(self, **fields: str) -> list[dict[str, Any]]:
        """All events so far, as sent, in order of arrival, whose fields have those values."""
        flat: list[dict[str, Any]] = []
        for message in list(self.messages):
            body = message["body"]
            flat.extend(body if isinstance(body, list) else [body])
        return [one for one in flat if all(one.get(key) == fields[key] for key in fields)]

    def types_of(self, uuid: str) -> Counter[str]:
        """How often each type of event came for one task."""
        return Counter(event["type"] for event in self.events(uuid=uuid))

    def wait_for(self, deadline_seconds: float, **fields: str) -> dict[str, Any]:
        """The first event with those fields, waiting until it comes."""
        why = f"an event with {fields}"
        return wait_until(lambda: self.events(**fields), deadline_seconds, why)[0]

    def wait_for_beats(self, *hostnames: str) -> None:
        """Wait for one more heartbeat of each worker: all it sent before has arrived by then."""
        before = {one: len(self.events(type="worker-heartbeat", hostname=one)) for one in hostnames}
        for one, beats in before.items():
            wait_until(
                lambda one=one, beats=beats: (  # type: ignore[misc]
                    len(self.events(type="worker-heartbeat", hostname=one)) > beats
                ),
                15,
                f"a heartbeat of {one}",
            )

    def save(self, path: Path) -> None:
        """Write one message per line, without the names and paths of this machine."""
        text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in self.messages)
        text = re.sub(rf"(gen)?\d*@{re.escape(socket.gethostname())}", r"gen1@host1", text)
        for place in (str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix):
            text = text.replace(place, "/app")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def stop(self) -> None:
        """Stop listening."""
        self._receiver.should_stop = True
        self._thread.join(timeout=10)
        self._connection.release()

    def _listen(self) -> None:
        for _ in self._receiver.consume(limit=None, safety_interval=0.2):
            pass


class _Recorder(EventReceiver):
    recorder: Any
    live = False

    def on_consume_ready(self, *args: Any, **kwargs: Any) -> None:
        super().on_consume_ready(*args, **kwargs)
        self.live = True

    def _receive(self, body: object, message: Message) -> None:  # type: ignore[override]
        info = message.delivery_info or {}
        self.recorder(
            {
                "received_at": time.time(),
                "routing_key": info.get("routing_key"),
                "hostname": (message.headers or {}).get("hostname"),
                "body": body,
            }
        )
