"""Leases: each broker's own, and nothing of another's driver."""

from __future__ import annotations

import subprocess
import sys

import pytest
from celery import Celery

from event_monitor.leader import lease_name
from event_monitor.settings import Settings

SCRIPT = """
import sys
from celery import Celery
from event_monitor.leader import Holder, lease_for
app = Celery(broker="amqp://nowhere", set_as_current=False)
assert lease_for(app, "a.lock", holder=Holder.here(), on_command=lambda *_: None)
assert "redis" not in sys.modules
"""


def test_a_lease_on_rabbitmq_needs_no_client_for_redis() -> None:
    """It may not be installed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def name_of(conf: dict[str, object], broker: str = "redis://nowhere/1") -> str:
    with Celery("leases", broker=broker, set_as_current=False) as app:
        app.conf.update(conf)
        return lease_name(app, Settings())


@pytest.mark.parametrize(
    "conf",
    [
        {"event_exchange": "ours"},
        {"broker_transport_options": {"fanout_prefix": "/ours."}},
        {"broker_transport_options": {"fanout_prefix": False}},
    ],
)
def test_monitors_that_receive_other_events_have_another_lock(conf: dict[str, object]) -> None:
    """Both apps are on one broker: else one of them would be watched by nobody."""
    assert name_of(conf) != name_of({})


@pytest.mark.parametrize(
    "conf",
    [
        {"event_exchange": "celeryev"},
        {"broker_transport_options": {"fanout_prefix": True}},
        {"broker_transport_options": {"fanout_prefix": "/{db}."}},
    ],
)
def test_what_is_the_default_anyway_makes_no_difference(conf: dict[str, object]) -> None:
    """One monitor may be told it, and the other not."""
    assert name_of(conf) == name_of({}) == "celeryev.leader.f142a2ac9cd4"


def test_how_redis_names_its_channels_is_nothing_to_rabbitmq() -> None:
    """There it changes nothing."""
    options: dict[str, object] = {"broker_transport_options": {"fanout_prefix": False}}
    assert name_of(options, "amqp://nowhere") == name_of({}, "amqp://nowhere")
