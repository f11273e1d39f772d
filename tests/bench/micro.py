"""Micro: what one step costs by itself. ``scripts/bench --micro``; not collected by pytest."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest

from event_monitor import events as ev
from event_monitor.metrics import Metric, metrics_from
from event_monitor.settings import Settings
from event_monitor.sinks.cloudwatch import encode
from event_monitor.snapshot import Snapshot
from event_monitor.state import State

from .brokers import BATCHES
from .stream import Spec, messages

EVENTS = 20_000
SERIES = 10_000
WIDE = Settings(series_budget=100_000, max_task_names=SERIES)


def bodies(spec: Spec, events: int = EVENTS) -> list[bytes]:
    """About so many events, as message bodies."""
    stream = islice(messages(spec, started_at=time.time()), events // spec.batch)
    return [message.body.encode() for message in stream]


def refuse(error: Exception) -> None:
    raise error


def decoded(stream: list[bytes]) -> list[list[ev.Event]]:
    return [ev.decode([body], on_invalid=refuse) for body in stream]


@pytest.fixture(params=sorted(BATCHES.values()), ids=lambda batch: f"{batch} per message")
def stream(request: pytest.FixtureRequest) -> list[bytes]:
    """Bodies with as many events each as real workers send."""
    return bodies(Spec(batch=request.param))


def test_decode(benchmark: Any, stream: list[bytes]) -> None:
    """20,000 events from bytes to typed values."""
    assert sum(map(len, benchmark(decoded, stream))) == pytest.approx(EVENTS, rel=0.1)


def test_record(benchmark: Any, stream: list[bytes]) -> None:
    """20,000 events into the open window of a new state, a message at a time."""
    batches = decoded(stream)

    def fresh() -> tuple[tuple[State], dict[str, object]]:
        return (State(),), {}

    def observe(state: State) -> int:
        for batch in batches:
            state.observe(batch)
        return int(state.event_count)

    assert benchmark.pedantic(observe, setup=fresh, rounds=10) == sum(map(len, batches))


def wide_state() -> State:
    """Enough task names for 10,000 series, each with its counts and times."""
    state = State(WIDE)
    for batch in decoded(bodies(Spec(batch=8, names=SERIES // 5), SERIES * 10)):
        state.observe(batch)
    return state


@pytest.fixture
def snapshot() -> Snapshot:
    """A shot of it."""
    state = wide_state()
    made: Snapshot = state.freeze_while(state.expose).develop()
    return made


@pytest.fixture
def metrics(snapshot: Snapshot) -> tuple[Metric, ...]:
    """What is published of it."""
    return metrics_from(snapshot, WIDE)


def test_shot_under_the_lock(benchmark: Any) -> None:
    """10,000 series: how long no event can be counted."""

    def fresh() -> tuple[tuple[State], dict[str, object]]:
        return (wide_state(),), {}

    def shoot(state: State) -> Any:
        return state.freeze_while(state.expose)

    assert benchmark.pedantic(shoot, setup=fresh, rounds=5).known_names


def test_shot_after_the_lock(benchmark: Any) -> None:
    """10,000 series: from what was copied to the snapshot."""
    state = wide_state()
    exposure = state.freeze_while(state.expose)
    assert benchmark(exposure.develop).window.tasks


def test_metrics(benchmark: Any, snapshot: Snapshot) -> None:
    """10,000 series: from the snapshot to metrics."""
    assert len(benchmark(metrics_from, snapshot, WIDE)) == pytest.approx(SERIES, rel=0.1)


def test_encode(benchmark: Any, metrics: tuple[Metric, ...]) -> None:
    """10,000 series: from metrics to what boto3 is handed."""
    assert len(benchmark(encode, metrics)) == len(metrics)
