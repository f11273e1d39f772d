"""Books: a task is missing only if it can be nowhere; what cannot be known is not said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_monitor.snapshot import BrokerLink, MissingTasks

from .cluster import QUEUE, SURVEY_SECONDS, VISIBILITY_SECONDS, Cluster

LONG = 40  # seconds: of several surveys
NOTHING = MissingTasks()


@pytest.fixture(params=[False, True], ids=["rabbitmq", "redis"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Return a cluster in which all tasks have come so far."""
    return healthy(Cluster(is_redis=request.param))


def healthy(cluster: Cluster) -> Cluster:
    cluster.run(10)
    for _ in range(2):  # the second is of a name that is known
        cluster.send()
        cluster.run(1)
        cluster.work()
    cluster.run(10)
    assert cluster.said[-1] == NOTHING
    return cluster


def purge_two(cluster: Cluster) -> list[str]:
    lost = cluster.send(2)
    cluster.run(1)
    cluster.purge()
    return lost


def test_tasks_that_were_purged_are_missing_once(cluster: Cluster) -> None:
    """They are named, with their queue and when they were sent."""
    at = cluster.clock.wall()
    lost = purge_two(cluster)
    cluster.run(LONG)
    assert cluster.named == lost
    assert cluster.found == ["pay", "pay"]
    (missing,) = (said for said in cluster.said if said is not None and said.count)
    assert [task.queue for task in missing.named] == [QUEUE] * 2
    assert missing.named[0].sent_at == pytest.approx(at, abs=0.1)
    assert cluster.said[-1] == NOTHING
    assert cluster.shoot().tasks_in_flight == 0


def test_three_looks_are_needed(cluster: Cluster) -> None:
    """At two, a message may be on its way from one list of Redis to another."""
    purge_two(cluster)
    shots = len(cluster.said)
    cluster.run(LONG)
    counts = [said.count for said in cluster.said[shots:] if said is not None]
    assert counts[:4] == [0, 0, 2, 0]


def test_a_task_that_is_acknowledged_by_a_dying_worker_is_missing(cluster: Cluster) -> None:
    """Whatever else it held comes again."""
    lost, kept = cluster.send(), cluster.send()
    cluster.run(1)
    cluster.receive()
    cluster.receive()
    cluster.kill(acknowledged=1)
    cluster.run(LONG + VISIBILITY_SECONDS)
    assert cluster.ready == kept
    cluster.work()
    cluster.run(LONG)
    assert cluster.named == lost
    assert cluster.returned == []


def test_a_task_that_waits_is_not_missing_however_long(cluster: Cluster) -> None:
    cluster.send(3)
    cluster.run(1_000)
    assert cluster.said[-1] == NOTHING
    cluster.work()
    cluster.run(LONG)
    assert cluster.named == []


@pytest.mark.parametrize("copies", [1, 2])
def test_late_and_repeated_events_make_no_task_missing(cluster: Cluster, copies: int) -> None:
    cluster.copies, cluster.delay = copies, 3.0
    for _ in range(30):
        cluster.send(2)
        cluster.work()
        cluster.run(2)
    cluster.run(LONG)
    assert cluster.named == []


def test_a_task_sent_to_a_later_time_is_not_expected_before(cluster: Cluster) -> None:
    """RabbitMQ can keep it elsewhere until then."""
    eta = datetime.fromtimestamp(cluster.clock.wall() + 100, timezone.utc).isoformat()
    late = cluster.send(eta=eta)
    cluster.ready.clear()
    cluster.run(95)
    assert cluster.named == []
    cluster.run(LONG)
    assert cluster.named == late


def test_a_task_that_comes_after_all_is_told_once_and_not_taken_back(cluster: Cluster) -> None:
    """Its queue is not believed until it was in balance again."""
    lost = purge_two(cluster)
    cluster.run(LONG)
    cluster.ready, cluster.lost = [*lost], []
    cluster.work()
    cluster.run(LONG)
    assert (cluster.named, cluster.returned) == (lost, lost)
    assert len(cluster.ended) == 4


