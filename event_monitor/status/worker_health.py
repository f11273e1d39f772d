"""Worker health: whether one worker answers and is not stalled. For a container's health check."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..broker.own_events import send_own_event, was_blocked
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError
from ..liveness import SignOfLife, read_note, runtime_dir, write_note
from ..over_sqs.configuration import event_queue_of
from ..probes.inspect import ask_start_intervals, look_at_workers
from ..probes.stalled import Idle, Look, idle_after, waiting_in, work_waits
from ..settings import Settings
from ..survey import QueueDepth, WorkerAnswer
from ..text import printable
from .ask import read_queues
from .heartbeats import sends_heartbeats
from .readable import BLOCKED, PICKLED, SILENT, why_nobody_answers
from .worker_note import is_in_time, note_of

__all__ = ["IdleNote", "WorkerHealth", "examine_worker", "judge_note", "look_at", "nodename"]

log = logging.getLogger(__name__)

_NO_NOTE = (
    "it has left no heartbeat here: this has to run beside the worker, as the same user, and with "
    "the same broker URL"
)
_NO_LINE = "only with send_events_over_sqs(app) in the app would it leave its heartbeats here"
_BEATS_SECONDS = 5.0  # two heartbeats of Celery's default, and time to subscribe


def nodename(name: str) -> str:
    """Return the nodename that ``celery worker -n`` makes: ``celery`` is ``celery@<this host>``."""
    from celery.utils.nodenames import host_format

    first, _, host = name.partition("@")
    try:
        return str(host_format(f"{first}@{host or '%h'}"))
    except ValueError as error:
        raise SettingsError(
            f"the worker's name is {printable(name)!r}; after a % stands h, n or d, as for "
            "celery worker -n."
        ) from error


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
    One that does not answer and yet sends heartbeats is alive, and nothing is known where the
    broker takes no answers. Where nobody can be asked, as on SQS, it is healthy while it leaves the
    note of ``send_events_over_sqs`` at each heartbeat; no request is made then. Takes
    ``probe_seconds``, and five seconds more, where it does not answer. Raises ``ConnectionError``
    if the broker is away.
    """
    reason = why_nobody_answers(app)
    if reason is not None:
        return judge_note(
            note_of(app, name, now=clock.wall()),
            name,
            reason=reason,
            has_line=event_queue_of(app) is not None,
        )
    unreadable: list[None] = []
    answers, _ = look_at_workers(
        app,
        timeout=settings.probe_seconds,
        destination=(name,),
        on_unreadable=lambda: unreadable.append(None),
        clock=clock,
    )
    answer = next((answer for answer in answers if answer.hostname == name), None)
    if answer is not None:
        return _judge(app, settings, answer, clock=clock)
    if unreadable:
        return _unknown(name, PICKLED)
    sent = send_own_event(app)  # it takes as long as listening
    if sends_heartbeats(app, name, seconds=_BEATS_SECONDS, clock=clock):
        return _unknown(name, SILENT)
    if was_blocked(sent):
        return _unknown(name, BLOCKED)
    return WorkerHealth(
        "unhealthy",
        f"{printable(name)} does not answer within {settings.probe_seconds:g} s, "
        "and sends no heartbeat. (A solo worker does neither while it runs a task.)",
    )


def _unknown(name: str, reason: str) -> WorkerHealth:
    return WorkerHealth("unknown", f"nothing is known of {printable(name)}: {reason}.")


def judge_note(note: SignOfLife | None, name: str, *, reason: str, has_line: bool) -> WorkerHealth:
    """Judge a worker that nobody can ask, for that ``reason``, by what it leaves at each heartbeat.

    ``has_line``: whether its app calls ``send_events_over_sqs``.
    """
    if note is None:
        return _unknown(name, f"{reason}, and {_NO_NOTE if has_line else _NO_LINE}")
    if is_in_time(note):
        return _HEALTHY
    return WorkerHealth(
        "unhealthy",
        f"{printable(name)} left its last heartbeat {note.age_seconds:,.0f} s ago; there should be "
        f"one every {note.interval_seconds:g} s. (A solo worker leaves none while it runs a task.)",
    )


def _judge(
    app: CeleryApp, settings: Settings, answer: WorkerAnswer, *, clock: Clock
) -> WorkerHealth:
    """Return whether a worker that answers takes its work."""
    name = answer.hostname
    # How deep the queues of a busy worker are does not matter.
    idles = answer.active == 0 and answer.queues
    depths = read_queues(app, settings, answer.queues or ()) if idles else ()
    look = look_at(answer, depths, now=clock.wall())
    note = IdleNote(settings.state_dir, name)
    before = note.read()
    idle = idle_after(before, look)
    note.replace(before, idle)
    idle_seconds = look.idle_seconds(idle)
    if idle_seconds <= settings.worker_stalled_seconds:
        return _HEALTHY
    # The reply lists every task of the worker, so it is asked for only now.
    intervals = ask_start_intervals(app, (name,), timeout=settings.probe_seconds, clock=clock)
    if not look.is_stalled(
        idle,
        stalled_seconds=settings.worker_stalled_seconds,
        start_interval_seconds=intervals.get(name),
    ):
        return _HEALTHY
    ready = sum(depth.ready or 0 for depth in depths)
    return WorkerHealth(
        "unhealthy",
        f"{printable(name)} is stalled: {ready:,} messages wait in its queues, it has reserved "
        f"{answer.reserved or 0:,}, and it has begun nothing for {idle_seconds:,.0f} s.",
    )


def look_at(answer: WorkerAnswer, depths: tuple[QueueDepth, ...], *, now: float) -> Look:
    """Return what an answer and its queues' depths show at ``now``, wall-clock seconds.

    Without an uptime it is unknown whether the worker is the one of the last look, and its count
    of begun tasks proves nothing.
    """
    begun = sum(count for _, count in answer.processed)
    return Look(
        active=answer.active,
        processed=None if answer.uptime_seconds is None else begun,
        work_waits=work_waits(answer.queues, waiting_in(depths), answer=answer),
        seen_at=now,
        uptime_seconds=answer.uptime_seconds,
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
        note = read_note(self.path, is_ours=True)
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
