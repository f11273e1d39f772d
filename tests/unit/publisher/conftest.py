"""Fixtures: a clock, a sink, spools and publishers.

Whatever uses ``spool`` or ``make_publisher`` runs twice: on disk, and in memory only.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher import Publisher
from event_monitor.publisher.spool import Spool
from event_monitor.publisher.store import Store
from event_monitor.sinks import Outcome, Sink
from event_monitor.testing import FakeClock, MemorySink

from ...contracts.sink import NOW, count

DEADLINE = 60.0  # seconds; only a broken test waits that long


class OpenSpool(Protocol):
    """Open a spool in the test's directory, or, for ``state_dir=""``, in memory only."""

    def __call__(
        self,
        state_dir: str | None = None,
        *,
        megabytes: float = 256,
        open_store: Callable[[str], Store] = Store.open,
    ) -> Spool: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOW)


@pytest.fixture
def open_spool(tmp_path: Path, clock: FakeClock) -> Iterator[OpenSpool]:
    opened: list[Spool] = []

    def open_one(
        state_dir: str | None = None,
        *,
        megabytes: float = 256,
        open_store: Callable[[str], Store] = Store.open,
    ) -> Spool:
        directory = str(tmp_path) if state_dir is None else state_dir
        spool = Spool(directory, megabytes=megabytes, clock=clock, open_store=open_store)
        opened.append(spool)
        spool.open()
        return spool

    yield open_one
    for spool in opened:
        spool.close()


@pytest.fixture(params=["disk", "memory"])
def spool(request: pytest.FixtureRequest, open_spool: OpenSpool) -> Spool:
    return open_spool("" if request.param == "memory" else None)


def drain(spool: Spool) -> list[tuple[Metric, ...]]:
    """Take out every batch, oldest first."""
    batches = []
    while batch := spool.oldest():
        batches.append(batch.metrics)
        spool.acknowledge(batch.id)
    return batches


def bulky(seed: int) -> tuple[Metric, ...]:
    """A batch of about 100 kB that does not compress."""
    noise = random.Random(seed)
    return tuple(
        count(value=noise.random(), TaskName=noise.randbytes(4_000).hex()) for _ in range(23)
    )


class MakePublisher(Protocol):
    """Make a publisher from the fixture's spool to the given sink, else to the fixture's."""

    def __call__(
        self,
        to: Sink | None = None,
        *,
        backoff_seconds: float = 0.0,
        on_crash: Callable[[BaseException], None] | None = None,
        on_accepted: Callable[[int, int], None] | None = None,
    ) -> Publisher: ...


class GatedSink(MemorySink):
    """Hangs in every send until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        self.entered.set()
        self.gate.wait(DEADLINE)
        return super().send(metrics)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def make_publisher(sink: MemorySink, spool: Spool, clock: FakeClock) -> Iterator[MakePublisher]:
    made: list[Publisher] = []

    def make(
        to: Sink | None = None,
        *,
        backoff_seconds: float = 0.0,
        on_crash: Callable[[BaseException], None] | None = None,
        on_accepted: Callable[[int, int], None] | None = None,
    ) -> Publisher:
        made.append(
            Publisher(
                to or sink,
                spool,
                clock=clock,
                backoff=lambda _failures: backoff_seconds,
                on_crash=on_crash,
                on_accepted=on_accepted,
            )
        )
        return made[-1]

    yield make
    for publisher in made:
        publisher.close(0)
