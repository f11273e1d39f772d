"""Workers: which answer, which send task events, and whose clock is off. Judging is pure.

Nothing read-only tells whether a worker was started with -E: ``inspect`` shows the configuration,
which the flag does not change, and stats and heartbeats are the same with and without it. So we
go by what is heard: task events prove it, and a worker whose heartbeats say that it runs tasks
while none of its task events come disproves it. An idle worker stays unknown, unless it is asked
to turn events on: its answer tells what they were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..events import TaskEvent, WorkerEvent
from .finding import Finding
from .listener import Heard

__all__ = ["WorkerEvidence", "evidence_of", "judge_workers"]

SKEW_WARNING_SECONDS = 60.0
_MOST_NAMES = 5  # in one line of the report

_TURN_ON = (
    "Start the workers with -E:         celery -A proj worker -E\n"
    "or configure the app:              worker_send_task_events = True\n"
    "or let the monitor turn them on:   event-monitor run --enable-events"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvidence:
    """What was seen of one worker.

    ``ran``: how far its heartbeats' ``processed`` grew; None when fewer than two came.
    ``skew_seconds``: our clock minus its own, at the freshest event.
    """

    hostname: str
    answers: bool = False
    configured: bool = False  # worker_send_task_events
    sends_sent: bool = False  # task_send_sent_event
    serializer: str = "json"
    heartbeats: int = 0
    task_events: int = 0
    ran: int | None = None
    skew_seconds: float | None = None


def evidence_of(
    replies: Mapping[str, Any], heard: Sequence[Heard], *, until: float
) -> tuple[WorkerEvidence, ...]:
    """Join the replies to ``inspect conf`` and the events into one record per worker.

    Heartbeats later than ``until`` are not looked at, since the task events that belong to them
    may still be on their way.
    """
    processed: dict[str, list[int]] = {}
    task_events: dict[str, int] = {}
    skews: dict[str, float] = {}
    for one in heard:
        event = one.event
        if isinstance(event, WorkerEvent):
            counts = processed.setdefault(event.hostname, [])
            if event.processed is not None and one.received_at <= until:
                counts.append(event.processed)
            skew = one.received_at - event.timestamp
            skews[event.hostname] = min(skews.get(event.hostname, skew), skew, key=abs)
        elif isinstance(event, TaskEvent) and event.type != "task-sent":
            task_events[event.hostname] = task_events.get(event.hostname, 0) + 1
    found = []
    for hostname in sorted({*replies, *processed, *task_events}):
        conf = replies.get(hostname)
        conf = conf if isinstance(conf, Mapping) else {}
        counts = processed.get(hostname, [])
        found.append(
            WorkerEvidence(
                hostname=hostname,
                answers=hostname in replies,
                configured=bool(conf.get("worker_send_task_events")),
                sends_sent=bool(conf.get("task_send_sent_event")),
                serializer=str(conf.get("event_serializer") or "json"),
                heartbeats=len(counts),
                task_events=task_events.get(hostname, 0),
                ran=counts[-1] - counts[0] if len(counts) > 1 else None,
                skew_seconds=skews.get(hostname),
            )
        )
    return tuple(found)


def judge_workers(
    workers: Sequence[WorkerEvidence], *, woken: Collection[str] | None, listened_seconds: float
) -> Iterator[Finding]:
    """Findings on the workers. ``woken``: whose events were just turned on; None if not asked."""
    if not workers:
        yield Finding(
            "workers",
            "warning",
            f"none answers, and none was heard in {listened_seconds:.0f} s",
            "Start one, or look whether this is the broker the workers use.",
        )
        return
    answering = [one.hostname for one in workers if one.answers]
    silent = [one.hostname for one in workers if not one.answers]
    if answering:
        yield Finding("workers", "ok", f"{len(answering)} answer: {_names(answering)}")
    if silent:
        yield Finding(
            "workers",
            "warning",
            f"{len(silent)} heard but not answering: {_names(silent)}",
            "Harmless if worker_enable_remote_control is off, the pool is solo and busy, or "
            "task_serializer is pickle: such answers are not read.",
        )
    yield from _judge_task_events(workers, woken, listened_seconds)
    wrong = [one.hostname for one in workers if one.serializer != "json"]
    if wrong:
        yield Finding(
            "event format",
            "failed",
            f"event_serializer is not json on {_names(wrong)}",
            "Remove event_serializer from the workers' configuration: json is the default.",
        )
    yield from _judge_heartbeats(workers, listened_seconds)
    yield from _judge_clocks(workers)
    if any(one.answers for one in workers) and not any(one.sends_sent for one in workers):
        yield Finding(
            "queue times",
            "note",
            "task_send_sent_event is off: TaskQueueTime begins at receipt, not at publishing, "
            "and TasksSent stays 0",
            "Set task_send_sent_event = True in the app, for its producers.",
        )


def _judge_task_events(
    workers: Sequence[WorkerEvidence], woken: Collection[str] | None, listened_seconds: float
) -> Iterator[Finding]:
    certain: set[str] = set()
    if woken is not None:  # every worker that answers has them now
        certain = {one.hostname for one in workers if one.answers}
        already = sorted(certain - set(woken))
        if woken:
            yield Finding(
                "task events",
                "ok",
                f"turned on just now, until a restart, in {_names(sorted(woken))}",
                "For good: start workers with -E, or set worker_send_task_events = True.",
            )
        if already:
            yield Finding("task events", "ok", f"on already in {_names(already)}")
    others = [one for one in workers if one.hostname not in certain]
    sending = [one for one in others if one.task_events or one.configured]
    missing = [one for one in others if one not in sending and one.ran]
    unknown = [one for one in others if one not in sending and one not in missing]
    if sending:
        yield Finding("task events", "ok", f"sent by {_names([one.hostname for one in sending])}")
    if missing:
        ran = ", ".join(f"{one.hostname} ran {one.ran:,}" for one in missing[:_MOST_NAMES])
        yield Finding(
            "task events",
            "failed",
            f"NOT SENT by {_names([one.hostname for one in missing])}: {ran} "
            f"tasks in {listened_seconds:.0f} s and not one event came; they will not be counted",
            _TURN_ON,
        )
    if unknown:
        yield Finding(
            "task events",
            "warning",
            f"not seen from {_names([one.hostname for one in unknown])}: no task ran there in "
            f"{listened_seconds:.0f} s, and Celery does not say whether -E was given",
            _TURN_ON + "\nor be sure right now:              event-monitor check --enable-events",
        )


def _judge_heartbeats(
    workers: Sequence[WorkerEvidence], listened_seconds: float
) -> Iterator[Finding]:
    quiet = [one.hostname for one in workers if not one.heartbeats]
    if quiet:
        yield Finding(
            "heartbeats",
            "warning",
            f"none in {listened_seconds:.0f} s from {_names(quiet)}; it would be taken for lost",
            "Start workers without --without-heartbeat. (A solo pool is silent while it works.)",
        )
    else:
        yield Finding("heartbeats", "ok", f"heard from all {len(workers)}")


def _judge_clocks(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    skews = {one.hostname: one.skew_seconds for one in workers if one.skew_seconds is not None}
    off = {name: skew for name, skew in skews.items() if abs(skew) > SKEW_WARNING_SECONDS}
    if off:
        told = ", ".join(f"{name} {skew:+.0f} s" for name, skew in list(off.items())[:_MOST_NAMES])
        yield Finding(
            "worker clocks",
            "warning",
            f"our clock differs from {told}; EventDelay and TaskQueueTime will be wrong",
            "Synchronise the machines' clocks (chrony, ntpd).",
        )
    elif skews:
        most = max(abs(skew) for skew in skews.values())
        yield Finding("worker clocks", "ok", f"within {most:.1f} s of ours")


def _names(hostnames: Sequence[str]) -> str:
    shown = ", ".join(hostnames[:_MOST_NAMES])
    more = len(hostnames) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
