"""Events: bytes in, typed events out, whatever the bytes."""

from __future__ import annotations

import contextlib
import json
import math
import tracemalloc
from typing import Any

import msgspec
import pytest
from celery.exceptions import Reject
from hypothesis import given
from hypothesis import strategies as st

from event_monitor import events as ev
from event_monitor.errors import InvalidEvent

from ..support.making import W1, task

STARTED = {"type": "task-started", "uuid": "u1", "hostname": W1, "timestamp": 1_000.0, "pid": 7}


def decode(body: bytes) -> tuple[list[ev.Event], list[str]]:
    invalid: list[InvalidEvent] = []
    return ev.decode([body], on_invalid=invalid.append), [error.kind for error in invalid]


def refuse(error: InvalidEvent) -> None:
    raise error


def test_one_event_is_decoded_to_its_type() -> None:
    """Fields that nothing is counted by are skipped."""
    body = json.dumps({**STARTED, "utcoffset": -9, "args": "(1,)", "kwargs": {"x": [1]}}).encode()
    assert decode(body) == ([task("started")], [])


def test_events_of_our_own_are_found_and_one_that_is_damaged_is_like_any_other() -> None:
    """Their places among the others are told."""
    own = {"type": ev.OWN_EVENT, "monitors": "m", "sender": "s", "what": "cut", "window": "w"}
    bodies = [json.dumps(body).encode() for body in ([STARTED, STARTED], own, {**own, "window": 7})]
    places: list[int] = []
    events = ev.decode(bodies, on_invalid=refuse, own_at=places)

    assert places == [2]
    assert events[2] == ev.OwnEvent(
        type=ev.OWN_EVENT, monitors="m", sender="s", what="cut", window="w"
    )
    assert events[3] == ev.CustomEvent(type=ev.OWN_EVENT)


@pytest.mark.parametrize(
    ("said", "version"), [("5.7.0", "5.7.0"), (None, ""), ([5], ""), ("5" * 99, "5" * 20)]
)
def test_a_workers_version_is_known_however_the_event_comes(said: object, version: str) -> None:
    """As bytes, or decoded already; one that is no text costs no event."""
    beat = {"type": "worker-heartbeat", "hostname": W1, "timestamp": 1_000.0, "sw_ver": said}

    ((decoded,), invalid) = decode(json.dumps(beat).encode())
    converted = ev.event_from_mapping(beat)

    assert invalid == []
    for event in (decoded, converted):
        assert isinstance(event, ev.WorkerEvent)
        assert ev.software_version(event) == version


BEAT = {"type": "worker-heartbeat", "hostname": W1, "timestamp": 1_000.0, "processed": 7}
FACTS: dict[str, Any] = {
    "active": 1,
    "reserved": 2,
    "scheduled": 3,
    "revoked": 4,
    "silent": 5,
    "pool_processes": 6,
    "memory_bytes": 7_000_000,
    "prefetch_count": 8,
    "queues": ["celery", "mail"],
    "is_solo": False,
    "start_interval_seconds": 0.5,
}


def test_a_heartbeat_may_say_what_the_worker_would_answer() -> None:
    """However the event comes; what is new to us is skipped."""
    beat = {**BEAT, "facts": {**FACTS, "of tomorrow": [1]}}

    ((decoded,), invalid) = decode(json.dumps(beat).encode())
    converted = ev.event_from_mapping(beat)

    assert invalid == []
    for event in (decoded, converted):
        assert isinstance(event, ev.WorkerEvent)
        assert event.facts == ev.WorkerFacts(**{**FACTS, "queues": ("celery", "mail")})


