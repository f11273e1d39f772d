"""Events: bytes in, typed events out. No Celery, no network, no state.

Events are untrusted input. Only the fields that are counted by are decoded, and strictly. The
parser skips arguments and results without making Python objects of them; the text of an exception
and its traceback stay undecoded until ``exception_type`` needs them. A body is one event or, from
real workers, a list of them; an invalid event in a list is dropped alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from .errors import InvalidEvent

__all__ = [
    "FROM_WORKERS",
    "OWN_EVENT",
    "TASK_TYPES",
    "WORKER_TYPES",
    "Alive",
    "CustomEvent",
    "Dead",
    "DetailedTaskEvent",
    "Event",
    "EventFields",
    "OwnEvent",
    "Past",
    "RelatedTaskEvent",
    "TaskEvent",
    "WorkerEvent",
    "WorkerFacts",
    "decode",
    "decode_fields",
    "epoch_of",
    "event_from_mapping",
    "exception_type",
    "is_rejection",
    "software_version",
    "without_body",
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
# Of what is kept once for each task in flight, no more than brokers and databases take for a name.
_Nodename: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_QueueName: TypeAlias = Annotated[str, msgspec.Meta(max_length=255)]
_Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_RelativeId: TypeAlias = Annotated[str, msgspec.Meta(max_length=255)]
_Eta: TypeAlias = Annotated[str, msgspec.Meta(max_length=100)]  # ISO 8601 has 32
Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_LONGEST_VERSION = 20  # characters
_MOST_QUEUES = 2_000  # that one worker reads
# Of a list that is taken apart: of each item it takes 70 bytes. Celery sends 24 events at a time.
_MOST_COMMAS = 1_000_000

_NULL = msgspec.Raw(b"null")
_REJECT = b'"reject requeue=False'  # how the repr of celery.exceptions.Reject begins
_BEGINS_WITH_CLASS = re.compile(r"[^\W\d][\w.]*(\(|$)")
_TRACEBACK = "Traceback (most recent call last):"

# Group 1 is what stays: an escaped backslash or a surrogate pair. Otherwise it is a lone surrogate:
# Python reads each undecodable byte of a file name as one, and its JSON writes it as an escape. If
# a traceback has one, msgspec refuses the whole body, even though it skips that field; an invalid
# UTF-8 byte it refuses only in the fields that it decodes. So one is replaced with the other.
_LONE_SURROGATE = re.compile(
    rb"(\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|\\u[dD][89a-fA-F]\w\w"
)

# Group 1 is a number that JSON does not have and Python's writes; texts are skipped whole.
_NOT_A_NUMBER = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(-?(?:NaN|Infinity))\b', re.DOTALL)


TaskType: TypeAlias = Literal[
    "task-sent",  # a producer published it; only with task_send_sent_event
    "task-received",  # a worker took it from its queue
    "task-started",  # a pool process began to run it
    "task-succeeded",  # it returned
    "task-failed",  # it raised, was killed by a time limit, or lost its process
    "task-retried",  # this run ended; the task is published and received again
    "task-revoked",  # it was revoked before it ran, expired, or was terminated while it ran
    "task-rejected",  # it raised Reject
    "task-cancelled",  # its worker lost the broker and stopped it; it will be delivered again
]
WorkerType: TypeAlias = Literal[
    "worker-online",  # it is up, or its connection is up again
    "worker-heartbeat",  # it is alive; every ``freq`` seconds
    "worker-offline",  # it shuts down gracefully
]
TASK_TYPES: frozenset[str] = frozenset(get_args(TaskType))
FROM_WORKERS = TASK_TYPES - {"task-sent"}  # a producer sends that
WORKER_TYPES: frozenset[str] = frozenset(get_args(WorkerType))


class TaskEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something that happened to a task.

    The fields below are decoded, and no others. Where a comment names types, only these send the
    field; in an event of another type it has its default. ``exception`` and ``traceback`` are raw
    JSON, not validated; see ``exception_type``.

    The trick: one class for all types, with its fields in the order of the wire, is decoded in
    three quarters of the time of a tagged union, because the tag, ``type``, comes last on the wire.
    """

    hostname: _Nodename  # the sender's: celery@host, or gen123@host for a producer
    pid: Counter | None = None
    uuid: _Id
    name: AnyName | None = None  # sent, received
    retries: Counter | None = None  # sent, received: of this delivery, 0 at first
    runtime: Seconds | None = None  # succeeded
    eta: _Eta | None = None  # sent, received
    queue: _QueueName | None = None  # sent
    exception: msgspec.Raw = _NULL  # failed, retried
    traceback: msgspec.Raw = _NULL  # failed, retried
    terminated: bool | None = None  # revoked
    expired: bool | None = None  # revoked
    requeue: bool | None = None  # rejected
    sent_at: Timestamp | None = None  # started: by the producer's clock; only from our dispatcher
    timestamp: Timestamp  # the sender's clock, seconds since the epoch
    type: TaskType


