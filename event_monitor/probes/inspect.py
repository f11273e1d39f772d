"""Inspect: ask the workers what they hold. One broadcast each, answers collected by a deadline."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from ..control import ask, mailbox_of
from ..snapshot import TaskInFlight

__all__ = ["tasks_in_flight"]

log = logging.getLogger(__name__)


def tasks_in_flight(app: Any, *, timeout: float) -> tuple[TaskInFlight, ...]:
    """Every task that workers say they run, hold or have scheduled.

    Takes three times ``timeout`` seconds. Workers that do not answer are left out; raises what
    the broker connection raises.
    """
    known: dict[str, TaskInFlight] = {}
    with mailbox_of(app, app.connection_for_read()) as mailbox:
        for command in ("scheduled", "reserved", "active"):
            for worker, entries in ask(mailbox, command, timeout=timeout).items():
                for task in _known_tasks(worker, entries):
                    known[task.uuid] = task
    return tuple(known.values())


def _known_tasks(worker: str, entries: Any) -> Iterator[TaskInFlight]:
    for entry in entries if isinstance(entries, list) else ():
        request = entry.get("request", entry) if isinstance(entry, Mapping) else {}
        uuid, name = request.get("id"), request.get("name") or request.get("type")
        if not isinstance(uuid, str) or not isinstance(name, str):
            continue
        started = request.get("time_start")
        since = float(started) if isinstance(started, (int, float)) else None
        yield TaskInFlight(uuid, name, worker, running_since=since)
