"""Worker health: whether one worker answers and is not stalled. For a container's health check."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..liveness import read_note, runtime_dir, write_note
from ..probes.stalled import Idle, Look, idle_after, waiting_in, work_waits
from ..settings import Settings
from ..survey import QueueDepth, WorkerAnswer
from .readable import PICKLED, why_nobody_answers

__all__ = ["IdleNote", "WorkerHealth", "examine_worker", "longest_pause", "look_at", "nodename"]

log = logging.getLogger(__name__)

_COMMANDS = ("active", "stats", "active_queues", "registered")
_RATE_LIMIT = re.compile(r"\[rate_limit=([^\s\]]{1,40})\]$")  # after a task's name


def nodename(name: str) -> str:
    """Return the nodename that ``celery worker -n`` makes: ``celery`` is ``celery@<this host>``."""
    from celery.utils.nodenames import host_format

    first, _, host = name.partition("@")
    return str(host_format(f"{first}@{host or '%h'}"))


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """The verdict on one worker, and a sentence that says why it is not healthy."""

    verdict: Literal["healthy", "unhealthy", "unknown"]
    sentence: str = ""


_HEALTHY = WorkerHealth("healthy")


def examine_worker(
    app: CeleryApp, settings: Settings, name: str, *, clock: Clock = SYSTEM_CLOCK
) -> WorkerHealth:
    """Return whether that worker is healthy; unknown where it cannot be asked or not be read.

    A healthy worker answers, and has not been idle for longer than ``worker_stalled_seconds``
    while work waits in its queues. What was seen is noted in a small file, for the next look.
    Takes ``probe_seconds`` when it does not answer. Raises ``ConnectionError`` if the broker is
    away.
    """
    reason = why_nobody_answers(app)
    if reason is not None:
        return WorkerHealth("unknown", f"nothing is known of {name}: {reason}.")
    found = _ask(app, settings, name, clock=clock)
    if found is None:
        return WorkerHealth(
            "unhealthy",
            f"{name} does not answer within {settings.probe_seconds:g} s. "
            "(A solo worker never does while it runs a task. Where the app switches remote control "
            "off or uses pickle only, name it with -A or --config.)",
        )
    if found.is_pickled:
        return WorkerHealth("unknown", f"nothing is known of {name}: {PICKLED}.")
    now = clock.wall()
    depths = _read_queues(app, settings, found.answer)
    look = look_at(
        found.answer,
        depths,
        uptime_seconds=found.uptime_seconds,
        may_wait_for_a_limit=found.longest_pause_seconds >= settings.worker_stalled_seconds,
        now=now,
    )
    note = IdleNote(settings.state_dir, name)
    before = note.read()
    idle = idle_after(before, look)
    note.replace(before, idle)
    idle_seconds = look.idle_seconds(idle)
    if idle_seconds <= settings.worker_stalled_seconds:
        return _HEALTHY
    ready = sum(depth.ready or 0 for depth in depths)
    return WorkerHealth(
        "unhealthy",
        f"{name} is stalled: {ready:,} messages wait in its queues, "
        f"and it has begun nothing for {idle_seconds:,.0f} s.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one worker replied. ``longest_pause_seconds``: between two starts, by a rate limit."""

    answer: WorkerAnswer
    uptime_seconds: float | None = None
    longest_pause_seconds: float = 0.0
    is_pickled: bool = False


def _ask(app: CeleryApp, settings: Settings, name: str, *, clock: Clock) -> _Found | None:
    """Return what the worker replies; None if it does not."""
    from ..probes.inspect import replies_of
    from ..probes.replies import with_reply

    unreadable: list[None] = []
    found: _Found | None = None
    for reply in replies_of(
        app,
        _COMMANDS,
        timeout=settings.probe_seconds,
        destination=(name,),
        arguments={"registered": {"taskinfoitems": ["rate_limit"]}},
        on_unreadable=lambda: unreadable.append(None),
        clock=clock,
    ):
        if reply.hostname != name:
            continue
        found = found or _Found(answer=WorkerAnswer(name))
        if reply.command == "registered":
            found = replace(found, longest_pause_seconds=longest_pause(reply.body))
            continue
        found = replace(found, answer=with_reply(found.answer, reply))
        if reply.command == "stats" and isinstance(reply.body, Mapping):
            uptime = reply.body.get("uptime")
            if isinstance(uptime, (int, float)):
                found = replace(found, uptime_seconds=uptime)
    if found is None and unreadable:
        return _Found(answer=WorkerAnswer(name), is_pickled=True)
    return found


def longest_pause(registered: object) -> float:
    """Return the longest time between two starts, in seconds, that a rate limit makes; else 0.

    ``registered`` is a worker's reply, such as ``["proj.a [rate_limit=1/h]", "proj.b"]``.
    """
    from celery.utils.time import rate

    longest = 0.0
    for entry in registered if isinstance(registered, list) else ():
        limit = _RATE_LIMIT.search(entry) if isinstance(entry, str) else None
        if limit is None:
            continue
        try:
            per_second = float(rate(limit[1]))
        except (ValueError, KeyError, ArithmeticError):  # it may be anything
            continue
        if per_second > 0:
            longest = max(longest, 1 / per_second)
    return longest


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
    may_wait_for_a_limit: bool = False,
    now: float,
) -> Look:
    """Return what an answer and its queues' depths show at ``now``, wall-clock seconds.

    ``may_wait_for_a_limit``: a rate limit may keep it from starting anything for as long as a stall
    takes. Inspect does not report what waits for a limit, so no work counts as waiting then.
    Without an uptime it is unknown whether the worker is the one of the last look, and its count
    of begun tasks proves nothing.
    """
    begun = sum(count for _, count in answer.processed)
    return Look(
        active=answer.active,
        processed=None if uptime_seconds is None else begun,
        work_waits=not may_wait_for_a_limit and work_waits(answer.queues, waiting_in(depths)),
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
