"""Micro: what one step costs by itself. ``scripts/bench --micro``; not collected by pytest.

How long a shot keeps the state locked is measured by ``lock.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Protocol, TypeVar

import pytest
from celery import Celery

from event_monitor import Camera, Settings, Snapshot, State
from event_monitor import events as ev
from event_monitor.metrics import Metric, metrics_from
from event_monitor.over_sqs.wire import Header
from event_monitor.over_sqs.wire import encode as encode_message
from event_monitor.receiver.sqs_requests import BATCH, RawMessage
from event_monitor.receiver.sqs_stream import SqsStream
from event_monitor.sinks.cloudwatch import encode

from .brokers import BATCHES
from .stream import Spec, messages

EVENTS = 20_000
SERIES = 10_000
_LINES = 13  # of one message: of 24 events each, about 60 kB
WIDE = Settings(series_budget=100_000, max_task_names=SERIES)

T = TypeVar("T")
Arguments = tuple[tuple[object, ...], Mapping[str, object]]


class Benchmark(Protocol):
    """The part of pytest-benchmark's fixture that is used here."""

    def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Time the function, and return what it returns."""
        ...

    def pedantic(
        self, target: Callable[..., T], *, setup: Callable[[], Arguments], rounds: int
    ) -> T:
        """Time the function on arguments made for each round."""
        ...


def bodies(spec: Spec, events: int = EVENTS) -> list[bytes]:
    """Return about so many events, as message bodies."""
    stream = islice(messages(spec, started_at=time.time()), events // spec.batch)
    return [message.body.encode() for message in stream]


def refuse(error: Exception) -> None:
    """Raise what the decoder calls invalid: nothing here is."""
    raise error


def decoded(stream: list[bytes]) -> list[list[ev.Event]]:
    """Return the events of each body."""
    return [ev.decode([body], on_invalid=refuse) for body in stream]


def wide_camera() -> Camera:
    """Return a camera whose window has enough task names for 10,000 series, counts and times."""
    state = State(WIDE)
    for batch in decoded(bodies(Spec(batch=8, names=SERIES // 5), SERIES * 10)):
        state.observe(batch)
    return Camera(state, app=Celery("bench", set_as_current=False), settings=WIDE)


@pytest.fixture(params=sorted(BATCHES.values()), ids=lambda batch: f"{batch} per message")
def stream(request: pytest.FixtureRequest) -> list[bytes]:
    """Return bodies with as many events each as real workers send."""
    return bodies(Spec(batch=request.param))


@pytest.fixture
def snapshot() -> Snapshot:
    """Return a shot of 10,000 series."""
    snapshot = wide_camera().capture()
    assert snapshot is not None
    return snapshot


@pytest.fixture
def metrics(snapshot: Snapshot) -> tuple[Metric, ...]:
    """Return what is published of it."""
    return metrics_from(snapshot, WIDE)


def test_decode(benchmark: Benchmark, stream: list[bytes]) -> None:
    """20,000 events from bytes to typed values."""
    assert sum(map(len, benchmark(decoded, stream))) == pytest.approx(EVENTS, rel=0.1)


def test_record(benchmark: Benchmark, stream: list[bytes]) -> None:
    """20,000 events into the open window of a new state, a message at a time."""
    batches = decoded(stream)

    def fresh() -> Arguments:
        return (State(),), {}

    def observe(state: State) -> int:
        for batch in batches:
            state.observe(batch)
        return int(state.event_count)

    assert benchmark.pedantic(observe, setup=fresh, rounds=10) == sum(map(len, batches))


def test_over_sqs(benchmark: Benchmark) -> None:
    """20,000 events from ten messages at a time, as SQS hands them out, into a new state."""
    lines = bodies(Spec(batch=24))
    received: list[list[RawMessage]] = []
    for seq, start in enumerate(range(0, len(lines), _LINES)):
        body = encode_message(Header(sender="0" * 12, seq=seq, dropped=0), lines[start:][:_LINES])
        if seq % BATCH == 0:
            received.append([])
        received[-1].insert(0, {"Body": body, "ReceiptHandle": str(seq)})  # the last comes first

    def fresh() -> Arguments:
        stream = SqsStream()
        stream.begin(now=0.0, wall=0.0, in_flight=0)
        return (State(), stream), {}

    def observe(state: State, stream: SqsStream) -> int:
        for answer in received:
            stream.feed(answer, now=0.0, on_invalid=refuse)
            reading = stream.read(now=0.0)
            state.observe(ev.decode(reading.bodies, on_invalid=refuse), reading.ack_token)
        return int(state.event_count)

    assert benchmark.pedantic(observe, setup=fresh, rounds=10) == sum(map(len, decoded(lines)))


def test_shot(benchmark: Benchmark) -> None:
    """10,000 series: from the open window to the snapshot."""

    def fresh() -> Arguments:
        return (wide_camera(),), {}

    snapshot = benchmark.pedantic(Camera.capture, setup=fresh, rounds=5)
    assert snapshot is not None
    assert snapshot.window.tasks


def test_metrics(benchmark: Benchmark, snapshot: Snapshot) -> None:
    """10,000 series: from the snapshot to metrics."""
    assert len(benchmark(metrics_from, snapshot, WIDE)) == pytest.approx(SERIES, rel=0.1)


def test_encode(benchmark: Benchmark, metrics: tuple[Metric, ...]) -> None:
    """10,000 series: from metrics to what boto3 is handed."""
    assert len(benchmark(encode, metrics)) == len(metrics)