def test_a_retry_that_is_lost_is_missing(cluster: Cluster) -> None:
    """Its run before had told of it."""
    (uuid,) = cluster.send()
    cluster.receive()
    cluster.begin()
    cluster.retry()
    cluster.run(1)
    cluster.purge()
    cluster.run(LONG)
    assert cluster.named == [uuid]


def test_a_worker_that_shuts_down_may_tell_of_its_last_task_at_the_end(cluster: Cluster) -> None:
    """What it has taken and not told is in its buffer, while it finishes its work."""
    cluster.send()
    taken = cluster.ready.pop()
    cluster.leave()
    cluster.run(100)
    assert (cluster.named, cluster.said[-1]) == ([], None)
    lost = purge_two(cluster)
    cluster.run(LONG)
    assert cluster.named == lost, "it has not taken what was sent later"
    assert taken not in cluster.named


def test_what_nobody_can_look_into_is_forgotten_at_last(cluster: Cluster) -> None:
    """Else nothing would be said of the other queues for ever."""
    cluster.depth = {"ready": None, "consumers": None, "unacked_ids": None}
    cluster.send()
    cluster.run(LONG)
    assert cluster.said[-1] is None
    cluster.run(3_600)
    assert cluster.said[-1] == NOTHING


def lose_the_broker(cluster: Cluster) -> None:
    cluster.state.change_link(BrokerLink.AWAY)
    cluster.run(5)
    cluster.state.change_link(BrokerLink.LISTENING)


def lose_an_event(cluster: Cluster) -> None:
    cluster.send()
    cluster.receive()
    cluster.begin(is_told=False)
    cluster.end()
    cluster.run(10)


@pytest.mark.parametrize(
    "happen",
    [lose_the_broker, lose_an_event, lambda cluster: cluster.clock.advance(30)],
    ids=["away", "an event lost", "paused"],
)
def test_nothing_is_said_of_what_was_sent_before_something_may_have_been_missed(
    cluster: Cluster, happen: Callable[[Cluster], None]
) -> None:
    """Only what is sent afterwards is judged again."""
    purge_two(cluster)
    happen(cluster)
    cluster.run(LONG)
    assert cluster.named == []
    assert cluster.said[-1] == NOTHING
    lost = purge_two(cluster)
    cluster.run(LONG)
    assert cluster.named == lost


@pytest.mark.parametrize(
    ("depth", "answers"),
    [
        ({"ready": None, "consumers": None}, {}),
        ({"consumers": 2}, {}),
        ({"consumers": None, "unacked_ids": None}, {}),
        ({"consumers": None, "unacked": 1, "unacked_ids": None, "sampled": True}, {}),
        ({}, {"queues": None}),
    ],
    ids=["depth unknown", "another reader", "unacked unknown", "sampled", "readers unknown"],
)
def test_nothing_is_said_while_it_is_unknown_where_messages_may_be(
    cluster: Cluster, depth: dict[str, object], answers: dict[str, object]
) -> None:
    """Once it is known again, so is what was lost."""
    cluster.depth, cluster.answers = depth, answers
    lost = purge_two(cluster)
    cluster.run(LONG)
    assert cluster.named == []
    assert cluster.said[-1] is None
    cluster.depth, cluster.answers = {}, {}
    cluster.run(LONG)
    assert cluster.named == lost


def test_nothing_is_said_while_a_worker_that_may_run_them_is_silent(cluster: Cluster) -> None:
    """One with a solo pool tells what it has taken when the task that it runs has ended."""
    cluster.answers = {"is_solo": True}
    cluster.run(10)
    taken = cluster.send(2)
    cluster.ready.clear()
    cluster.is_silent, cluster.depth = True, {} if cluster.is_redis else {"consumers": 1}
    cluster.run(100)
    assert cluster.named == []
    assert cluster.said[-1] is None
    cluster.is_silent = False
    cluster.ready = [*taken]
    cluster.work()
    cluster.run(LONG)
    assert cluster.named == []


