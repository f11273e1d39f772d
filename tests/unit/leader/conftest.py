"""Fixtures: a broker in memory, and leases on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from event_monitor.testing import FakeClock


@dataclass
class Broker:
    """Who has the lease; or why nobody can be asked."""

    holder: object = None
    error: Exception | None = None


@dataclass(eq=False)
class FakeLease:
    """A lease of a broker in memory."""

    broker: Broker
    name: str = "a.lock"
    renew_seconds: float = 3.0
    safe_seconds: float = 6.0
    grace_seconds: float = 0.0
    released: int = field(default=0)

    def acquire(self) -> bool:
        if self.broker.error is not None:
            raise self.broker.error
        if self.broker.holder is None:
            self.broker.holder = self
        return self.broker.holder is self

    def renew(self) -> bool:
        if self.broker.error is not None:
            raise self.broker.error
        return self.broker.holder is self

    def holder(self) -> str:
        return "somebody"

    def release(self) -> None:
        self.released += 1
        if self.broker.holder is self:
            self.broker.holder = None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker() -> Broker:
    return Broker()