class RelatedTaskEvent(TaskEvent, frozen=True, gc=False, kw_only=True):
    """The same with the tasks that it descends from, which are decoded only for a history."""

    root_id: _RelativeId | None = None  # sent, received: the first of all; its own id, if it is
    parent_id: _RelativeId | None = None  # sent, received: the one that called it, or came before


class DetailedTaskEvent(RelatedTaskEvent, frozen=True, gc=False, kw_only=True):
    """The same with what is decoded only if asked for: raw JSON, not validated."""

    args: msgspec.Raw = _NULL  # sent, received: their repr, which Celery cuts
    kwargs: msgspec.Raw = _NULL  # the same
    result: msgspec.Raw = _NULL  # succeeded: its repr


class WorkerFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a worker that sends its events over SQS adds to a heartbeat. None: it does not know.

    The fields are as in ``survey.WorkerAnswer``, but for ``memory_bytes``, which is the resident
    memory of the main process and its pool, and ``silent``: how many of ``processed`` were of tasks
    that send no events on purpose.
    """

    active: Counter | None = None
    reserved: Counter | None = None
    scheduled: Counter | None = None
    revoked: Counter | None = None
    silent: Counter | None = None
    pool_processes: Counter | None = None
    memory_bytes: Counter | None = None
    prefetch_count: Counter | None = None
    queues: Annotated[tuple[_QueueName, ...], msgspec.Meta(max_length=_MOST_QUEUES)] | None = None
    is_solo: bool | None = None
    start_interval_seconds: Seconds | None = None


class WorkerEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a worker reports of itself.

    The fields below are decoded, and no others. The reply to a ``heartbeat`` broadcast is a
    heartbeat without ``active``, ``processed`` and ``loadavg``. Wrong ``facts`` are none.
    ``is_last``: a goodbye that was said before, said again as Celery closes its dispatcher: when
    the pool has ended, or when it connects again.
    """

    hostname: _Nodename
    pid: Counter | None = None
    freq: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    active: Counter | None = None
    processed: Counter | None = None
    loadavg: tuple[float, float, float] | None = None
    sw_ver: msgspec.Raw = _NULL  # raw JSON, not validated; see ``software_version``
    facts: WorkerFacts | None = None
    is_last: bool = False
    timestamp: Timestamp
    type: WorkerType


class CustomEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An event of any other type, such as an application's own. Only its type is decoded."""

    type: Name
    hostname: ClassVar[str] = ""


#: A process that went silent: its nodename, its pid if that is known, for how many seconds, when
#: its last heartbeat was by its own clock, the id of this death, and whether an earlier window has
#: it.
Dead: TypeAlias = tuple[_Nodename, int | None, Seconds, Timestamp, AnyName, bool]


#: A process that is online, as far as its sender knows: its nodename, its pid if that is known, the
#: seconds between its heartbeats, how many tasks it had begun by the last of them, for how many
#: seconds it has been silent, and when that was by its own clock.
Alive: TypeAlias = tuple[
    _Nodename,
    Counter | None,
    Annotated[float, msgspec.Meta(gt=0, le=86_400)],
    Counter,
    Seconds,
    Timestamp,
]


