"""Worker health: whether one worker answers and is not stalled. For a container's health check."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..liveness import read_note, runtime_dir, write_note
from ..probes.stalled import Idle, Look, idle_after, waiting_in, work_waits
from ..settings import Settings
from ..survey import QueueDepth, WorkerAnswer

__all__ = ["IdleNote", "examine_worker", "look_at", "nodename"]

log = logging.getLogger(__name__)

_COMMANDS = ("active", "stats", "active_queues")


def nodename(name: str) -> str:
    """Return the nodename that ``celery worker -n`` makes: ``celery`` is ``celery@<this host>``."""
    from celery.utils.nodenames import host_format

    first, _, host = name.partition("@")
    return str(host_format(f"{first}@{host or '%h'}"))


def examine_worker(
    app: CeleryApp, settings: Settings, name: str, *, clock: Clock = SYSTEM_CLOCK
) -> str | None:
    """Return what is wrong with that worker; None if it is healthy.

    A healthy worker answers, and has not been idle for longer than ``worker_stalled_seconds``
    while work waits in its queues. What was seen is noted in a small file, for the next look.
    Takes ``probe_seconds`` when it does not answer. Raises ``ConnectionError`` if the broker is
    away.
    """
    found = _ask(app, settings, name)
    if found is None:
        return (
            f"{name} does not answer within {settings.probe_seconds:g} s. "
            "(A solo worker never does while it runs a task.)"
        )
    answer, uptime = found
    now = clock.wall()
    depths = _read_queues(app, settings, answer)
    look = look_at(answer, depths, uptime_seconds=uptime, now=now)
    note = IdleNote(settings.state_dir, name)
    before = note.read()
    idle = idle_after(before, look)
    note.replace(before, idle)
    idle_seconds = look.idle_seconds(idle)
    if idle_seconds <= settings.worker_stalled_seconds:
        return None
    ready = sum(depth.ready or 0 for depth in depths)
    return (
        f"{name} is stalled: {ready:,} messages wait in its queues, "
        f"and it has begun nothing for {idle_seconds:,.0f} s."
    )


def _ask(app: CeleryApp, settings: Settings, name: str) -> tuple[WorkerAnswer, float | None] | None:
    """Return the worker's answer and its uptime in seconds; None if it does not answer."""
    from ..probes.inspect import replies_of
    from ..probes.replies import with_reply

    answer: WorkerAnswer | None = None
    uptime: float | None = None
    for reply in replies_of(app, _COMMANDS, timeout=settings.probe_seconds, destination=(name,)):
        if reply.hostname != name:
            continue
        answer = with_reply(answer or WorkerAnswer(name), reply)
        if reply.command == "stats" and isinstance(reply.body, Mapping):
            reported = reply.body.get("uptime")
            uptime = reported if isinstance(reported, (int, float)) else None
    return None if answer is None else (answer, uptime)


def _read_queues(
    app: CeleryApp, settings: Settings, answer: WorkerAnswer
) -> tuple[QueueDepth, ...]:
    """Return how deep the queues of an idle worker are; of a busy one it does not matter."""
    if answer.active != 0 or not answer.queues:
        return ()
    from .ask import read_queues

    return read_queues(app, settings, answer.queues)


def look_at(
    answer: WorkerAnswer,
    depths: tuple[QueueDepth, ...],
    *,
    uptime_seconds: float | None,
    now: float,
) -> Look:
    """Return what an answer and its queues' depths show at ``now``, wall-clock seconds.

    Without an uptime it is unknown whether the worker is the one of the last look, and its count
    of begun tasks proves nothing.
    """
    begun = sum(count for _, count in answer.processed)
    return Look(
        active=answer.active,
        processed=None if uptime_seconds is None else begun,
        work_waits=work_waits(answer.queues, waiting_in(depths)),
        seen_at=now,
        uptime_seconds=uptime_seconds,
    )


class IdleNote:
    """The file in which a look at one worker leaves what it found, for the next look."""

    def __init__(self, state_dir: str, hostname: str, *, temporary_dir: Path | None = None) -> None:
        # A digest makes a file name of any nodename.
        digest = hashlib.sha256(hostname.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.path = runtime_dir(state_dir, temporary_dir=temporary_dir) / f"worker-{digest}"
        self._temporary_dir = temporary_dir

    def read(self) -> Idle | None:
        """Return what the last look found; None if it found nothing, or cannot be read."""
        note = read_note(self.path)
        processed, since = note.get("processed"), note.get("since")
        if not isinstance(processed, int) or not isinstance(since, (int, float)):
            return None
        return Idle(processed, float(since))

    def replace(self, before: Idle | None, idle: Idle | None) -> None:
        """Note what was found, if it differs from ``before``. Never raises for the file's sake.

        A worker is not unhealthy because a disk is full or read-only.
        """
        try:
            if idle is None:
                self.path.unlink(missing_ok=True)
            elif idle != before:
                note = {"processed": idle.processed, "since": idle.since}
                write_note(self.path, note, temporary_dir=self._temporary_dir)
        except OSError as error:
            log.warning("a stall cannot be detected, since nothing can be noted: %s", error)
