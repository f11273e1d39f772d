"""Redis: priorities, unacknowledged messages and ages, as kombu keeps them."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from uuid import uuid4

import pytest
import redis
from kombu import Exchange, Producer, Queue

from event_monitor.enqueued_at import HEADER
from event_monitor.survey import QueueDepth

from .cluster import Make

REDIS = ("redis", "redis prefixed", "sentinel")


@pytest.mark.parametrize("kind", REDIS)
def test_redis_adds_up_all_priorities(kind: str, make: Make) -> None:
    cluster = make(kind)
    for priority in (0, 3, 5, 9):
        cluster.publish("q", 2, priority=priority)

    assert cluster.probe().read(("q",))[0].ready == 8


@pytest.mark.parametrize("kind", REDIS)
def test_redis_reports_the_unacknowledged_of_each_queue(kind: str, make: Make) -> None:
    cluster = make(kind)
    cluster.publish("p", 4)
    cluster.publish("q", 4)
    cluster.take("p", 1)
    cluster.take("q", 3)

    p, q = cluster.probe().read(("p", "q"))

    assert (p.unacked, q.unacked) == (1, 3)
    assert not p.sampled
    assert not q.sampled


def test_redis_finds_the_queue_of_a_routing_key(make: Make) -> None:
    """The hash of unacknowledged messages has their routing key, not their queue."""
    cluster = make("redis")
    exchange = Exchange("media", type="topic")
    queues = [Queue(name, exchange, routing_key=f"{name}.#") for name in ("video", "image")]
    with cluster.connection.channel() as channel:
        for queue in queues:
            queue(channel).declare()
        producer = Producer(channel, exchange)
        for routing_key in ("video.cut", "video.encode", "image.resize"):
            producer.publish({}, routing_key=routing_key)
        for queue in (*queues, queues[0]):
            assert queue(channel).get() is not None

        video, image = cluster.probe().read(("video", "image"))

    assert (video.unacked, image.unacked) == (2, 1)


def test_redis_estimates_the_unacknowledged_from_a_sample(make: Make) -> None:
    # Given more than is read at a time: 2,400 of p and 800 of q
    cluster = make("redis")
    client = redis.Redis.from_url(cluster.url)
    for number in range(3_200):
        queue = "q" if number % 4 == 0 else "p"
        client.hset("unacked", f"tag{number}", json.dumps([{"body": "", "headers": {}}, "", queue]))
    client.close()

    p, q = cluster.probe().read(("p", "q"))

    # Then it is about right, and said to be an estimate
    assert p.sampled
    assert q.sampled
    assert p.unacked is not None
    assert q.unacked is not None
    assert p.unacked + q.unacked in range(3_198, 3_203)  # each is rounded
    assert 500 < q.unacked < 1_100


def test_redis_names_the_unacknowledged_unless_one_has_no_name(make: Make) -> None:
    """Celery's correlation id is the task's id; another message may be any task's."""
    cluster = make("redis")
    client = redis.Redis.from_url(cluster.url)
    for number in range(2):
        message = {"body": "", "headers": {}, "properties": {"correlation_id": f"task-{number}"}}
        client.hset("unacked", f"tag{number}", json.dumps([message, "", "q"]))
    probe = cluster.probe()

    (named,) = probe.read(("q",))
    client.hset("unacked", "tag2", json.dumps([{"body": "", "headers": {}}, "", "q"]))
    (unnamed,) = probe.read(("q",))
    client.close()

    assert named.unacked_ids == frozenset({"task-0", "task-1"})
    assert (unnamed.unacked, unnamed.unacked_ids) == (3, None)


def test_redis_reports_nothing_of_a_key_that_is_no_queue(make: Make) -> None:
    cluster = make("redis")
    cluster.publish("q", 1)
    client = redis.Redis.from_url(cluster.url)
    client.set("text", "not a list")
    client.set("unacked", "not a hash")
    client.close()

    assert cluster.probe().read(("text", "q")) == (QueueDepth("text"), QueueDepth("q", ready=1))