@pytest.mark.parametrize(
    "facts",
    [
        *({**FACTS, name: {}} for name in FACTS),
        *({**FACTS, name: -1} for name in FACTS),
        {"queues": ["q"] * 2_001},
        {"queues": ["q" * 256]},
        {"memory_bytes": 2**70},
        {"start_interval_seconds": -0.1},
        "none",
        [FACTS],
    ],
)
def test_wrong_facts_cost_the_facts_and_never_the_event(facts: object) -> None:
    """Whoever may send events may send anything."""
    beat = {**BEAT, "facts": facts}

    ((decoded,), invalid) = decode(json.dumps(beat).encode())

    assert invalid == []
    for event in (decoded, ev.event_from_mapping(beat)):
        assert isinstance(event, ev.WorkerEvent)
        assert (event.facts, event.processed) == (None, 7)
    assert decode(json.dumps({**beat, "processed": "x"}).encode()) == ([], ["wrong field"])


RECEIVED = {**STARTED, "type": "task-received", "name": "proj.add"}


def test_relatives_are_decoded_only_if_asked_for() -> None:
    """By a class of its own, so that nobody else pays."""
    body = json.dumps([{**RECEIVED, "root_id": "u0", "parent_id": None}, STARTED]).encode()
    received, started = ev.decode([body], on_invalid=refuse, task_event=ev.RelatedTaskEvent)
    assert isinstance(received, ev.RelatedTaskEvent)
    assert (received.root_id, received.parent_id) == ("u0", None)
    assert isinstance(started, ev.RelatedTaskEvent)
    assert (started.root_id, started.parent_id) == (None, None)
    assert type(decode(body)[0][0]) is ev.TaskEvent


@pytest.mark.parametrize("wrong", [5, [], "x" * 256, {"a": 1}], ids=repr)
def test_relatives_that_are_no_ids_cost_no_event(wrong: object) -> None:
    """It counts as it would where nobody asks for them."""
    events: list[object] = [{**RECEIVED, "root_id": wrong}, {**RECEIVED, "parent_id": wrong}]
    for body in (json.dumps(events).encode(), *(json.dumps(one).encode() for one in events)):
        decoded = ev.decode([body], on_invalid=refuse, task_event=ev.RelatedTaskEvent)
        assert decoded == decode(body)[0]


def test_a_list_is_decoded_in_order() -> None:
    """Real workers send task events in lists."""
    body = json.dumps([STARTED, {**STARTED, "type": "task-succeeded", "runtime": 2}]).encode()
    assert decode(body) == ([task("started"), task("succeeded", runtime=2.0)], [])


def test_a_bad_event_does_not_drop_the_rest_of_its_list() -> None:
    """Each is validated by itself."""
    body = json.dumps([1, STARTED, {}, {"type": "task-started"}, STARTED]).encode()
    events, invalid = decode(body)
    assert events == [task("started"), task("started")]
    assert invalid == ["not an event", "not an event", "wrong field"]


def test_an_unknown_type_is_a_custom_event() -> None:
    """Also one that looks like a task event of a later Celery."""
    body = json.dumps([{"type": "order-paid", "sum": 3}, {**STARTED, "type": "task-new"}]).encode()
    events, invalid = decode(body)
    assert [event.type for event in events if isinstance(event, ev.CustomEvent)] == [
        "order-paid",
        "task-new",
    ]
    assert invalid == []


BAD_VALUES: tuple[object, ...] = (None, [], {}, "x", -1, 1e300, True, {"__type__": "datetime"})


@pytest.mark.parametrize("field", ["uuid", "hostname", "timestamp"])
@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
def test_a_wrong_required_field_makes_the_event_invalid(field: str, value: object) -> None:
    """Strictly: nothing is guessed."""
    if (field, value) in [("uuid", "x"), ("hostname", "x"), ("timestamp", 1e300)]:
        value = "" if value == "x" else 1e300
    events, invalid = decode(json.dumps({**STARTED, field: value}).encode())
    assert (events, invalid) == ([], ["wrong field"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b"[[]]",
        b"{",
        b"[" * 100_000,
        b'{"type":' * 100_000,
        b"\xff\xfe\x00binary",
        b"\x80\x04\x95pickle",
        b'{"type": NaN}',
        b'{"type": "task-started", "uuid": "u", "hostname": "h", "timestamp": NaN}',
        b'{"type": "task-started", "uuid": "u", "hostname": "h", "timestamp": 1e999}',
        b'{"type": "\xff"}',
        b'{"type": "\\ud800"}',
        b'{"type": 1}',
        b'{"type": ["task-sent"]}',
        b'{"type": ""}',
    ],
)
def test_a_body_without_an_event_is_invalid_once(body: bytes) -> None:
    """Never an exception."""
    events, invalid = decode(body)
    assert (events, len(invalid)) == ([], 1)


