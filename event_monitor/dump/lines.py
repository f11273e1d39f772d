"""Lines: an event as one line for people, or as one JSON object for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

from ..events import (
    CustomEvent,
    DetailedTaskEvent,
    Event,
    TaskEvent,
    WorkerEvent,
    exception_type,
)
from ..quantities import UNKNOWN
from ..redaction import without_secrets
from ..state.place import place_of
from ..text import printable
from .known_tasks import KnownTask

__all__ = ["as_json", "as_text"]

_RAISED = ("task-failed", "task-retried")
_DETAILS = ("args", "kwargs", "result")


def as_text(event: Event, known: KnownTask, *, at: float, with_details: bool) -> str:
    """Return one line; with details further ones, indented. ``at`` is when it arrived.

    Every name in it is escaped, and what looks like a secret is masked.
    """
    if isinstance(event, CustomEvent):
        return f"{_local(at)} {printable(event.type)}"
    if isinstance(event, WorkerEvent):
        facts = ", ".join(_worker_facts(event))
        said = f"{event.type} {event.hostname}{f': {facts}' if facts else ''}"
        return f"{_local(event.timestamp)} {printable(said)}"
    by = "by" if event.type == "task-sent" else "on"
    facts = ", ".join(_task_facts(event, known))
    said = f"{event.type:<14} {known.name or UNKNOWN}[{event.uuid}] {by} {event.hostname}"
    line = f"{_local(event.timestamp)} {printable(said)}{f': {printable(facts)}' if facts else ''}"
    details = _details(event) if with_details else {}
    return "\n".join([line, *_detail_lines(details)])


def as_json(event: Event, known: KnownTask, *, at: float, with_details: bool) -> str:
    """Return the event as JSON on one line, in ASCII, without what it does not say."""
    document: dict[str, object] = {"type": event.type, "received": _utc(at)}
    if not isinstance(event, CustomEvent):
        document |= {"time": _utc(event.timestamp), "hostname": event.hostname, "pid": event.pid}
    if isinstance(event, WorkerEvent):
        document |= {
            "active": event.active,
            "processed": event.processed,
            "loadavg": event.loadavg,
            "freq": event.freq,
        }
    elif isinstance(event, TaskEvent):
        has_raised = event.type in _RAISED
        document |= {
            "task": known.name,
            "uuid": event.uuid,
            "queue": known.queue,
            "retries": event.retries,
            "eta": event.eta,
            "runtime": event.runtime,
            "exception_type": exception_type(event) if has_raised else None,
            "place": place_of(event.traceback) if has_raised else None,
            "terminated": event.terminated,
            "expired": event.expired,
            "requeue": event.requeue,
        }
        document |= _details(event) if with_details else {}
    return json.dumps({key: value for key, value in document.items() if value is not None})


def _worker_facts(event: WorkerEvent) -> Iterator[str]:
    if event.active is not None:
        yield f"{event.active:,} active"
    if event.processed is not None:
        yield f"{event.processed:,} processed"
    if event.loadavg is not None:
        yield f"load {event.loadavg[0]:g}"


def _task_facts(event: TaskEvent, known: KnownTask) -> Iterator[str]:
    if event.type in _RAISED:
        place = place_of(event.traceback)
        yield exception_type(event) + (f" at {place}" if place else "")
    if event.runtime is not None:
        yield f"in {event.runtime:.3g} s"
    if event.type in ("task-sent", "task-received") and known.queue:
        yield f"queue {known.queue}"
    if event.eta:
        yield f"eta {event.eta}"
    if event.retries:
        yield f"retry {event.retries:,}"
    for is_so, word in (
        (event.terminated, "terminated"),
        (event.expired, "expired"),
        (event.requeue, "requeued"),
    ):
        if is_so:
            yield word


def _details(event: TaskEvent) -> dict[str, str]:
    """Return the texts that an event carries, without secrets: reprs that Celery has cut."""
    raw = {"exception": event.exception, "traceback": event.traceback}
    if isinstance(event, DetailedTaskEvent):
        raw = {name: getattr(event, name) for name in _DETAILS} | raw
    texts = {name: _text(value) for name, value in raw.items()}
    return {name: without_secrets(text) for name, text in texts.items() if text}


def _detail_lines(details: dict[str, str]) -> Iterator[str]:
    for name, text in details.items():
        first, *rest = text.rstrip().split("\n")
        yield f"    {name}: {printable(first)}"
        yield from (f"    {printable(line)}" for line in rest)


def _text(raw: msgspec.Raw) -> str:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _local(at: float) -> str:
    moment = datetime.fromtimestamp(at)  # noqa: DTZ006  of this machine, as its clocks show it
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1_000:03}"


def _utc(at: float) -> str:
    moment = datetime.fromtimestamp(at, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