def test_redis_is_asked_for_no_message_where_they_are_large(make: Make) -> None:
    """Each question would cost the broker, and us, hundreds of MB; what it tells is unknown."""
    # Given ten that wait for their eta, of 10 MB each, and one in another queue
    cluster = make("redis")
    client = redis.Redis.from_url(cluster.url)
    now = time.time()
    cluster.publish("small", headers={HEADER: now - 100})
    headers = {HEADER: now - 100, "eta": "2120-01-01T00:00:00+00:00"}
    message = {"body": "x" * 10_000_000, "headers": headers}
    for number in range(10):
        client.lpush("large", json.dumps(message))
        client.hset("unacked", f"tag{number}", json.dumps([message, "", "large"]))
    sent = client.info("stats")["total_net_output_bytes"]

    # When
    probe = cluster.probe()
    large, small = probe.read(("large", "small"))
    elapsed = time.time() - now

    # Then
    sent = client.info("stats")["total_net_output_bytes"] - sent
    client.delete("large", "unacked")
    client.close()
    assert (large.ready, large.oldest_seconds, large.unacked) == (10, None, None)
    assert 100 <= (small.oldest_seconds or 0) <= 100 + elapsed
    assert sent < 100_000
    assert "more than 1 MB on average" in probe.age_hint


@pytest.mark.parametrize("kind", REDIS)
def test_redis_reports_the_age_of_the_oldest_of_all_priorities(kind: str, make: Make) -> None:
    cluster = make(kind)
    now = time.time()
    cluster.publish("q", headers={HEADER: now - 100}, priority=0)
    cluster.publish("q", headers={HEADER: now - 900}, priority=9)
    cluster.publish("q", headers={HEADER: now - 5}, priority=9)
    cluster.publish("no time")

    with_time, without, empty = cluster.probe().read(("q", "no time", "empty"))

    assert with_time.oldest_seconds == pytest.approx(900, abs=60)
    assert without.oldest_seconds is None
    assert empty.oldest_seconds is None


@pytest.mark.parametrize("kind", REDIS)
def test_redis_reports_no_age_while_one_priority_hides_its_own(kind: str, make: Make) -> None:
    """The message without a time may be the oldest."""
    cluster = make(kind)
    cluster.publish("q", headers={HEADER: time.time() - 100}, priority=0)
    cluster.publish("q", priority=9)

    assert cluster.probe().read(("q",))[0].oldest_seconds is None


def eta_in(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, timezone.utc).isoformat()


@pytest.mark.parametrize(
    ("ahead", "behind", "age"),
    [
        (1, ({HEADER: 100}, {HEADER: 50}), 100),
        (9, ({HEADER: 100},), 100),
        (10, ({HEADER: 100},), None),  # nobody looks that far
        (1, ({},), None),  # it may be older
        (1, (), 0),
        (3, (), 0),  # none of them waits yet
    ],
)
def test_redis_looks_behind_messages_that_wait_for_their_eta(
    ahead: int, behind: tuple[dict[str, float], ...], age: float | None, make: Make
) -> None:
    cluster = make("redis")
    now = time.time()
    for _ in range(ahead):
        cluster.publish("q", headers={HEADER: now - 500, "eta": eta_in(3_600)})
    for headers in behind:
        cluster.publish("q", headers={name: now - ago for name, ago in headers.items()})

    found = cluster.probe().read(("q",))[0].oldest_seconds

    assert found == (None if age is None else pytest.approx(age, abs=30))


def test_redis_keys_that_are_refused_cost_only_themselves(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """An access control list that knows one queue, but neither another nor what is unacked."""
    # Given
    cluster = make("redis")
    cluster.publish("q", headers={HEADER: time.time() - 100})
    cluster.publish("secret")
    user = f"monitor-{uuid4().hex}"
    with redis.Redis.from_url(cluster.url) as admin:
        admin.execute_command("ACL", "SETUSER", user, "on", ">geheim", "+@all", "~q*")
        try:
            probe = cluster.probe(to=cluster.url.replace("redis://", f"redis://{user}:geheim@"))

            # When
            with caplog.at_level(logging.WARNING, "event_monitor"):
                for _ in range(3):
                    q, secret = probe.read(("q", "secret"))
        finally:
            admin.execute_command("ACL", "DELUSER", user)

    # Then
    assert (q.ready, q.unacked) == (1, None)
    assert q.oldest_seconds == pytest.approx(100, abs=30)
    assert secret == QueueDepth("secret")
    assert len(caplog.messages) == 1
    assert "a part of the queues is unknown: " in caplog.text
    assert "geheim" not in caplog.text
