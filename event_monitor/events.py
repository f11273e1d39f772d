"""Events: bytes in, typed events out. No Celery, no network, no state.

Events are untrusted input. Only the fields we count by are decoded, and strictly: arguments,
results and tracebacks are skipped by the parser without ever becoming Python objects. A body is
one event or, from real workers, a list of them; a bad event in a list is dropped alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import msgspec

from .errors import InvalidEvent

__all__ = [
    "TASK_TYPES",
    "WORKER_TYPES",
    "CustomEvent",
    "Event",
    "TaskEvent",
    "WorkerEvent",
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
AnyName: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_NULL = msgspec.Raw(b"null")

# An escaped backslash or a whole pair, which stay, or half a character, as Python's JSON writes
# what a strange file name holds. A traceback may have one, and msgspec then refuses all that is
# in the body; of a byte that is no UTF-8 it takes notice only in the fields that are read.
_HALF_CHARACTER = re.compile(
    rb"(\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|\\u[dD][89a-fA-F]\w\w"
)


TaskType: TypeAlias = Literal[
    "task-sent",  # a producer published it; only with task_send_sent_event
    "task-received",  # a worker took it from its queue
    "task-started",  # a pool process began to run it
    "task-succeeded",  # it returned
    "task-failed",  # it raised, was killed by a time limit, or lost its process
    "task-retried",  # this run ended; it will be received again
    "task-revoked",  # it was revoked before it ran, expired, or was terminated while it ran
    "task-rejected",  # it raised Reject
    "task-cancelled",  # its worker lost the broker and gave it up, to be delivered again
]
WorkerType: TypeAlias = Literal[
    "worker-online",  # it is up, or its connection is up again
    "worker-heartbeat",  # it is alive; every ``freq`` seconds
    "worker-offline",  # it says goodbye
]
TASK_TYPES: frozenset[str] = frozenset(get_args(TaskType))
WORKER_TYPES: frozenset[str] = frozenset(get_args(WorkerType))


class TaskEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something that happened to a task; what its type has no field for is as it is here.

    One class for all types, with its fields in the order of the wire: so it is decoded in three
    quarters of the time that a union takes, whose tag stands last on the wire.
    """

    hostname: Name  # the sender's nodename: celery@host, or gen123@host for a producer
    pid: Counter | None = None
    uuid: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    name: AnyName | None = None  # sent, received
    runtime: Seconds | None = None  # succeeded
    eta: str | None = None  # sent, received
    queue: AnyName | None = None  # sent
    exception: msgspec.Raw = _NULL  # failed
    traceback: msgspec.Raw = _NULL
    terminated: bool | None = None  # revoked
    expired: bool | None = None
    requeue: bool | None = None  # rejected
    timestamp: Timestamp  # the sender's clock, seconds since the epoch
    type: TaskType


class WorkerEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A worker speaking of itself. Replies to a ``heartbeat`` broadcast carry less."""

    hostname: Name
    pid: Counter | None = None
    freq: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    active: Counter | None = None
    processed: Counter | None = None
    loadavg: tuple[float, float, float] | None = None
    timestamp: Timestamp
    type: WorkerType


class CustomEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Any other type, such as an application's own. Nothing else of it is read."""

    type: Name
    hostname: ClassVar[str] = ""


Event: TypeAlias = TaskEvent | WorkerEvent | CustomEvent

_Body: TypeAlias = bytes | msgspec.Raw
_decode_tasks: Callable[[_Body], list[TaskEvent]] = msgspec.json.Decoder(list[TaskEvent]).decode
_decode_task: Callable[[_Body], TaskEvent] = msgspec.json.Decoder(TaskEvent).decode
_decode_worker: Callable[[_Body], WorkerEvent] = msgspec.json.Decoder(WorkerEvent).decode
_decode_custom: Callable[[_Body], CustomEvent] = msgspec.json.Decoder(CustomEvent).decode
_split_list: Callable[[_Body], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(bodies: Iterable[bytes], *, on_invalid: Callable[[InvalidEvent], None]) -> list[Event]:
    """Decode message bodies, each a JSON event or a JSON list of events.

    What is not an event goes to ``on_invalid``, once for each, and the rest is returned, in order.
    Never raises, whatever the bytes.
    """
    events: list[Event] = []
    for body in bodies:
        try:
            if body[0] == _LIST:  # task events of real workers
                events += _decode_tasks(body)
            else:
                events.append(_decode_one(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidEvent, IndexError):
            events += _decode_slowly(body, on_invalid)
    return events


def _decode_slowly(body: bytes, on_invalid: Callable[[InvalidEvent], None]) -> Iterator[Event]:
    """Take a body apart that is not wholly made of well-formed task events."""
    if len(body) > MAX_BODY_BYTES:
        on_invalid(InvalidEvent("too large", f"{len(body):,} bytes"))
        return
    body = _HALF_CHARACTER.sub(lambda found: found[1] or b"\xff", body)
    try:
        parts: list[Any] = _split_list(body) if body.lstrip()[:1] == b"[" else [body]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        on_invalid(InvalidEvent("not JSON", str(error)))
        return
    for part in parts:
        try:
            yield _decode_one(part)
        except InvalidEvent as error:
            on_invalid(error)


def _decode_one(body: _Body) -> Event:
    """One event, whatever its type. Raises ``InvalidEvent``."""
    try:
        event = _decode_custom(body)
    except msgspec.ValidationError as error:
        raise InvalidEvent("not an event", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("not JSON", str(error)) from error
    try:
        if event.type in TASK_TYPES:
            return _decode_task(body)
        if event.type in WORKER_TYPES:
            return _decode_worker(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("wrong field", str(error)) from error
    return event


def event_from_mapping(fields: Mapping[str, Any]) -> Event:
    """Type an event that somebody else decoded, as ``State.event`` gets it from Celery.

    Raises ``InvalidEvent`` when it is none.
    """
    try:
        if fields["type"] in WORKER_TYPES:
            return msgspec.convert(fields, WorkerEvent)
        if fields["type"] not in TASK_TYPES:
            return msgspec.convert(fields, CustomEvent)
        kept = dict(fields)
        for unread in kept.keys() & {"exception", "traceback"}:
            text = kept[unread] if isinstance(kept[unread], str) else ""
            text = text.encode("utf-8", "replace").decode()
            kept[unread] = msgspec.Raw(msgspec.json.encode(text))
        return msgspec.convert(kept, TaskEvent)
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidEvent("wrong field", str(error)) from error


def exception_type(event: TaskEvent) -> str:
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
    except (msgspec.MsgspecError, UnicodeDecodeError):  # nobody has looked at it before
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
