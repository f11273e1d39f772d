"""Pipeline: what a durable queue shows of whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from event_monitor.pipeline import Pipeline
from event_monitor.receiver.exactly_once import ExactlyOnce
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ..support.making import beat
from ..support.waiting import wait_until


class Connected:
    """A pipeline that is connected to its durable queue, and sends itself an event."""

    def __init__(self, folder: Path, *, write_url: str = "memory://localhost") -> None:
        app = Celery("pipeline-test", broker="memory://localhost", set_as_current=False)
        app.conf.broker_write_url = write_url
        settings = Settings(durable_queue="durable", state_dir=str(folder), probe_workers=False)
        self.clock = FakeClock()
        self.state = State(settings, clock=self.clock)
        self.pipeline = Pipeline(
            app,
            settings,
            self.state,
            hurry=lambda: None,
            before_leaving=lambda: None,
            exactly_once=ExactlyOnce(settings),
            clock=self.clock,
        )
        self.receiver = self.pipeline.receiver_class()(app.connection_for_read(), app=app)
        self.pipeline.on_connection(True)

    def link_after(self, seconds: float) -> BrokerLink:
        """Read again, so much later."""
        self.clock.advance(seconds)
        assert self.receiver.on_reading is not None
        self.receiver.on_reading()
        return self.state.link


def test_who_does_not_get_its_own_event_stands_by_until_something_comes(tmp_path: Path) -> None:
    """The broker has it, so somebody else does."""
    connected = Connected(tmp_path)
    assert connected.link_after(0) is BrokerLink.SUBSCRIBED
    wait_until(lambda: connected.link_after(1) is BrokerLink.STANDBY, 30, "it was sent")
    connected.pipeline.on_events([beat()], None)
    assert connected.link_after(60) is BrokerLink.LISTENING


def test_who_gets_it_reads_the_queue(tmp_path: Path) -> None:
    """It was sent when the queue was bound, and comes at once."""
    connected = Connected(tmp_path)
    connected.pipeline.on_events([beat()], None)
    assert connected.link_after(60) is BrokerLink.LISTENING


def test_who_cannot_send_it_knows_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As while the broker's memory is short, or for who may only read; that is told once."""

    def told() -> int:
        return caplog.text.count("the broker does not take an event to myself: ")

    connected = Connected(tmp_path, write_url="redis://127.0.0.1:1/0")
    wait_until(told, 30, "it is told")
    connected.pipeline.on_connection(True)
    assert connected.link_after(60) is BrokerLink.SUBSCRIBED
    assert told() == 1
