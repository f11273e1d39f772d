"""Workers: which answer, which send task events, and whose clock is wrong. Judging is pure.

No read-only command reports whether a worker was started with -E: ``inspect`` shows the
configuration, which the flag does not change, and stats and heartbeats are the same with and
without it. So the evidence is what is received: a task event proves it, and a worker whose
heartbeats count tasks while none of its task events come disproves it. An idle worker stays
unknown, unless it is asked to turn task events on: its reply says whether they were off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..events import TaskEvent, WorkerEvent
from .finding import Finding
from .listener import ReceivedEvent

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
    """What is known of one worker.

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
    configurations: Mapping[str, object], received: Sequence[ReceivedEvent], *, until: float
) -> tuple[WorkerEvidence, ...]:
    """Join the replies to ``inspect conf`` and the events into one record per worker.

    Heartbeats later than ``until`` are left out, since the task events that belong to them may
    still be on their way.
    """
    processed: dict[str, list[int]] = {}
    task_events: dict[str, int] = {}
    skews: dict[str, float] = {}
    for each in received:
        event = each.event
        if isinstance(event, WorkerEvent):
            counts = processed.setdefault(event.hostname, [])
            if event.processed is not None and each.received_at <= until:
                counts.append(event.processed)
            skew = each.received_at - event.timestamp
            skews[event.hostname] = min(skews.get(event.hostname, skew), skew, key=abs)
        elif isinstance(event, TaskEvent) and event.type != "task-sent":
            task_events[event.hostname] = task_events.get(event.hostname, 0) + 1
    evidence = []
    for hostname in sorted({*configurations, *processed, *task_events}):
        configuration = configurations.get(hostname)
        conf = configuration if isinstance(configuration, Mapping) else {}
        counts = processed.get(hostname, [])
        evidence.append(
            WorkerEvidence(
                hostname=hostname,
                answers=hostname in configurations,
                configured=bool(conf.get("worker_send_task_events")),
                sends_sent=bool(conf.get("task_send_sent_event")),
                serializer=str(conf.get("event_serializer") or "json"),
                heartbeats=len(counts),
                task_events=task_events.get(hostname, 0),
                ran=counts[-1] - counts[0] if len(counts) > 1 else None,
                skew_seconds=skews.get(hostname),
            )
        )
    return tuple(evidence)


def judge_workers(
    workers: Sequence[WorkerEvidence],
    *,
    turned_on: Collection[str] | None,
    listened_seconds: float,
) -> Iterator[Finding]:
    """Yield findings on the workers.

    ``turned_on``: whose task events were just turned on; None if nobody was asked to.
    """
    if not workers:
        yield Finding(
            "workers",
            "warning",
            f"none answers, and no event of one came in {listened_seconds:.0f} s",
            "Start one, or check that this is the broker the workers use.",
        )
        return
    yield from _judge_answers(workers)
    yield from _judge_task_events(workers, turned_on, listened_seconds)
    yield from _judge_formats(workers)
    yield from _judge_heartbeats(workers, listened_seconds)
    yield from _judge_clocks(workers)
    if any(worker.answers for worker in workers) and not any(
        worker.sends_sent for worker in workers
    ):
        yield Finding(
            "queue times",
            "note",
            "task_send_sent_event is off: TaskQueueTime begins at receipt, not at publishing, "
            "and TasksSent stays 0",
            "Set task_send_sent_event = True in the app, for its producers.",
        )


def _judge_answers(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    answering = [worker.hostname for worker in workers if worker.answers]
    silent = [worker.hostname for worker in workers if not worker.answers]
    if answering:
        yield Finding("workers", "ok", f"{len(answering)} answer: {_names(answering)}")
    if silent:
        yield Finding(
            "workers",
            "warning",
            f"{len(silent)} send events but do not answer: {_names(silent)}",
            "Harmless if worker_enable_remote_control is off, the pool is solo and busy, or "
            "task_serializer is pickle: such answers are not read.",
        )


def _judge_task_events(
    workers: Sequence[WorkerEvidence], turned_on: Collection[str] | None, listened_seconds: float
) -> Iterator[Finding]:
    enabled: set[str] = set()
    if turned_on is not None:  # every worker that answers sends them now
        enabled = {worker.hostname for worker in workers if worker.answers}
        already = sorted(enabled - set(turned_on))
        if turned_on:
            yield Finding(
                "task events",
                "ok",
                f"turned on just now, until a restart, in {_names(sorted(turned_on))}",
                "For good: start workers with -E, or set worker_send_task_events = True.",
            )
        if already:
            yield Finding("task events", "ok", f"on already in {_names(already)}")
    others = [worker for worker in workers if worker.hostname not in enabled]
    sending = [worker for worker in others if worker.task_events or worker.configured]
    missing = [worker for worker in others if worker not in sending and worker.ran]
    unknown = [worker for worker in others if worker not in sending and worker not in missing]
    if sending:
        names = _names([worker.hostname for worker in sending])
        yield Finding("task events", "ok", f"sent by {names}")
    if missing:
        ran = ", ".join(f"{worker.hostname} ran {worker.ran:,}" for worker in missing[:_MOST_NAMES])
        yield Finding(
            "task events",
            "failed",
            f"NOT SENT by {_names([worker.hostname for worker in missing])}: {ran} "
            f"tasks in {listened_seconds:.0f} s and not one event came; they will not be counted",
            _TURN_ON,
        )
    if unknown:
        yield Finding(
            "task events",
            "warning",
            f"not seen from {_names([worker.hostname for worker in unknown])}: no task ran there "
            f"in {listened_seconds:.0f} s, and Celery does not say whether -E was given",
            _TURN_ON + "\nor be sure right now:              event-monitor check --enable-events",
        )


def _judge_formats(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    wrong = [worker.hostname for worker in workers if worker.serializer != "json"]
    if wrong:
        yield Finding(
            "event format",
            "failed",
            f"event_serializer is not json on {_names(wrong)}",
            "Remove event_serializer from the workers' configuration: json is the default.",
        )


def _judge_heartbeats(
    workers: Sequence[WorkerEvidence], listened_seconds: float
) -> Iterator[Finding]:
    quiet = [worker.hostname for worker in workers if not worker.heartbeats]
    if quiet:
        yield Finding(
            "heartbeats",
            "warning",
            f"none in {listened_seconds:.0f} s from {_names(quiet)}, which would be taken for lost",
            "Start workers without --without-heartbeat. (A solo pool is silent while it works.)",
        )
    else:
        yield Finding("heartbeats", "ok", f"received from all {len(workers)}")


def _judge_clocks(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    skews = {
        worker.hostname: worker.skew_seconds
        for worker in workers
        if worker.skew_seconds is not None
    }
    off = {name: skew for name, skew in skews.items() if abs(skew) > SKEW_WARNING_SECONDS}
    if off:
        shown = ", ".join(f"{name} {skew:+.0f} s" for name, skew in list(off.items())[:_MOST_NAMES])
        yield Finding(
            "worker clocks",
            "warning",
            f"our clock differs from {shown}; EventDelay and TaskQueueTime will be wrong",
            "Synchronise the machines' clocks (chrony, ntpd).",
        )
    elif skews:
        most = max(abs(skew) for skew in skews.values())
        yield Finding("worker clocks", "ok", f"within {most:.1f} s of ours")


def _names(hostnames: Sequence[str]) -> str:
    shown = ", ".join(hostnames[:_MOST_NAMES])
    more = len(hostnames) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
