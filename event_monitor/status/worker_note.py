"""Worker note: what ``send_events_over_sqs`` leaves beside a worker at each of its heartbeats."""

from __future__ import annotations

from pathlib import Path

from ..broker.protocols import CeleryApp
from ..liveness import Liveness, SignOfLife, address_of, worker_identity
from .monitor_health import sign_of_monitor

__all__ = ["is_in_time", "note_of"]

_MISSED_BEATS = 3
_SHORTEST_SECONDS = 60.0  # without a heartbeat: a machine may be slow for so long


def note_of(
    app: CeleryApp, nodename: str, *, now: float, temporary_dir: Path | None = None
) -> SignOfLife | None:
    """Return the worker's last note, as old as it is at ``now``, wall-clock seconds.

    None if it left none here, or none that can be believed. Makes no request.
    """
    broker = address_of(app.connection_for_read())
    found = Liveness.find(worker_identity(broker, nodename), temporary_dir=temporary_dir)
    return sign_of_monitor(found, now=now)


def is_in_time(note: SignOfLife) -> bool:
    """Return whether the worker's loop goes on, as far as its last note tells."""
    return note.age_seconds <= max(_MISSED_BEATS * note.interval_seconds, _SHORTEST_SECONDS)