def test_on_redis_a_dead_worker_that_never_answered_may_have_a_solo_pool() -> None:
    """Then it may live, and run the task; RabbitMQ knows that it reads no more."""
    for is_redis in (True, False):
        cluster = healthy(Cluster(is_redis=is_redis))
        cluster.kill()
        cluster.run(1)
        cluster.kill()
        lost = purge_two(cluster)
        cluster.run(LONG)
        assert cluster.named == ([] if is_redis else lost)
        assert (cluster.said[-1] is None) is is_redis


def test_a_queue_that_was_never_seen_in_balance_is_not_believed() -> None:
    """A reader that nobody knows may take what is sent to it."""
    cluster = Cluster(is_redis=True)
    for _ in range(20):
        cluster.send(2)
        cluster.ready.pop()  # by somebody else
        cluster.work()
        cluster.run(5)
    assert cluster.named == []
    assert set(cluster.said) == {None}


def test_a_task_whose_name_no_worker_ever_told_is_not_judged(cluster: Cluster) -> None:
    """It may be silent on purpose (`send_events=False`)."""
    for _ in range(2):
        cluster.send(name="silent")
        cluster.run(1)
        cluster.ready.clear()
    cluster.run(LONG)
    assert cluster.named == []


def test_names_without_a_verdict_are_not_zero() -> None:
    """Before anything was sent, and without an answer."""
    cluster = Cluster()
    cluster.run(LONG)
    assert set(cluster.said) == {None}


ACTIONS: dict[str, Callable[[Cluster], object]] = {
    "send": lambda cluster: cluster.send(2),
    "receive": Cluster.receive,
    "begin": Cluster.begin,
    "end": Cluster.end,
    "retry": Cluster.retry,
    "fail": lambda cluster: cluster.end("failed"),
    "work": Cluster.work,
    "purge": Cluster.purge,
    "kill": Cluster.kill,
    "kill one acknowledged": lambda cluster: cluster.kill(acknowledged=1),
    "wait": lambda cluster: cluster.run(4),
    "wait long": lambda cluster: cluster.run(16),
}
LOSES = {"purge", "kill", "kill one acknowledged"}


def play(actions: list[str], *, is_redis: bool, delay: float, copies: int) -> Cluster:
    """Let this happen, then all end that can."""
    cluster = healthy(Cluster(is_redis=is_redis))
    cluster.delay, cluster.copies = delay, copies
    for action in actions:
        ACTIONS[action](cluster)
        # Of a worker that dies before it ever answered, nobody knows what it may do on Redis.
        cluster.run(SURVEY_SECONDS if action in LOSES else 1)
    cluster.run(VISIBILITY_SECONDS + LONG)
    cluster.work()
    cluster.run(LONG)
    return cluster


@settings(max_examples=80, deadline=None)
@given(
    actions=st.lists(st.sampled_from(sorted(ACTIONS)), max_size=25),
    is_redis=st.booleans(),
    delay=st.sampled_from([0.0, 1.5, 3.0]),
    copies=st.sampled_from([1, 2]),
)
def test_the_books_balance(actions: list[str], is_redis: bool, delay: float, copies: int) -> None:
    """Sent = ended + given up + missing in the end, each task once, in whatever order."""
    cluster = play(actions, is_redis=is_redis, delay=delay, copies=copies)
    assert len(set(cluster.named)) == len(cluster.named) == len(cluster.found)
    assert set(cluster.named) <= set(cluster.lost)
    assert cluster.returned == []
    if copies == 1:
        assert set(cluster.named) == set(cluster.lost)
        assert cluster.shoot().tasks_in_flight == 0


@settings(max_examples=40, deadline=None)
@given(
    actions=st.lists(st.sampled_from(sorted(set(ACTIONS) - LOSES)), max_size=25),
    is_redis=st.booleans(),
    delay=st.sampled_from([0.0, 1.5, 3.0]),
    copies=st.sampled_from([1, 2]),
)
def test_on_a_healthy_day_nothing_is_missing(
    actions: list[str], is_redis: bool, delay: float, copies: int
) -> None:
    cluster = play(actions, is_redis=is_redis, delay=delay, copies=copies)
    assert cluster.named == []