@pytest.mark.parametrize("surrogate", [r"\ud800", r"\uDCFF"])
def test_a_lone_surrogate_in_a_traceback_drops_no_event(surrogate: str) -> None:
    """Python's JSON writes one for a byte of a file name that is not UTF-8; msgspec refuses it."""
    pair_and_backslash = r"\ud83d\ude00 and \\ud800"
    failed = {**STARTED, "type": "task-failed", "exception": "ValueError('x')", "traceback": "T"}
    named = {**STARTED, "type": "task-received", "name": "N"}
    text = json.dumps([failed, named]).replace('"T"', f'"file {surrogate}.py"')
    events, invalid = decode(text.replace('"N"', f'"{pair_and_backslash}"').encode())
    assert [event.type for event in events] == ["task-failed", "task-received"]
    assert invalid == []
    assert events[1] == task("received", name="\N{GRINNING FACE} and \\ud800")
    assert isinstance(events[0], ev.TaskEvent)
    assert ev.exception_type(events[0]) == "ValueError"


@pytest.mark.parametrize("raw", [b'"\xff"', b'"\xed\xa0\x80"', b"7", b"{}"])
def test_an_exception_that_is_no_text_is_unknown(raw: bytes) -> None:
    """The event stays valid, because the field is not decoded before it is needed."""
    body = json.dumps([{**STARTED, "type": "task-failed", "exception": "T"}]).encode()
    (event,), invalid = decode(body.replace(b'"T"', raw))
    assert invalid == []
    assert isinstance(event, ev.TaskEvent)
    assert ev.exception_type(event) == "unknown"


def test_fields_that_shadow_methods_are_ignored() -> None:
    """In Celery's own state a field named `event` overwrites the method."""
    body = json.dumps({**STARTED, "event": 1, "alive": 2, "__class__": 3}).encode()
    assert decode(body) == ([task("started")], [])


def test_a_huge_string_in_a_field_that_is_skipped_is_not_built() -> None:
    """Arguments are skipped by the parser."""
    body = json.dumps({**STARTED, "args": "x" * 10_000_000}).encode()
    tracemalloc.start()
    events, _ = decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(events) == 1
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("field", "events"),
    [
        (rb'"' + rb"\\" * 500_000 + rb'"', 1),
        (rb'"' + rb"\\ud800" * 200_000 + rb'"', 1),
        (b"[" + b"NaN," * 300_000 + b"1]", 1),
        (b"1}," + b"{}," * 1_000_000 + b'{"x": 1', 0),  # a list of a million
    ],
    ids=["backslashes", "surrogates", "not numbers", "items"],
)
def test_a_hostile_body_takes_no_more_than_a_few_times_its_size(field: bytes, events: int) -> None:
    """What is mended one piece at a time is kept in none, and millions of items are refused."""
    body = b'[{"type": "mine", "timestamp": 1, "a": ' + field + b'}, {"timestamp": 1}]'
    tracemalloc.start()
    found, invalid = decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), len(invalid)) == (events, 1)
    assert peak < 6 * len(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_invalid(body: bytes) -> None:
    """The decoder never raises."""
    events, invalid = decode(body)
    assert isinstance(events, list)
    assert events or invalid or body.strip() == b"[]"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


_FIELDS = (
    "uuid hostname timestamp pid clock name eta runtime exception traceback terminated expired "
    "requeue freq active processed loadavg"
)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(sorted(ev.TASK_TYPES | ev.WORKER_TYPES)) | _JSON},
        optional=dict.fromkeys(_FIELDS.split(), _JSON),
    )
)
def test_any_fields_make_an_event_or_are_invalid(fields: dict[str, object]) -> None:
    """From the wire and from Celery's own receiver alike."""
    events, invalid = decode(json.dumps(fields).encode("utf-8", "surrogatepass"))
    assert len(events) + len(invalid) == 1
    with contextlib.suppress(InvalidEvent):
        ev.event_from_mapping(fields)


