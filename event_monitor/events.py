"""Events: bytes in, typed events out. No Celery, no network, no state.

Events are untrusted input. Only the fields we count by are decoded, and strictly: arguments,
results and tracebacks are skipped by the parser without ever becoming Python objects. A body is
one event or, from real workers, a list of them; a bad event in a list is dropped alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, TypeAlias

import msgspec

from .errors import InvalidEvent

__all__ = [
    "CustomEvent",
    "Event",
    "TaskCancelled",
    "TaskEvent",
    "TaskFailed",
    "TaskReceived",
    "TaskRejected",
    "TaskRetried",
    "TaskRevoked",
    "TaskSent",
    "TaskStarted",
    "TaskSucceeded",
    "WorkerEvent",
    "WorkerHeartbeat",
    "WorkerOffline",
    "WorkerOnline",
    "decode",
    "epoch_of",
    "event_from_mapping",
    "exception_type",
]

MAX_BODY_BYTES = 16 * 1024 * 1024  # a full batch of 24 events with fat arguments is far below
MAX_NAME = 1_024  # characters of a name; Celery has no limit, a CloudWatch dimension has this

_LIST = ord("[")

OWN_EVENT = "event-monitor-check"  # what `check` sends to itself; never counted

_FAR_FUTURE = 32_503_680_000.0  # the year 3000; later timestamps are nonsense
Timestamp: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=_FAR_FUTURE)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=_FAR_FUTURE)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Event(msgspec.Struct, tag_field="type", frozen=True, gc=False, kw_only=True):
    hostname: Name  # the sender's nodename: celery@host, or gen123@host for a producer
    timestamp: Timestamp  # the sender's clock, seconds since the epoch
    pid: Counter | None = None


class TaskEvent(_Event, frozen=True, kw_only=True):
    """Something that happened to a task; ``hostname`` is the worker's unless it is sent."""

    uuid: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class TaskSent(TaskEvent, tag="task-sent", frozen=True, kw_only=True):
    """A producer published the task; only with ``task_send_sent_event``."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] | None = None
    queue: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] | None = None
    eta: str | None = None


class TaskReceived(TaskEvent, tag="task-received", frozen=True, kw_only=True):
    """A worker took the task from its queue."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] | None = None
    eta: str | None = None


class TaskStarted(TaskEvent, tag="task-started", frozen=True, kw_only=True):
    """A pool process began to run the task."""


class TaskSucceeded(TaskEvent, tag="task-succeeded", frozen=True, kw_only=True):
    """The task returned. ``runtime`` in seconds."""

    runtime: Seconds | None = None


class TaskFailed(TaskEvent, tag="task-failed", frozen=True, kw_only=True):
    """The task raised, was killed by a time limit, or lost its process."""

    exception: msgspec.Raw = msgspec.Raw(b"null")
    traceback: msgspec.Raw = msgspec.Raw(b"null")


class TaskRetried(TaskEvent, tag="task-retried", frozen=True, kw_only=True):
    """This run ended; the task will be received again."""


class TaskRevoked(TaskEvent, tag="task-revoked", frozen=True, kw_only=True):
    """The task was revoked before it ran, expired, or was terminated while it ran."""

    terminated: bool | None = None
    expired: bool | None = None


class TaskRejected(TaskEvent, tag="task-rejected", frozen=True, kw_only=True):
    """The task was rejected (``Reject``)."""

    requeue: bool | None = None


class TaskCancelled(TaskEvent, tag="task-cancelled", frozen=True, kw_only=True):
    """The worker lost its broker and gave up the running task, to be delivered again."""


class WorkerEvent(_Event, frozen=True, kw_only=True):
    """A worker speaking of itself. Replies to a ``heartbeat`` broadcast carry less."""

    freq: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    active: Counter | None = None
    processed: Counter | None = None
    loadavg: tuple[float, float, float] | None = None


class WorkerOnline(WorkerEvent, tag="worker-online", frozen=True, kw_only=True):
    """The worker is up (or its connection is up again)."""


class WorkerHeartbeat(WorkerEvent, tag="worker-heartbeat", frozen=True, kw_only=True):
    """The worker is alive; every ``freq`` seconds."""


class WorkerOffline(WorkerEvent, tag="worker-offline", frozen=True, kw_only=True):
    """The worker says goodbye."""


class CustomEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Any other type, such as an application's own. Nothing else of it is read."""

    type: Name


_Known: TypeAlias = (
    TaskSent
    | TaskReceived
    | TaskStarted
    | TaskSucceeded
    | TaskFailed
    | TaskRetried
    | TaskRevoked
    | TaskRejected
    | TaskCancelled
    | WorkerOnline
    | WorkerHeartbeat
    | WorkerOffline
)
Event: TypeAlias = _Known | CustomEvent

_KNOWN_TYPES = frozenset(
    f"{group}-{what}"
    for group, subjects in {
        "task": "sent received started succeeded failed retried revoked rejected cancelled",
        "worker": "online heartbeat offline",
    }.items()
    for what in subjects.split()
)

_decode_one: Callable[[bytes], _Known] = msgspec.json.Decoder(_Known).decode
_decode_list: Callable[[bytes], list[_Known]] = msgspec.json.Decoder(list[_Known]).decode
_decode_custom: Callable[[bytes | msgspec.Raw], CustomEvent] = msgspec.json.Decoder(
    CustomEvent
).decode
_split_list: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(body: bytes, *, on_invalid: Callable[[InvalidEvent], None]) -> list[Event]:
    """Decode one message body: a JSON event, or a JSON list of events.

    What is not an event goes to ``on_invalid``, once for each, and the rest is returned.
    Never raises, whatever the bytes.
    """
    try:
        if body[0] == _LIST:
            return _decode_list(body)  # type: ignore[return-value]  # Known is an Event
        return [_decode_one(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return list(_decode_slowly(body, on_invalid))


def _decode_slowly(body: bytes, on_invalid: Callable[[InvalidEvent], None]) -> list[Event]:
    """Take a body apart that is not wholly made of known, well-formed events."""
    if len(body) > MAX_BODY_BYTES:
        on_invalid(InvalidEvent("too large", f"{len(body):,} bytes"))
        return []
    try:
        parts: list[Any] = _split_list(body) if body.lstrip()[:1] == b"[" else [body]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        on_invalid(InvalidEvent("not JSON", str(error)))
        return []
    events: list[Event] = []
    for part in parts:
        try:
            events.append(_decode_single(part))
        except InvalidEvent as error:
            on_invalid(error)
    return events


def _decode_single(body: bytes | msgspec.Raw) -> Event:
    try:
        return _decode_one(body)
    except msgspec.ValidationError as error:
        reason = error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("not JSON", str(error)) from error
    try:
        custom = _decode_custom(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("not an event", str(error)) from error
    if custom.type in _KNOWN_TYPES:
        raise InvalidEvent("wrong field", str(reason)) from reason
    return custom


def event_from_mapping(fields: Mapping[str, Any]) -> Event:
    """Type an event that somebody else decoded, as ``State.event`` gets it from Celery.

    Raises ``InvalidEvent`` when it is none.
    """
    try:
        if fields.get("type") in _KNOWN_TYPES:
            kept = dict(fields)
            for unread in ("exception", "traceback"):
                kept[unread] = msgspec.Raw(msgspec.json.encode(str(kept.get(unread))))
            return msgspec.convert(kept, _Known)  # type: ignore[no-any-return]
        return msgspec.convert(fields, CustomEvent)
    except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidEvent("wrong field", str(error)) from error


def exception_type(event: TaskFailed) -> str:
    """The class name of what a failed task raised, such as ``ValueError``.

    Celery sends ``repr(exception)``; for a lost process or a hard time limit that is the literal
    ``ExceptionWithTraceback()``, and the class stands in the last line of the traceback.
    """
    text = _text(event.exception)
    if not text or text.startswith("ExceptionWithTraceback"):
        lines = _text(event.traceback).strip().splitlines()
        text = lines[-1] if lines else ""
    name = text.partition("(")[0].partition(":")[0].strip().rpartition(".")[2]
    return name if name.isidentifier() and len(name) <= MAX_NAME else "unknown"


def _text(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        return ""


def epoch_of(iso: object) -> float | None:
    """An eta as Celery writes it, in seconds since the epoch; without a zone it is UTC."""
    if not isinstance(iso, str):
        return None
    try:
        moment = datetime.fromisoformat(iso.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
