"""Subscriptions: all deliver the same bodies, in order, and refuse the same messages."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Producer, Queue

from event_monitor.errors import InvalidEvent
from event_monitor.receiver.durable import DurableQueue
from event_monitor.receiver.kombu import QueueSubscription
from event_monitor.receiver.ledger import Ledger
from event_monitor.receiver.subscription import Subscription
from event_monitor.receiver.transports import subscription_to
from event_monitor.testing import FakeClock

from ..support.servers import SENTINEL_MASTER, Server
from ..support.waiting import wait_until

RECORDINGS = Path(__file__).parents[1] / "support" / "recordings"
on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


class Stream:
    """A subscription and a producer on the same broker."""

    def __init__(
        self, subscription: Subscription, connection: Connection, invalid: list[str]
    ) -> None:
        self.subscription = subscription
        self.invalid = invalid
        self.connection = connection
        self._producer = Producer(connection.channel(), exchange=get_exchange(connection))

    def send(self, body: object, **options: object) -> None:
        self._producer.publish(body, routing_key="task.multi", **options)

    def receive(self, count: int) -> list[bytes]:
        bodies: list[bytes] = []

        def enough() -> bool:
            bodies.extend(self.subscription.read(0.1).bodies)
            return len(bodies) >= count

        wait_until(enough, 60, f"{count} bodies")
        return bodies


KINDS = ["redis", "redis through kombu", "sentinel", "rabbitmq"]
OPTIONS = {"sentinel": {"master_name": SENTINEL_MASTER}}


@pytest.fixture(params=KINDS)
def stream(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> Iterator[Stream]:
    kind: str = request.param
    url = server(kind.partition(" ")[0]).fresh_url()
    invalid: list[str] = []
    with Connection(url, transport_options=OPTIONS.get(kind, {})) as connection:
        queue = Queue("celeryev.test", exchange=get_exchange(connection), routing_key="#")
        queue.auto_delete = True

        def on_invalid(error: InvalidEvent) -> None:
            invalid.append(error.kind)

        subscription: Subscription
        if kind == "redis through kombu":
            subscription = QueueSubscription(connection, queue=queue, on_invalid=on_invalid)
            subscription.open()
            assert not subscription.read(0.5).bodies  # kombu subscribes when it first reads
        else:
            subscription = subscription_to(connection, queue=queue, on_invalid=on_invalid)
            subscription.open()
        yield Stream(subscription, connection, invalid)
        subscription.close()


@pytest.mark.parametrize("recording", ["redis", "rabbitmq"])
def test_a_recorded_stream_arrives_body_for_body(stream: Stream, recording: str) -> None:
    """Whatever the path, the same bytes in the same order."""
    lines = (RECORDINGS / f"{recording}.jsonl").read_text().splitlines()
    sent = [json.loads(line)["body"] for line in lines]
    for body in sent:
        stream.send(body)
    assert [json.loads(body) for body in stream.receive(len(sent))] == sent
    assert stream.invalid == []


def test_what_is_refused_is_counted_and_the_next_message_arrives(stream: Stream) -> None:
    """A compressed bomb, a pickle, another serializer: unread."""
    bomb = bz2.compress(b" " * 50_000_000)
    stream.send(bomb, headers={"compression": "application/x-bz2"}, **JSON)
    stream.send(
        b"\x80\x04", content_type="application/x-python-serialize", content_encoding="binary"
    )
    stream.send(b"a: 1", content_type="application/x-yaml", content_encoding="utf-8")
    stream.send({"type": "x-y"})
    assert [json.loads(body) for body in stream.receive(1)] == [{"type": "x-y"}]
    assert stream.invalid == ["compressed message", "content type", "content type"]


def test_bytes_that_are_not_json_are_left_for_the_decoder_to_judge(stream: Stream) -> None:
    """The envelope is right; what is in it is not the subscription's business."""
    for body in (b"not json", b'{"type": "\xff"}', "ж".encode()):
        stream.send(body, **{**JSON, "content_encoding": "binary"})
    assert stream.receive(3) == [b"not json", b'{"type": "\xff"}', "ж".encode()]


