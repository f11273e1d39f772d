"""Fixtures: ``clock``, ``open_spool``, and ``spool``, once on disk and once in memory; ``drain``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher.spool import Spool
from event_monitor.publisher.store import Store
from event_monitor.testing import FakeClock

from ...contracts.sink import NOW, count


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
