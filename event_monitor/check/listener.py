"""Listener: hears a few seconds of events through the monitor's own receiver, on a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..events import Event
from ..receiver import Receiver
from ..snapshot import AckToken

__all__ = ["Heard", "Listener"]

_MOST_EVENTS = 200_000  # a few seconds of a busy cluster; what comes after is not needed


@dataclass(frozen=True, slots=True)
class Heard:
    """One event, and the wall-clock second in which it came."""

    event: Event
    received_at: float


class Listener:
    """``with Listener(app) as listener``: subscribed soon, and hearing until the block ends.

    Asks every worker for a heartbeat when it has subscribed. ``heard`` may be called at any time.
    """

    def __init__(self, app: Any) -> None:
        self._heard: list[Heard] = []
        self._connected = threading.Event()
        self._receiver = Receiver(app.connection_for_read(), app=app)
        self._receiver.on_events = self._on_events
        self._receiver.on_connection = self._on_connection
        # A daemon: a broker that hangs must not keep the command from ending.
        self._thread = threading.Thread(
            target=self._receiver.capture, name="check-listener", daemon=True
        )

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._receiver.stop()
        self._thread.join(timeout=2.0)

    def wait(self, seconds: float) -> bool:
        """Wait until subscribed; False when it takes longer than that."""
        return self._connected.wait(seconds)

    def heard(self) -> tuple[Heard, ...]:
        """Everything so far, in the order it came."""
        return tuple(self._heard)

    def _on_events(self, events: Sequence[Event], _receipt: AckToken | None) -> None:
        now = time.time()
        if len(self._heard) < _MOST_EVENTS:
            self._heard.extend(Heard(event, now) for event in events)

    def _on_connection(self, connected: bool) -> None:
        if connected:
            self._connected.set()