def test_events_of_celerys_own_dispatcher_arrive(stream: Stream) -> None:
    """The exchange, its type and the topic are the ones Celery publishes to."""
    app = Celery("publisher", broker=stream.connection.as_uri(include_password=True))
    app.conf.broker_transport_options = stream.connection.transport_options
    with app.events.default_dispatcher(hostname="celery@h") as dispatcher:
        dispatcher.send("worker-heartbeat", freq=2.0)
    app.close()
    (body,) = stream.receive(1)
    assert json.loads(body)["type"] == "worker-heartbeat"


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"global_keyprefix": "team:"},
        {"fanout_patterns": False},
        {"fanout_prefix": False},
        {"fanout_prefix": "mine."},
    ],
    ids=str,
)
def test_redis_options_that_change_the_channel_are_honoured(
    broker: str, options: dict[str, object]
) -> None:
    """As in kombu's documentation."""
    with Connection(broker, transport_options=options) as connection:
        queue = Queue("celeryev.test", exchange=get_exchange(connection), routing_key="#")
        subscription = subscription_to(connection, queue=queue, on_invalid=lambda _: None)
        subscription.open()
        stream = Stream(subscription, connection, [])
        stream.send({"type": "x-y"})
        assert len(stream.receive(1)) == 1
        subscription.close()


# -- the length of its own queue -------------------------------------------------------------------


def length_of(subscription: Subscription, clock: FakeClock) -> int | None:
    """Read once, when it is due to ask, and return the queue's length as far as it is known.

    Each read waits for an answer: of three without one, nine seconds apart by the clock, the last
    takes the server for gone.
    """
    clock.advance(3)
    subscription.read(60)
    return subscription.queue_length


@on_rabbitmq
@pytest.mark.parametrize("exclusive", [False, True])
def test_the_length_of_its_own_queue_is_told_even_where_nobody_else_may_ask(
    exclusive: bool, broker: str
) -> None:
    """What is pushed to it waits no more; events go on coming."""
    clock = FakeClock()
    with Connection(broker) as connection:
        queue = Queue("celeryev.test", get_exchange(connection), "#", exclusive=exclusive)
        queue.auto_delete = True
        subscription = subscription_to(
            connection, queue=queue, on_invalid=lambda _: None, clock=clock
        )
        subscription.open()
        assert subscription.queue_length is None

        wait_until(lambda: length_of(subscription, clock) == 0, 60, "it is known")

        stream = Stream(subscription, connection, [])
        stream.send({"type": "x-y"})
        assert len(stream.receive(1)) == 1
        subscription.close()


@on_rabbitmq
def test_the_length_of_a_durable_queue_is_that_of_what_was_not_delivered_yet(broker: str) -> None:
    """And no more is delivered than may be unacknowledged, though the exchange was not there."""
    clock = FakeClock()
    durable = DurableQueue(
        name="events", prefetch=1, max_length=1_000, expires_seconds=60.0, ledger=Ledger(1_000)
    )
    with Connection(broker) as connection:
        queue = Queue("celeryev.test", get_exchange(connection), "#")
        subscription = subscription_to(
            connection, queue=queue, on_invalid=lambda _: None, durable=durable, clock=clock
        )
        subscription.open()
        stream = Stream(subscription, connection, [])
        for sent in (3, 7):
            for _ in range(sent):
                stream.send({"type": "x-y"})
            waiting = {3: 2, 7: 9}[sent]  # one is with us, and not acknowledged
            wait_until(
                lambda waiting=waiting: length_of(subscription, clock) == waiting,  # type: ignore[misc]
                60,
                f"{waiting} wait, not {subscription.queue_length}",
            )
        subscription.close()