class Past(NamedTuple):
    """What a monitor that was not there does not know: who died, and who may die."""

    dead: tuple[Dead, ...] = ()
    alive: tuple[Alive, ...] = ()


class OwnEvent(CustomEvent, frozen=True, gc=False, kw_only=True):
    """What a monitor sends to itself and to those that would publish the same; never counted.

    ``monitors`` are those it is for, by the name of their lease, and ``sender`` the one it is from.
    ``window`` is the id of a window: of the one that ends here, or that was sent. ``through``: the
    last cut that the sender saw before, or the last one of a leader as the window that was sent
    began. ``unsettled``: the windows that were not accepted then; ``opened``: the cut at which the
    sender's window began, if it began at one. ``dead``: the processes that are lost in the window
    that ends here; None if each monitor judges for itself. ``alive``: others, some of whom may have
    died just now. ``old``: the sender has noticed a monitor of a version that asks for no lock.
    ``interval`` is the sender's; ``led`` the last cut of a leader that it knows. ``parts``: the
    cuts after which it was cut off, in windows that were not accepted.
    """

    monitors: AnyName = ""
    sender: AnyName = ""
    what: AnyName = ""  # ask, join, here, cut, sending, accepted, unsent, left
    window: AnyName = ""
    role: AnyName = ""
    who: AnyName = ""  # the sender, for people
    through: AnyName = ""
    opened: AnyName = ""
    unsettled: tuple[AnyName, ...] = ()
    dead: tuple[Dead, ...] | None = None
    alive: tuple[Alive, ...] = ()
    old: bool = False
    interval: Seconds = 0.0
    led: AnyName = ""
    parts: tuple[AnyName, ...] = ()


Event: TypeAlias = TaskEvent | WorkerEvent | CustomEvent


class EventFields(dict[str, Any]):
    """All fields of one event, as Celery's receiver hands them to handlers. It is counted already.

    But for ``timestamp``, which is the sender's: Celery shifts it by the difference of time zones.
    """


_Body: TypeAlias = bytes | msgspec.Raw
_Decoders: TypeAlias = tuple[
    Callable[[_Body], Sequence[TaskEvent]],  # of a list
    Callable[[_Body], TaskEvent],
]
_DECODERS: Mapping[type[TaskEvent], _Decoders] = {
    TaskEvent: (
        msgspec.json.Decoder(list[TaskEvent]).decode,
        msgspec.json.Decoder(TaskEvent).decode,
    ),
    RelatedTaskEvent: (
        msgspec.json.Decoder(list[RelatedTaskEvent]).decode,
        msgspec.json.Decoder(RelatedTaskEvent).decode,
    ),
    DetailedTaskEvent: (
        msgspec.json.Decoder(list[DetailedTaskEvent]).decode,
        msgspec.json.Decoder(DetailedTaskEvent).decode,
    ),
}
_decode_usual = _DECODERS[TaskEvent][1]
_decode_worker: Callable[[_Body], WorkerEvent] = msgspec.json.Decoder(WorkerEvent).decode
_decode_custom: Callable[[_Body], CustomEvent] = msgspec.json.Decoder(CustomEvent).decode
_split_fields: Callable[[_Body], dict[str, msgspec.Raw]] = msgspec.json.Decoder(
    dict[str, msgspec.Raw]
).decode
_decode_own: Callable[[_Body], OwnEvent] = msgspec.json.Decoder(OwnEvent).decode
_split_list: Callable[[_Body], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(
    bodies: Iterable[bytes],
    *,
    on_invalid: Callable[[InvalidEvent], None],
    task_event: type[TaskEvent] = TaskEvent,
    own_at: list[int] | None = None,
) -> list[Event]:
    """Decode message bodies, each a JSON event or a JSON list of events, and keep their order.

    Calls ``on_invalid`` once for each invalid event and leaves it out. Never raises, whatever the
    bytes. ``task_event`` is what events of tasks are decoded to, and so how much of them.
    ``own_at`` gets the places of each ``OwnEvent``; they cost nothing where there is none.
    """
    decoders = _DECODERS[task_event]
    decode_tasks = decoders[0]
    events: list[Event] = []

    def note_own() -> None:
        if own_at is not None:
            own_at.append(len(events))

    for body in bodies:
        try:
            if body[0] == _LIST:  # the fast path: a list of task events, as real workers send it
                events += decode_tasks(body)
            else:
                events.append(_decode_one(body, decoders, note_own))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidEvent, IndexError):
            events += _decode_one_by_one(body, decoders, on_invalid)
    return events


