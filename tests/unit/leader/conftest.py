"""Fixtures: a broker in memory, and what starts monitors on it."""

from __future__ import annotations

import pytest

from event_monitor.testing import FakeClock

from .monitors import Broker, Monitor, Start, Stream


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def stream(broker: Broker, clock: FakeClock) -> Stream:
    return Stream(broker, clock)


@pytest.fixture
def start(stream: Stream) -> Start:
    def start(name: str) -> Monitor:
        monitor = Monitor(stream, name)
        monitor.connect()
        return monitor

    return start
