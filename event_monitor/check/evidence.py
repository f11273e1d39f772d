"""Evidence: what answers and events prove of each worker. Pure.

No read-only command reports whether a worker was started with -E: ``inspect`` shows the
configuration, which the flag does not change, and stats and heartbeats are the same with and
without it. So the evidence is what is received: a task event proves it, and a worker whose
heartbeats count tasks while none of its task events come disproves it. An idle worker stays
unknown, unless it is asked to turn task events on: its reply says whether they were off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from ..events import CustomEvent, TaskEvent, WorkerEvent, software_version
from .listener import ReceivedEvent

__all__ = ["WorkerEvidence", "evidence_of"]

_SHORT_GAP = 0.75  # of a heartbeat's period; one process never sends the next one so early


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvidence:
    """What is known of one worker.

    ``events``: how many came of any type. ``ran``: how far its heartbeats' ``processed`` grew; None
    when no two came of one process. ``shared``: the proof that several live processes have its
    name. ``skew_seconds``: our clock minus its own, at the freshest event.
    """

    hostname: str
    answers: bool = False
    configured: bool = False  # worker_send_task_events
    serializer: str = "json"
    exchange: str | None = None  # event_exchange
    events: int = 0
    heartbeats: int = 0
    task_events: int = 0
    ran: int | None = None
    shared: str = ""
    skew_seconds: float | None = None
    version: str = ""  # Celery's, as it says itself


@dataclass(slots=True)
class _Seen:
    """The events of one worker, as they came."""

    beats: list[WorkerEvent] = field(default_factory=list)  # with counts, so not asked for
    events: int = 0
    task_events: int = 0
    skew_seconds: float | None = None
    version: str = ""


def evidence_of(
    configurations: Mapping[str, object],
    received: Sequence[ReceivedEvent],
    *,
    until: float,
    replies: Mapping[str, int] | None = None,
) -> tuple[WorkerEvidence, ...]:
    """Join the replies to ``inspect conf`` and the events into one record per worker.

    Heartbeats later than ``until`` are left out, since the task events that belong to them may
    still be on their way. ``replies``: how many came to one question, by nodename.
    """
    seen: dict[str, _Seen] = {}
    for each in received:
        event = each.event
        if isinstance(event, CustomEvent) or event.type == "task-sent":  # a producer's
            continue
        worker = seen.setdefault(event.hostname, _Seen())
        worker.events += 1
        if isinstance(event, TaskEvent):
            worker.task_events += 1
            continue
        worker.version = software_version(event) or worker.version
        if event.processed is not None and each.received_at <= until:
            worker.beats.append(event)
        skew = each.received_at - event.timestamp
        if worker.skew_seconds is None or abs(skew) < abs(worker.skew_seconds):
            worker.skew_seconds = skew
    return tuple(
        _evidence(
            hostname,
            configurations.get(hostname),
            seen.get(hostname, _Seen()),
            answers=hostname in configurations,
            replies=(replies or {}).get(hostname, 0),
        )
        for hostname in sorted({*configurations, *seen})
    )


def _evidence(
    hostname: str, configuration: object, seen: _Seen, *, answers: bool, replies: int
) -> WorkerEvidence:
    conf = configuration if isinstance(configuration, Mapping) else {}
    shared = proof_of_sharing(seen.beats, replies=replies)
    exchange = conf.get("event_exchange")
    return WorkerEvidence(
        hostname=hostname,
        answers=answers,
        configured=bool(conf.get("worker_send_task_events")),
        serializer=str(conf.get("event_serializer") or "json"),
        exchange=exchange if isinstance(exchange, str) else None,
        events=seen.events,
        heartbeats=len(seen.beats),
        task_events=seen.task_events,
        ran=_ran(seen.beats, are_shared=bool(shared)),
        shared=shared,
        skew_seconds=seen.skew_seconds,
        version=seen.version,
    )


def proof_of_sharing(beats: Sequence[WorkerEvent], *, replies: int) -> str:
    """Return what proves that several live processes send these beats; empty if nothing does.

    Processes of containers all have pid 1: then only their counts of tasks differ, or they beat
    more often than one process does. A restart proves nothing: it begins with a worker-online.
    """
    if replies > 1:
        return f"{replies} processes answer"
    turns = [pid for pid, _ in groupby(beat.pid for beat in _without_drained(beats))]
    back = next((pid for place, pid in enumerate(turns) if pid in turns[:place]), None)
    if back is not None:
        pids = sorted({pid for pid in turns if pid is not None})
        return f"pids {' and '.join(map(str, pids[:2]))} take turns"
    for life in _lives(beats):
        counts = [beat.processed or 0 for beat in life]
        if _falls_and_rises_again(counts):
            return f"its count of tasks goes from {counts[0]:,} down and up again"
        gaps = [after.timestamp - before.timestamp for before, after in pairwise(life)]
        short = [
            gap
            for gap, beat in zip(gaps, life[1:], strict=True)
            if beat.freq is not None and 0 <= gap < beat.freq * _SHORT_GAP
        ]
        if len(short) > 1:
            return f"{len(life)} heartbeats within {life[-1].timestamp - life[0].timestamp:.0f} s"
    return ""


def _without_drained(beats: Sequence[WorkerEvent]) -> Iterator[WorkerEvent]:
    """Leave out the beats of a process that said goodbye: gevent goes on until its tasks end."""
    gone: set[int | None] = set()
    for beat in beats:
        if beat.type == "worker-offline":
            gone.add(beat.pid)
        elif beat.type == "worker-online":
            gone.discard(beat.pid)
        if beat.pid not in gone:
            yield beat


def _lives(beats: Sequence[WorkerEvent]) -> list[list[WorkerEvent]]:
    """Return the heartbeats of each process, apart: one life ends where the next says hello."""
    lives: dict[int | None, list[list[WorkerEvent]]] = {}
    for beat in beats:
        of_pid = lives.setdefault(beat.pid, [[]])
        if beat.type == "worker-heartbeat":
            of_pid[-1].append(beat)
        else:
            of_pid.append([beat] if beat.type == "worker-online" else [])
    return [life for of_pid in lives.values() for life in of_pid if life]


def _falls_and_rises_again(counts: Sequence[int]) -> bool:
    """Return whether a count falls, and later is as high as before: one process only counts up."""
    highest = fallen_from = -1
    for count in counts:
        if 0 <= fallen_from <= count:
            return True
        if count < highest:
            fallen_from = highest
        highest = max(highest, count)
    return False


def _ran(beats: Sequence[WorkerEvent], *, are_shared: bool) -> int | None:
    """Return how many tasks were begun while the beats came; None if they do not tell."""
    lives = [[beat.processed or 0 for beat in life] for life in _lives(beats)]
    if not any(len(counts) > 1 for counts in lives):
        return None
    if are_shared and any(counts != sorted(counts) for counts in lives):
        return None  # several processes with one pid: nobody knows whose count it is
    return sum(max(0, after - before) for counts in lives for before, after in pairwise(counts))
