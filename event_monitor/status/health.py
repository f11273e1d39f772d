"""Health: whether one worker, or the monitor beside us, is well. For a container's health check."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..liveness import Pulse, read_note, runtime_dir, write_note
from ..settings import Settings
from ..survey import QueueDepth, WorkerAnswer

__all__ = ["Idle", "examine_monitor", "examine_worker", "judge", "nodename"]

log = logging.getLogger(__name__)

_COMMANDS = ("active", "stats", "active_queues")
_MISSED_BEATS = 3
_SHORTEST_SECONDS = 10.0  # a machine may be slow for so long, whatever the interval


def examine_monitor(settings: Settings, *, now: float) -> str | None:
    """What is wrong with the monitor that runs with this ``state_dir``; None if it is well."""
    pulse = Pulse(settings.state_dir)
    beat = pulse.last(now=now)
    if beat is None:
        return (
            f"no monitor has left a sign of life in {pulse.path}; "
            "give this command the same state_dir as the monitor."
        )
    if beat.age_seconds < max(_MISSED_BEATS * beat.interval_seconds, _SHORTEST_SECONDS):
        return None
    return (
        f"the monitor's last shot was {beat.age_seconds:,.0f} s ago; "
        f"there should be one every {beat.interval_seconds:g} s."
    )


def nodename(name: str) -> str:
    """The nodename as ``celery worker -n`` would make it: ``celery`` is ``celery@<this host>``."""
    from celery.utils.nodenames import host_format

    first, _, host = name.partition("@")
    return str(host_format(f"{first}@{host or '%h'}"))


def examine_worker(app: Any, settings: Settings, name: str) -> str | None:
    """What is wrong with that worker; None if it is well.

    Well is who answers, and has not been idle for longer than ``worker_stalled_seconds`` while
    work waits in its queues. What was seen is noted in a small file, for the next look. Takes
    ``probe_seconds`` when it does not answer. Raises ``ConnectionError`` if the broker is away.
    """
    from ..probes.inspect import replies_of
    from ..probes.replies import with_reply

    answer = WorkerAnswer(name)
    uptime: float | None = None
    answered = False
    for reply in replies_of(app, _COMMANDS, timeout=settings.probe_seconds, destination=(name,)):
        if reply.hostname != name:
            continue
        answered = True
        answer = with_reply(answer, reply)
        if reply.command == "stats" and isinstance(reply.body, Mapping):
            told = reply.body.get("uptime")
            uptime = told if isinstance(told, (int, float)) else None
    if not answered:
        return (
            f"{name} does not answer within {settings.probe_seconds:g} s. "
            "(A solo worker never does while it runs a task.)"
        )
    return _judge_and_note(app, settings, answer, uptime=uptime)


@dataclass(frozen=True, slots=True)
class Idle:
    """A worker seen idle while work waited: how many tasks it had begun, and since when so."""

    processed: int
    since: float  # wall-clock seconds


def judge(
    answer: WorkerAnswer,
    depths: tuple[QueueDepth, ...],
    before: Idle | None,
    *,
    now: float,
    uptime: float | None,
) -> Idle | None:
    """Since when the worker does nothing although work waits; None if it does not look so.

    ``before`` is what the last look found. A worker cannot have been idle for longer than it runs,
    so one that was restarted, and has begun as many tasks as the one before, begins anew.
    """
    if answer.active != 0 or uptime is None:
        return None
    if not any(depth.ready for depth in depths):
        return before if any(depth.ready is None for depth in depths) else None
    processed = sum(count for _, count in answer.processed)
    if before is None or before.processed != processed or before.since > now:
        return Idle(processed, now)
    return Idle(processed, max(before.since, now - uptime))


def _judge_and_note(
    app: Any, settings: Settings, answer: WorkerAnswer, *, uptime: float | None
) -> str | None:
    from .survey import read_queues

    path = _note_of(answer.hostname, settings)
    before = _read(path)
    now = time.time()
    depths: tuple[QueueDepth, ...] = ()
    if answer.active == 0 and answer.queues:
        depths = read_queues(app, settings, answer.queues)
    idle = judge(answer, depths, before, now=now, uptime=uptime)
    _note(path, idle, before)
    if idle is None or now - idle.since <= settings.worker_stalled_seconds:
        return None
    ready = sum(depth.ready or 0 for depth in depths)
    return (
        f"{answer.hostname} is stalled: {ready:,} messages wait in its queues, "
        f"and it has begun nothing for {now - idle.since:,.0f} s."
    )


def _note(path: Path, idle: Idle | None, before: Idle | None) -> None:
    """Keep it for the next look; a worker is not ill because a disk is full or read-only."""
    try:
        if idle is None:
            path.unlink(missing_ok=True)
        elif idle != before:
            write_note(path, {"processed": idle.processed, "since": idle.since})
    except OSError as error:
        log.warning("a stall cannot be noticed, since nothing can be noted: %s", error)


def _read(path: Path) -> Idle | None:
    note = read_note(path)
    processed, since = note.get("processed"), note.get("since")
    if not isinstance(processed, int) or not isinstance(since, (int, float)):
        return None
    return Idle(processed, float(since))


def _note_of(hostname: str, settings: Settings) -> Path:
    """A file name for any nodename."""
    digest = hashlib.sha256(hostname.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return runtime_dir(settings.state_dir) / f"worker-{digest}"