def _decode_one_by_one(
    body: bytes, decoders: _Decoders, on_invalid: Callable[[InvalidEvent], None]
) -> Iterator[Event]:
    """Decode each event of a body by itself: not all of them are valid task events."""
    for part in _parts(body, on_invalid):
        try:
            yield _decode_one(part, decoders)
        except InvalidEvent as error:
            on_invalid(error)


def _parts(body: bytes, on_invalid: Callable[[InvalidEvent], None]) -> Sequence[_Body]:
    """Return the events of a body, each by itself and not decoded yet."""
    if len(body) > MAX_BODY_BYTES:
        on_invalid(InvalidEvent("too large", f"{len(body):,} bytes"))
        return ()
    surrogates = (found.span() for found in _LONE_SURROGATE.finditer(body) if not found[1])
    body = _replaced(body, surrogates, b"\xff")
    if b"NaN" in body or b"Infinity" in body:
        numbers = (found.span() for found in _NOT_A_NUMBER.finditer(body) if found[1])
        body = _replaced(body, numbers, b"null")
    is_list = body.lstrip()[:1] == b"["
    if is_list and body.count(b",") > _MOST_COMMAS:
        on_invalid(InvalidEvent("too large", f"a list with more than {_MOST_COMMAS:,} commas"))
        return ()
    try:
        return _split_list(body) if is_list else [body]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        on_invalid(InvalidEvent("not JSON", str(error)))
        return ()


def _replaced(body: bytes, spans: Iterable[tuple[int, int]], text: bytes) -> bytes:
    """Replace these spans with the text; of millions, none is kept meanwhile."""
    replaced, kept = bytearray(), 0
    for start, end in spans:
        replaced += body[kept:start]
        replaced += text
        kept = end
    return bytes(replaced + body[kept:]) if kept else body


def decode_fields(
    bodies: Iterable[bytes], *, is_wanted: Callable[[Event], bool]
) -> Iterator[EventFields]:
    """Decode those events whole that are valid and wanted, for handlers that index their fields.

    It takes several times as long as ``decode``, which has to be asked what is invalid.
    """
    for body in bodies:
        for part in _parts(body, lambda _: None):
            try:
                event = _decode_one(part, _DECODERS[TaskEvent])
                if is_wanted(event):
                    text = bytes(part).decode("utf-8", "replace")  # as of a file's name, see above
                    yield EventFields(msgspec.json.decode(text))
            except (InvalidEvent, msgspec.MsgspecError, RecursionError):
                continue


