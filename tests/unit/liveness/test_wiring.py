"""The service leaves the sign of life, and a health check reads what its publisher does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from event_monitor.liveness import Liveness
from event_monitor.service import Service
from event_monitor.settings import Settings
from event_monitor.status.monitor_health import examine_monitor, sign_of_monitor
from event_monitor.testing import FakeClock

from ..publisher.conftest import DEADLINE, GatedSink

DEADLINES = 2 * 60.0  # a sink that does not say how long a request may take gets a minute


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("wiring-test", broker="memory://localhost", set_as_current=False)
    yield app
    app.close()


def test_a_publisher_that_hangs_is_seen_at_the_next_shot(app: Celery, tmp_path: Path) -> None:
    """The shots go on, and the sign says since when it has been in its request."""
    # Given
    clock = FakeClock(wall=1_000_000.0)
    sink = GatedSink()
    settings = Settings(
        probe_queues=False, probe_workers=False, state_dir=str(tmp_path), drain_seconds=DEADLINE
    )
    service = Service(settings, app, sink=sink, clock=clock)
    service.pipeline.receiver_class()(app.connection_for_read(), app=app)
    service.open()
    service.camera.cut()
    assert sink.entered.wait(DEADLINE)

    def problem() -> str | None:
        return examine_monitor(Liveness(str(tmp_path)), now=clock.wall())

    # Then
    clock.advance(DEADLINES)
    service.camera.cut()
    assert problem() is None

    # When
    clock.advance(1.0)
    service.camera.cut()
    assert problem() == (
        "the monitor's publisher has been in one request for 121 s; it should take 60 s at most."
    )

    # Then, when it goes on
    sink.gate.set()
    service.shoot_last()
    service.close()
    assert sign_of_monitor([Liveness(str(tmp_path))], now=clock.wall()) is None
