"""Workers: which answer, which send events, and whose clock is wrong. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..text import printable
from .evidence import WorkerEvidence
from .finding import Finding, listed

__all__ = ["judge_workers"]

SKEW_WARNING_SECONDS = 60.0
_TWO_HEARTBEATS_SECONDS = 4.0  # Celery's default; who was silent for less may just not be due

_TURN_ON = (
    "Start the workers with -E:         celery -A proj worker -E\n"
    "or configure the app:              worker_send_task_events = True"
)
_TURN_ON_FROM_HERE = "\nor let the monitor turn them on:   event-monitor run --enable-events"
_ASK_FOR_PROOF = "\nor be sure right now:              event-monitor check --enable-events"


def judge_workers(
    workers: Sequence[WorkerEvidence],
    *,
    turned_on: Collection[str] | None,
    listened_seconds: float,
    exchange: str = "celeryev",
    asked: bool = True,
    judged_by_answers: bool = True,
) -> Iterator[Finding]:
    """Yield findings on the workers; on none there is nothing to say.

    ``turned_on``: whose task events were just turned on; None if nobody was asked to. ``exchange``:
    where this monitor listens. ``asked``: whether the workers could be asked now.
    ``judged_by_answers``: whether they will be regularly.
    """
    if not workers:
        return
    yield from _judge_answers(workers, asked=asked)
    yield from _judgelisted(workers)
    yield from _judge_receipt(workers, exchange)
    received = [worker for worker in workers if worker.events]
    yield from _judge_task_events(received, turned_on, listened_seconds)
    yield from _judge_formats(workers)
    yield from _judge_heartbeats(received, listened_seconds, judged_by_answers=judged_by_answers)
    yield from _judge_clocks(workers)


def _judge_answers(workers: Sequence[WorkerEvidence], *, asked: bool) -> Iterator[Finding]:
    if not asked:
        yield Finding(
            "workers",
            "ok",
            f"{len(workers)} send events: {listed([worker.hostname for worker in workers])}",
        )
        return
    answering = [worker.hostname for worker in workers if worker.answers]
    silent = [worker.hostname for worker in workers if not worker.answers]
    if answering:
        yield Finding("workers", "ok", f"{len(answering)} answer: {listed(answering)}")
    if silent:
        yield Finding(
            "workers",
            "warning",
            f"{len(silent)} send events but do not answer: {listed(silent)}",
            "Harmless if worker_enable_remote_control is off, the pool is solo and busy, or "
            "task_serializer is pickle: such answers are not read.",
        )


def _judgelisted(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    shared = [worker for worker in workers if worker.shared]
    if shared:
        proofs = listed([f"{worker.hostname} ({worker.shared})" for worker in shared])
        yield Finding(
            "worker names",
            "warning",
            f"several processes run under one name: {proofs}",
            "Start each with its own -n: celery -A proj worker -n worker1@%h\n"
            "In containers with one fixed hostname: -n worker-$RANDOM@%h",
        )


def _judge_receipt(workers: Sequence[WorkerEvidence], exchange: str) -> Iterator[Finding]:
    """Whoever answers is there; if no event of it comes, it cannot be monitored."""
    unreceived = [worker for worker in workers if worker.answers and not worker.events]
    elsewhere: dict[str | None, list[str]] = {}
    for worker in unreceived:
        other = worker.exchange if worker.exchange != exchange else None
        elsewhere.setdefault(other, []).append(worker.hostname)
    for other, hostnames in elsewhere.items():
        if other is None:
            yield Finding(
                "worker events",
                "failed",
                f"none came of any type, though they answer: {listed(hostnames)}",
                "Do they run with --without-heartbeat and --without-gossip? Start them with -E.\n"
                "Do their broker user's rights include publishing events?",
            )
        else:
            yield Finding(
                "worker events",
                "failed",
                f"sent to the exchange {other!r} by {listed(hostnames)}; "
                f"this monitor listens to {exchange!r}",
                f"Add --event-exchange {printable(other)}, or set event_exchange in the app.",
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
                f"turned on just now, until a restart, in {listed(sorted(turned_on))}",
                "For good: start workers with -E, or set worker_send_task_events = True.",
            )
        if already:
            yield Finding("task events", "ok", f"on already in {listed(already)}")
    others = [worker for worker in workers if worker.hostname not in enabled]
    sending = [worker for worker in others if worker.task_events or worker.configured]
    missing = [worker for worker in others if worker not in sending and worker.ran]
    unknown = [worker for worker in others if worker not in sending and worker not in missing]
    if sending:
        names = listed([worker.hostname for worker in sending])
        yield Finding("task events", "ok", f"sent by {names}")
    if missing:
        ran = listed([f"{worker.hostname} ran {worker.ran:,}" for worker in missing])
        yield Finding(
            "task events",
            "failed",
            f"NOT SENT by {listed([worker.hostname for worker in missing])}: {ran} "
            f"tasks in {listened_seconds:.0f} s and not one event came; they will not be counted",
            _TURN_ON + _TURN_ON_FROM_HERE * _any_answers(missing),
        )
    if unknown:
        yield Finding(
            "task events",
            "warning",
            f"not seen from {listed([worker.hostname for worker in unknown])}: no task ran there "
            f"in {listened_seconds:.0f} s, and Celery does not say whether -E was given",
            _TURN_ON + (_TURN_ON_FROM_HERE + _ASK_FOR_PROOF) * _any_answers(unknown),
        )


def _any_answers(workers: Sequence[WorkerEvidence]) -> bool:
    """Return whether one of them takes commands, such as to send events."""
    return any(worker.answers for worker in workers)


def _judge_formats(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    wrong = [worker.hostname for worker in workers if worker.serializer != "json"]
    if wrong:
        yield Finding(
            "event format",
            "failed",
            f"event_serializer is not json on {listed(wrong)}",
            "Remove event_serializer from the workers' configuration: json is the default.",
        )


def _judge_heartbeats(
    workers: Sequence[WorkerEvidence], listened_seconds: float, *, judged_by_answers: bool
) -> Iterator[Finding]:
    quiet = [worker for worker in workers if not worker.heartbeats]
    if not quiet:
        if workers:
            yield Finding("heartbeats", "ok", f"received from all {len(workers)}")
        return
    surely = listened_seconds >= _TWO_HEARTBEATS_SECONDS
    without = [worker.hostname for worker in quiet if worker.answers and surely]
    unknown = [worker.hostname for worker in quiet if worker.hostname not in without]
    if without:
        is_one = len(without) == 1
        they, their = ("it is", "its") if is_one else ("they are", "their")
        silence = (
            f"{listed(without)} {'sends' if is_one else 'send'} no heartbeats (--without-heartbeat)"
        )
        if judged_by_answers:
            yield Finding("heartbeats", "note", f"{silence}: {they} judged by {their} answers")
        else:
            yield Finding(
                "heartbeats",
                "warning",
                f"{silence}: {they} not judged, since probe_workers is off",
            )
    if unknown:
        yield Finding(
            "heartbeats",
            "warning",
            f"none in {listened_seconds:.0f} s from {listed(unknown)}",
            "A solo pool is silent while it works. Listen longer to be sure: --listen 30",
        )


def _judge_clocks(workers: Sequence[WorkerEvidence]) -> Iterator[Finding]:
    skews = {
        worker.hostname: worker.skew_seconds
        for worker in workers
        if worker.skew_seconds is not None
    }
    off = {name: skew for name, skew in skews.items() if abs(skew) > SKEW_WARNING_SECONDS}
    if off:
        shown = listed([f"{name} {skew:+.0f} s" for name, skew in off.items()])
        yield Finding(
            "worker clocks",
            "warning",
            f"our clock differs from {shown}; EventDelay and TaskQueueTime will be wrong",
            "Synchronise the machines' clocks (chrony, ntpd).",
        )
    elif skews:
        most = max(abs(skew) for skew in skews.values())
        yield Finding("worker clocks", "ok", f"within {most:.1f} s of ours")
