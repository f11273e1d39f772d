"""RabbitMQ: what AMQP reports, and what the management API adds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from kombu import Connection

from event_monitor.probes.queues_amqp import DeclareProbe
from event_monitor.survey import QueueDepth

from ...support.servers import Server, free_port
from ...support.waiting import wait_until
from .cluster import LAG_SECONDS, Make, management_url


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_rabbitmq_reports_consumers(kind: str, make: Make) -> None:
    cluster = make(kind)
    cluster.publish("q", 3)
    cluster.publish("idle", 1)
    cluster.take("q", 1)
    cluster.take("q", 1)

    q, idle = cluster.probe().read(("q", "idle"))

    assert (q.consumers, idle.consumers) == (2, 0)
    assert (q.unacked, q.memory_bytes, q.arrivals_per_second) == (None, None, None)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_rabbitmq_management_reports_the_rest(
    kind: str, make: Make, server: Callable[[str], Server]
) -> None:
    cluster = make(kind)
    cluster.publish("q", 3)
    cluster.take("q", 2)
    probe = cluster.probe(management_url=management_url(server))

    def detailed() -> bool:
        depths.append(probe.read(("q",))[0])  # its numbers come in one by one
        numbers = (depths[-1].memory_bytes, depths[-1].arrivals_per_second)
        return depths[-1].unacked == 2 and None not in numbers

    depths: list[QueueDepth] = []
    with suppress(AssertionError):  # what is missing says more
        wait_until(detailed, LAG_SECONDS, "the management API has caught up")

    depth = depths[-1]
    assert depth.unacked == 2
    assert depth.arrivals_per_second is not None
    assert (depth.ready, depth.consumers) == (1, 1)
    assert (depth.memory_bytes or 0) > 0
    assert depth.deliveries_per_second is not None


def test_rabbitmq_management_reports_an_age_where_producers_set_the_timestamp(
    make: Make, server: Callable[[str], Server]
) -> None:
    cluster = make("classic")
    sent_at = int(time.time()) - 500
    cluster.publish("q", timestamp=sent_at)
    probe = cluster.probe(management_url=management_url(server))

    def age() -> float | None:
        return probe.read(("q",))[0].oldest_seconds

    found = wait_until(age, LAG_SECONDS, "an age is reported")
    assert found is not None
    assert 500 <= found <= time.time() - sent_at


def test_rabbitmq_reports_no_age_that_may_be_of_a_message_with_a_worker(
    make: Make, server: Callable[[str], Server]
) -> None:
    """Its timestamp is the oldest of what waits and what is unacknowledged, such as ETA tasks."""
    # Given an old message that a worker holds, and a new one that waits
    cluster = make("classic")
    cluster.publish("q", timestamp=int(time.time()) - 5_000)
    cluster.take("q", 1)
    cluster.publish("q", timestamp=int(time.time()))
    probe = cluster.probe(management_url=management_url(server))

    # Then its age is not taken for that of the other
    depth = wait_until(
        lambda: next((found for found in probe.read(("q",)) if found.unacked), None),
        LAG_SECONDS,
        "the management API has caught up",
    )
    assert depth is not None
    assert (depth.ready, depth.unacked, depth.oldest_seconds) == (1, 1, None)


def test_rabbitmq_reports_no_age_where_there_are_priorities(
    make: Make, server: Callable[[str], Server]
) -> None:
    """It would be that of the highest, though a low one waits much longer."""
    cluster = make("priorities")
    now = int(time.time())
    cluster.publish("q", timestamp=now - 500, priority=0)
    cluster.publish("q", timestamp=now - 5, priority=9)
    probe = cluster.probe(management_url=management_url(server))

    depth = wait_until(
        lambda: next((found for found in probe.read(("q",)) if found.unacked == 0), None),
        LAG_SECONDS,
        "the management API has caught up",
    )
    assert depth is not None
    assert (depth.ready, depth.oldest_seconds) == (2, None)


def test_rabbitmq_rates_of_a_queue_without_traffic_are_zero(
    make: Make, server: Callable[[str], Server]
) -> None:
    """Where it measures those of others."""
    cluster = make("classic")
    cluster.publish("idle", 0)
    probe = cluster.probe(management_url=management_url(server))

    def rates() -> object:
        cluster.publish("busy")
        busy, idle = probe.read(("busy", "idle"))
        return busy.arrivals_per_second is not None and idle.memory_bytes and idle

    cluster.publish("busy")
    idle = wait_until(rates, LAG_SECONDS, "the rates are there", poll_seconds=0.5)
    assert isinstance(idle, QueueDepth)
    assert (idle.arrivals_per_second, idle.deliveries_per_second) == (0.0, 0.0)


def test_rabbitmq_without_its_management_reports_what_amqp_knows(
    make: Make, server: Callable[[str], Server], caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password there is logged once, and not shown."""
    cluster = make("classic")
    cluster.publish("q", 1)
    wrong_password = management_url(server).replace("guest@", "hunter2@")
    probes = (
        cluster.probe(management_url=wrong_password),
        cluster.probe(management_url=f"http://guest:hunter2@127.0.0.1:{free_port()}"),
    )

    for probe in probes:
        caplog.clear()
        for _ in range(2):
            assert probe.read(("q",)) == (QueueDepth("q", ready=1, consumers=0),)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "hunter2" not in caplog.text


def test_rabbitmq_missing_queue_is_logged_once_until_it_was_there(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make("quorum")
    probe = cluster.probe()

    def warnings() -> int:
        return sum("queue late" in record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.WARNING, "event_monitor"):
        for _ in range(3):
            assert probe.read(("late",)) == (QueueDepth("late", missing=True),)
        assert warnings() == 1
        cluster.publish("late", 1)
        assert probe.read(("late",))[0].ready == 1
        cluster.queue("late")(cluster.connection.default_channel).delete()
        assert probe.read(("late",)) == (QueueDepth("late", missing=True),)
        assert warnings() == 2


class Recorded(Connection):  # type: ignore[misc]  # kombu ships no types
    """A connection that remembers those cloned from it, and from them."""

    clones: list[Connection]

    def clone(self, **changes: object) -> Connection:
        clone = super().clone(**changes)
        clone.clones = self.clones
        self.clones.append(clone)
        return clone


def test_rabbitmq_missing_queues_leave_no_channels_behind(make: Make) -> None:
    source = Recorded(make("classic").url)
    source.clones = []
    probe = DeclareProbe(source, timeout_seconds=2.0)
    try:
        for _ in range(5):
            assert probe.read(("missing", "too")) == (
                QueueDepth("missing", missing=True),
                QueueDepth("too", missing=True),
            )

        (used,) = (clone for clone in source.clones if clone.connected)
        assert set(used.connection.channels) == {0}  # the connection itself
    finally:
        probe.close()
