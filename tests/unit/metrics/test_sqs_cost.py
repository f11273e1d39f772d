"""SQS cost: the pace of the senders costs, and not the events, until these fill the messages."""

from __future__ import annotations

import pytest

from event_monitor.metrics.sqs_cost import SqsTraffic


@pytest.mark.parametrize(
    ("tasks_per_second", "dollars"), [(0.0, 3.95), (40.0, 9.08), (1_000.0, 24.95)]
)
def test_a_fleet_costs_what_was_measured(tasks_per_second: float, dollars: float) -> None:
    """Fifty workers and twenty producers, a month."""
    traffic = SqsTraffic(workers=50, producers=20, tasks_per_second=tasks_per_second)
    assert traffic.dollars == pytest.approx(dollars, abs=0.01)


def test_twice_as_many_flushes_cost_nearly_twice_as_much() -> None:
    """So long as they, and not the heartbeats, set the pace."""
    slow = SqsTraffic(workers=50, tasks_per_second=100.0, flush_seconds=10.0)
    fast = SqsTraffic(workers=50, tasks_per_second=100.0, flush_seconds=5.0)
    assert fast.messages_per_second == pytest.approx(2 * slow.messages_per_second)


def test_a_sender_that_has_few_events_sends_no_more_than_these() -> None:
    """One task an hour is no message every ten seconds."""
    idle = SqsTraffic(workers=1)
    seldom = SqsTraffic(workers=1, producers=5, tasks_per_second=1 / 3_600)
    assert seldom.messages_per_second == pytest.approx(idle.messages_per_second + 1 / 3_600)


def test_nobody_who_sends_costs_the_long_poll_and_the_lease_only() -> None:
    """Twenty cents at most."""
    assert 0 < SqsTraffic(workers=0).dollars < 0.20