def test_a_mapping_is_typed_like_the_wire() -> None:
    """Celery's receiver hands over dictionaries."""
    assert ev.event_from_mapping({**STARTED, "local_received": 5.0}) == task("started")


@pytest.mark.parametrize(
    ("exception", "traceback", "expected"),
    [
        ("ValueError('x')", "", "ValueError"),
        ("KeyError('a(b)')", "", "KeyError"),
        ("my.app.errors.Broken(1, 2)", "", "Broken"),
        (
            "ExceptionWithTraceback()",
            "Trace:\n  x\nbilliard.WorkerLostError: gone",
            "WorkerLostError",
        ),
        ("ExceptionWithTraceback()", "", "unknown"),
        (
            "1 validation error for Order\namount\n  Field required",
            'Traceback (most recent call last):\n  File "t.py", line 3, in f\n    Order()\n'
            "    ^^^^^^^\npydantic_core._pydantic_core.ValidationError: 1 validation error for "
            "Order\namount\n  Field required [type=missing]\n    For further information",
            "ValidationError",
        ),
        (
            "could not pay",
            'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1\n\nDuring '
            "handling of the above exception, another exception occurred:\n\nTraceback (most "
            'recent call last):\n  File "b.py", line 2, in g\n    pay()\nshop.Declined: could '
            "not pay: no: money",
            "Declined",
        ),
        ("<Oops: no>", "Traceback (most recent call last):\n  File x\nOops", "Oops"),
        ("ValueError: x", "", "ValueError"),
        ("ValueError", "Traceback (most recent call last):\n  x\nKeyError: 1", "ValueError"),
        ("<weird object at 0x1>", "", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_the_class_of_an_exception_is_found(exception: str, traceback: str, expected: str) -> None:
    """In its repr, or after the frames of the traceback."""
    event = task(
        "failed",
        exception=msgspec.Raw(json.dumps(exception).encode()),
        traceback=msgspec.Raw(json.dumps(traceback).encode()),
    )
    assert ev.exception_type(event) == expected


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_custom_event_may_hold_what_is_not_a_number(number: float) -> None:
    """JSON has no such number, but Python writes it; the texts around it stay as they are."""
    refused: list[InvalidEvent] = []
    paid = {"type": "paid", "hostname": "h", "NaN": 'a NaN, \\" -Infinity', "amount": [number, 1]}
    started = {"type": "task-started", "hostname": "h", "timestamp": 1.0, "uuid": "NaN"}
    bodies = [json.dumps(body).encode() for body in (paid, [paid, started])]
    events = ev.decode(bodies, on_invalid=refused.append)
    assert [event.type for event in events] == ["paid", "paid", "task-started"]
    assert isinstance(events[2], ev.TaskEvent)
    assert (events[2].uuid, refused) == ("NaN", [])


def test_a_timestamp_that_is_not_a_number_is_none() -> None:
    """Only what is not decoded may be anything."""
    refused: list[InvalidEvent] = []
    started = {"type": "task-started", "hostname": "h", "timestamp": math.nan, "uuid": "u"}
    assert ev.decode([json.dumps(started).encode()], on_invalid=refused.append) == []
    assert [error.kind for error in refused] == ["wrong field"]


def test_a_rejection_is_told_by_the_repr_of_celerys_exception() -> None:
    """Not by that of any other."""
    rejected = repr(Reject("no", requeue=False))
    for text, expected in ((rejected, True), ("Reject('no')", False), ("ValueError()", False)):
        event = task("failed", exception=msgspec.Raw(json.dumps(text).encode()))
        assert ev.is_rejection(event) is expected
