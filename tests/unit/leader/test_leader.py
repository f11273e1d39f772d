"""Leader: who leads, who stands by, and who does not know."""

from __future__ import annotations

import logging

import pytest

from event_monitor.leader import Leader, LeaseRefusedError
from event_monitor.snapshot import Role
from event_monitor.testing import FakeClock

from .monitors import Broker, FakeLease


def leader_on(broker: Broker, clock: FakeClock, *, is_connected: bool = True) -> Leader:
    return Leader(FakeLease(broker), clock=clock, is_connected=lambda: is_connected)


def test_of_two_the_first_leads_and_the_other_stands_by(broker: Broker, clock: FakeClock) -> None:
    """Until the first has gone."""
    first, second = leader_on(broker, clock), leader_on(broker, clock)
    first.look()
    second.look()
    assert (first.role, second.role) == (Role.LEADER, Role.STANDBY)

    broker.holder = None
    second.look()
    first.look()
    assert (first.role, second.role) == (Role.STANDBY, Role.LEADER)


def test_a_leader_renews_its_lease_every_few_seconds(broker: Broker, clock: FakeClock) -> None:
    """And a standby asks oftener, so that it leads soon."""
    pauses = []
    for monitor in (leader_on(broker, clock), leader_on(broker, clock)):
        monitor.look()
        pauses.append(monitor.look())
    assert pauses == [3.0, 0.5]


def test_who_was_stopped_does_not_lead_before_it_has_asked_again(
    broker: Broker, clock: FakeClock
) -> None:
    """Its lease may have run out meanwhile."""
    leader = leader_on(broker, clock)
    leader.look()
    assert leader.leads()

    clock.advance(6)
    assert not leader.leads()

    leader.look()
    assert leader.leads()


def test_where_the_lease_is_refused_a_monitor_publishes_all_the_same(
    broker: Broker, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With one WARNING, however often it asks."""
    broker.error = LeaseRefusedError("NOPERM")
    leader = leader_on(broker, clock)
    for _ in range(3):
        leader.look()

    assert leader.role is Role.ALONE
    assert leader.publishes()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            "the lock a.lock is refused: NOPERM; a second monitor would count everything again",
        )
    ]


def test_a_broker_that_is_away_makes_nobody_a_leader_and_nobody_silent(
    broker: Broker, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has it from the receiver already."""
    broker.error = ConnectionError("refused")
    leader = leader_on(broker, clock, is_connected=False)
    leader.look()

    assert leader.role is Role.UNDECIDED
    assert leader.publishes()
    assert not caplog.records


def test_a_broker_without_leases_has_leaders_only(clock: FakeClock) -> None:
    """Nothing is asked, and nothing is waited for."""
    leader = Leader(None, clock=clock)
    leader.start()
    leader.close()

    assert leader.leads()
    assert leader.publishes()


def test_who_gives_way_leads_again_only_if_nobody_does(broker: Broker, clock: FakeClock) -> None:
    """A standby has two seconds to be quicker."""
    leader = leader_on(broker, clock)
    leader.look()
    leader.give_way()
    leader.look()
    assert (leader.role, broker.holder) == (Role.STANDBY, None)

    clock.advance(1.9)
    leader.look()
    assert broker.holder is None

    clock.advance(0.2)
    leader.look()
    assert leader.leads()


def test_who_gives_way_as_the_broker_goes_is_the_leader_still(
    broker: Broker, clock: FakeClock
) -> None:
    """As RabbitMQ closes one connection after the other: somebody has to say that it is away."""
    leader = leader_on(broker, clock)
    leader.look()
    leader.give_way()
    leader.look()
    broker.error = ConnectionError("refused")
    clock.advance(2)
    leader.look()
    assert leader.publishes()
    assert not leader.leads()

    # And another has been quicker
    broker.error, broker.holder = None, "another"
    leader.look()
    assert leader.role is Role.STANDBY


def test_the_end_of_a_leader_frees_the_lease(broker: Broker) -> None:
    """So that the next leads at once."""
    leader = Leader(FakeLease(broker))
    leader.start()
    leader.close()

    assert broker.holder is None


def test_who_gave_way_asks_soon_again(broker: Broker, clock: FakeClock) -> None:
    """Where all have, as when the broker restarts, a newcomer would lead, which knows nothing."""
    leader = leader_on(broker, clock)
    leader.look()
    leader.give_way()
    assert leader.look() < 1
    clock.advance(2)
    leader.look()
    assert leader.leads()