def _decode_one(
    body: _Body, decoders: _Decoders, note_own: Callable[[], None] = lambda: None
) -> Event:
    """Decode one event, whatever its type. Raises ``InvalidEvent``.

    ``note_own`` is called before an ``OwnEvent`` is returned.
    """
    try:
        event = _decode_custom(body)
    except msgspec.ValidationError as error:
        raise InvalidEvent("not an event", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("not JSON", str(error)) from error
    try:
        if event.type in TASK_TYPES:
            try:
                return decoders[1](body)
            except msgspec.ValidationError:  # what is decoded only if asked for costs no event
                return _decode_usual(body)
        if event.type in WORKER_TYPES:
            try:
                return _decode_worker(body)
            except msgspec.ValidationError:  # nor does what few workers add
                return _decode_worker(_without_facts(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("wrong field", str(error)) from error
    if event.type == OWN_EVENT:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            event = _decode_own(body)
            note_own()
    return event


def _without_facts(body: _Body) -> bytes:
    fields = _split_fields(body)
    fields.pop("facts", None)
    return msgspec.json.encode(fields)


def event_from_mapping(fields: Mapping[str, object]) -> Event:
    """Convert an event that is a dictionary already, as Celery's own receiver decodes it.

    Raises ``InvalidEvent`` if it is not a valid event.
    """
    try:
        if fields["type"] not in TASK_TYPES | WORKER_TYPES:
            return msgspec.convert(fields, CustomEvent)
        kept = dict(fields)
        for name in kept.keys() & {"exception", "traceback", "sw_ver"}:
            kept[name] = _raw_text(kept[name])
        if kept["type"] in WORKER_TYPES:
            try:
                return msgspec.convert(kept, WorkerEvent)
            except msgspec.ValidationError:
                return msgspec.convert({**kept, "facts": None}, WorkerEvent)
        return msgspec.convert(kept, TaskEvent)
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidEvent("wrong field", str(error)) from error


def _raw_text(value: object) -> msgspec.Raw:
    """Encode a text as the raw JSON that ``TaskEvent`` keeps; anything else as an empty one."""
    text = value if isinstance(value, str) else ""
    without_surrogates = text.encode("utf-8", "replace").decode()
    return msgspec.Raw(msgspec.json.encode(without_surrogates))


def software_version(event: WorkerEvent) -> str:
    """Return the version of Celery that a worker says it is, such as ``5.7.0``; else empty."""
    return _text(event.sw_ver)[:_LONGEST_VERSION]


def without_body(event: TaskEvent) -> TaskEvent:
    """Return the event as it is to be kept for a while: it says the same of its exception.

    A raw field keeps the whole body in memory that the event came in.
    """
    if event.exception is _NULL and event.traceback is _NULL:
        return event
    exception = _REJECT + b'"' if is_rejection(event) else _raw_text(f"{exception_type(event)}()")
    return msgspec.structs.replace(event, exception=msgspec.Raw(exception), traceback=_NULL)


def is_rejection(event: TaskEvent) -> bool:
    """Return whether a task-failed says that the task raised ``Reject(requeue=False)``.

    Celery since 5.7 sends it before the task-rejected.
    """
    return bytes(event.exception)[: len(_REJECT)] == _REJECT


def exception_type(event: TaskEvent) -> str:
    """Return the class name of what a failed task raised, such as ``ValueError``, or ``unknown``.

    Celery sends ``repr(exception)``, which begins with the class, unless the class has a repr of
    its own; for a lost process or a hard time limit it is the literal ``ExceptionWithTraceback()``.
    Then the class is in the traceback.
    """
    text = _text(event.exception)
    if text.startswith("ExceptionWithTraceback"):
        text = ""
    if not _BEGINS_WITH_CLASS.match(text):
        text = _raised(_text(event.traceback)) or text
    name = text.partition("(")[0].partition(":")[0].strip().rpartition(".")[2]
    return name if name.isidentifier() and len(name) <= MAX_NAME else "unknown"


def _raised(traceback: str) -> str:
    """Return the line of a traceback that names the exception, which may go on in further lines.

    It is the first after the frames, which are indented; of chained exceptions the last one counts.
    """
    _, header, frames = traceback.rpartition(_TRACEBACK)
    if not header:
        lines = traceback.strip().splitlines()
        return lines[-1] if lines else ""
    return next((line for line in frames.splitlines()[1:] if line[:1].strip()), "")


def _text(raw: msgspec.Raw) -> str:
    """Decode a JSON text; anything else is an empty one."""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def epoch_of(iso: object) -> float | None:
    """Return an eta, ISO 8601 as Celery writes it, in seconds since the epoch; None if it is none.

    Without a time zone it is UTC.
    """
    if not isinstance(iso, str):
        return None
    try:
        moment = datetime.fromisoformat(iso.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
