"""Sent ages: known only while what was sent is what waits; never by chance, never from a loss."""

from __future__ import annotations

import pytest

from event_monitor.probes.sent_ages import SentAges
from event_monitor.snapshot import UnreceivedTasks
from event_monitor.survey import QueueDepth

NOW = 1_700_000_000.0


class FakeTasks:
    """What the events of one queue add up to, as a test wants it."""

    def __init__(self) -> None:
        self.count = 0
        self.since: float | None = None
        self.forgotten: list[float] = []

    def unreceived(self) -> dict[str, UnreceivedTasks]:
        return {"q": UnreceivedTasks(self.count, self.since if self.count else None)}

    def forget_unreceived(self, queue: str, *, before: float) -> None:
        assert queue == "q"
        self.forgotten.append(before)


class Compared:
    """Events and broker, compared once per call."""

    def __init__(self) -> None:
        self.tasks = FakeTasks()
        self._ages = SentAges(self.tasks)

    def age(
        self,
        count: int,
        ready: int | None,
        *,
        since: float | None = NOW - 61,
        before: int | None = None,
        stamped: float | None = None,
    ) -> float | None:
        """The age, if so many were sent and not received, and so many wait."""
        self.tasks.count, self.tasks.since = count, since
        depth = QueueDepth("q", ready=ready, oldest_seconds=stamped)
        earlier = UnreceivedTasks(count if before is None else before, since)
        (found,) = self._ages.complete((depth,), before={"q": earlier}, now=NOW)
        return found.oldest_seconds


@pytest.fixture
def compared() -> Compared:
    return Compared()


def test_the_age_is_that_of_the_oldest_while_both_numbers_are_the_same(compared: Compared) -> None:
    assert compared.age(3, 3) == 61.0


@pytest.mark.parametrize(("count", "ready"), [(3, 4), (3, 2), (0, 1), (100, 1)])
def test_the_age_is_unknown_while_the_numbers_differ(
    count: int, ready: int, compared: Compared
) -> None:
    """A backlog from before we listened, readers without events, a receipt that was lost."""
    assert compared.age(count, ready) is None


def test_the_age_is_unknown_when_tasks_came_or_went_while_the_broker_was_asked(
    compared: Compared,
) -> None:
    assert compared.age(3, 3, before=2) is None


def test_nothing_is_known_of_a_queue_of_unknown_depth(compared: Compared) -> None:
    assert compared.age(3, None) is None


def test_a_task_that_waits_for_its_eta_is_not_old(compared: Compared) -> None:
    assert compared.age(1, 1, since=NOW + 3_600) == 0.0


def test_an_age_that_the_messages_themselves_tell_is_kept(compared: Compared) -> None:
    assert compared.age(3, 3, stamped=5.0) == 5.0
    assert compared.age(3, 9, stamped=5.0) == 5.0


def test_one_difference_may_be_an_event_on_its_way(compared: Compared) -> None:
    assert compared.age(3, 2) is None
    assert compared.age(3, 3) == 61.0


def test_numbers_that_differed_and_agree_by_chance_are_not_believed(compared: Compared) -> None:
    """Seven lost receipts, and seven messages of which nobody told."""
    compared.age(9, 2)
    compared.age(9, 2)

    assert [compared.age(9, 9), compared.age(9, 9)] == [None, None]

    # Until the broker shows that nothing waits
    compared.age(0, 0)
    assert compared.age(3, 3) == 61.0


def test_what_was_sent_long_before_the_queue_was_empty_is_forgotten(compared: Compared) -> None:
    """What was sent a moment ago may be on its way."""
    compared.age(7, 0, since=NOW - 59)
    assert compared.tasks.forgotten == []

    compared.age(7, 0, since=NOW - 61)
    assert compared.tasks.forgotten == [NOW - 60]


def test_a_queue_that_is_not_asked_for_any_more_is_forgotten(compared: Compared) -> None:
    compared.age(3, 2)
    compared.age(3, 2)
    compared._ages.complete((), before={}, now=NOW)

    assert compared.age(3, 3) == 61.0
