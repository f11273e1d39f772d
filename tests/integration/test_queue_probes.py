"""Queue probes: every kind tells the same of the same queues, against the real server."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery
from celery.signals import before_task_publish
from kombu import Connection, Consumer, Exchange, Producer, Queue

from event_monitor.broker.enqueued_at import HEADER, stamp_tasks
from event_monitor.probes.queues import QueueProbe, queue_probe_to
from event_monitor.probes.queues_amqp import DeclareProbe
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.proj import build
from ..support.proxy import Proxy
from ..support.servers import free_port, kill_group, listens
from ..support.waiting import wait_until

#: How long the management API's counters may lag behind.
LAG_SECONDS = 60
SETTINGS = Settings(probe_seconds=2.0)


class Cluster:
    """A broker of one kind, the app that uses it, and probes of it; all closed at the end."""

    def __init__(self, url: str, *, arguments: dict[str, Any] | None = None, **options: Any):
        self.app = Celery("probed", broker=url, set_as_current=False)
        self.app.conf.broker_transport_options = options
        self._arguments = arguments
        self._closing = ExitStack()
        self.connection: Connection = self._closing.enter_context(self.app.connection_for_write())

    def probe(self, *, to: str | None = None, **settings: Any) -> QueueProbe:
        """A probe of this broker, or of it under another address."""
        app = self.app
        if to is not None:
            app = Celery("probed", broker=to, set_as_current=False)
            app.conf.broker_transport_options = self.app.conf.broker_transport_options
        probe = queue_probe_to(app, replace(SETTINGS, **settings))
        self._closing.callback(probe.close)
        return probe

    def queue(self, name: str) -> Queue:
        return Queue(name, Exchange(""), routing_key=name, queue_arguments=self._arguments)

    def publish(self, name: str, count: int = 1, **options: Any) -> None:
        with self.connection.channel() as channel:
            queue = self.queue(name)(channel)
            queue.queue_declare()
            for number in range(count):
                Producer(channel).publish({"n": number}, routing_key=name, **options)

    def take(self, name: str, count: int) -> None:
        """Consume so many messages, acknowledging none, until the end of the test."""
        connection = self._closing.enter_context(self.app.connection_for_read())
        taken: list[Any] = []
        channel = connection.channel()
        channel.basic_qos(0, count, False)
        consumer = Consumer(channel, [self.queue(name)], on_message=taken.append)
        consumer.consume()
        deadline = time.monotonic() + 20
        while len(taken) < count and time.monotonic() < deadline:
            connection.drain_events(timeout=5)
        assert len(taken) == count

    def close(self) -> None:
        self._closing.close()


KINDS = ("redis", "redis prefixed", "redis socket", "sentinel", "classic", "quorum", "sqs")
Make = Callable[[str], Cluster]


@pytest.fixture(scope="session")
def sentinel(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real sentinel that watches over the Redis server."""
    master, folder, port = server("redis"), tmp_path_factory.mktemp("sentinel"), free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
    )
    executable = shutil.which("redis-server")
    assert executable is not None
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [executable, str(config), "--sentinel"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: listens(port), 10, "the sentinel listens")
        yield f"sentinel://127.0.0.1:{port}"
    finally:
        kill_group(process)


@pytest.fixture
def make(
    request: pytest.FixtureRequest,
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:
    """Makes a cluster of the kind that is named."""
    closing = ExitStack()

    def unix_socket() -> str:
        server("redis")  # skips, or fails, where there is none
        path = tmp_path / "redis.sock"
        process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        closing.callback(kill_group, process)
        wait_until(path.exists, 10, "the socket is there")
        return f"redis+socket://{path}"

    def make_one(kind: str) -> Cluster:
        if kind == "redis":
            cluster = Cluster(server("redis").fresh_url())
        elif kind == "redis prefixed":
            cluster = Cluster(
                server("redis").fresh_url(),
                global_keyprefix="{mine}:",
                sep=":",
                priority_steps=[0, 5],
                unacked_key="taken",
            )
        elif kind == "redis socket":
            cluster = Cluster(unix_socket())
        elif kind == "sentinel":
            url = server("redis").fresh_url()
            sentinel = request.getfixturevalue("sentinel")
            cluster = Cluster(f"{sentinel}/{url.rpartition('/')[2]}", master_name="mymaster")
        elif kind == "sqs":
            endpoint = CloudWatch()  # the endpoint of all of AWS
            closing.callback(endpoint.stop)
            for name, value in endpoint.environ.items():
                monkeypatch.setenv(name, value)
            address = endpoint.url.removeprefix("http://")
            cluster = Cluster(
                f"sqs://testing:testing@{address}",
                region="us-east-1",
                is_secure=False,
                queue_name_prefix=f"{uuid4().hex}-",  # moto is one for all
            )
        else:
            cluster = Cluster(
                server("rabbitmq").fresh_url(),
                arguments={"x-queue-type": kind},
                confirm_publish=True,  # else a message may come after the question
            )
        closing.callback(cluster.close)
        return cluster

    yield make_one
    closing.close()


@pytest.mark.parametrize("kind", KINDS)
class TestContract:
    """What every kind of probe promises."""

    def test_tells_what_waits_in_each_queue_in_the_order_asked(self, kind: str, make: Make) -> None:
        cluster = make(kind)
        cluster.publish("one", 1)
        cluster.publish("three", 3)
        cluster.publish("three.elsewhere", 2)

        depths = cluster.probe().read(("three", "one"))

        assert [(one.name, one.ready) for one in depths] == [("three", 3), ("one", 1)]

    def test_messages_that_were_taken_are_not_ready(self, kind: str, make: Make) -> None:
        cluster = make(kind)
        cluster.publish("q", 5)
        cluster.take("q", 2)
        probe = cluster.probe()

        wait_until(lambda: probe.read(("q",))[0].ready == 3, 10, "three are ready")

    def test_knows_nothing_of_a_queue_that_is_not_there(self, kind: str, make: Make) -> None:
        """On Redis a queue that is empty and one that is not there are the same."""
        cluster = make(kind)
        cluster.publish("there", 1)

        missing, there, too = cluster.probe().read(("missing", "there", "missing, too"))

        assert there.ready == 1
        absent = (0, 0) if kind in ("redis", "redis prefixed", "redis socket", "sentinel") else None
        for depth in (missing, too):
            assert (depth.ready, depth.unacked) == (absent or (None, None))

    def test_asks_again_after_it_was_closed(self, kind: str, make: Make) -> None:
        cluster = make(kind)
        cluster.publish("q", 2)
        probe = cluster.probe()
        before = probe.read(("q",))
        probe.close()
        probe.close()

        assert [one.ready for one in probe.read(("q",))] == [one.ready for one in before] == [2]

    def test_no_names_no_depths(self, kind: str, make: Make) -> None:
        assert make(kind).probe().read(()) == ()


PORTS = ("redis", "rabbitmq")  # kinds of which an address is reached through a proxy


@pytest.fixture(params=PORTS)
def proxied(request: pytest.FixtureRequest, make: Make, server: Any) -> Iterator[Any]:
    """A cluster with one message in ``q``, a proxy before it, and the URL through the proxy."""
    kind = request.param
    cluster = make("classic" if kind == "rabbitmq" else kind)
    cluster.publish("q", 1)
    with Proxy(server(kind).port) as proxy:
        url = cluster.app.conf.broker_url
        yield cluster, proxy, url.replace(f":{server(kind).port}", f":{proxy.port}")


def test_a_broker_that_is_down_is_gone_and_comes_back(proxied: Any) -> None:
    # Given a probe that has read once
    cluster, proxy, url = proxied
    probe = cluster.probe(to=url)
    assert probe.read(("q",))[0].ready == 1

    # When the broker refuses connections, then takes them again
    proxy.refuse()
    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))
    proxy.forward()

    # Then it is read as before
    assert probe.read(("q",))[0].ready == 1


def test_a_connection_that_was_cut_while_idle_is_no_failure(proxied: Any) -> None:
    cluster, proxy, url = proxied
    probe = cluster.probe(to=url)
    probe.read(("q",))
    proxy.refuse()
    proxy.forward()

    assert probe.read(("q",))[0].ready == 1


def test_a_broker_that_falls_silent_is_gone(proxied: Any) -> None:
    """The test's own time-out is the bound that matters."""
    cluster, proxy, url = proxied
    probe = cluster.probe(to=url, probe_seconds=0.5)
    probe.read(("q",))
    proxy.freeze()

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


def test_a_broker_that_never_says_a_word_is_gone(proxied: Any) -> None:
    cluster, proxy, url = proxied
    proxy.freeze()
    probe = cluster.probe(to=url, probe_seconds=0.5)

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


def test_a_wrong_password_is_gone_and_not_shown(proxied: Any) -> None:
    cluster, _, url = proxied
    host = url.rpartition("@")[2].rpartition("//")[2]
    scheme = url.partition(":")[0]
    probe = cluster.probe(to=f"{scheme}://guest:hunter2@{host}")

    with pytest.raises(probe.gone, match="cannot be read") as raised:
        probe.read(("q",))
    assert "hunter2" not in str(raised.value)


def test_the_next_url_of_a_broker_is_tried(make: Make, server: Any) -> None:
    cluster = make("classic")
    cluster.publish("q", 1)
    url = cluster.app.conf.broker_url
    away = url.replace(f":{server('rabbitmq').port}", f":{free_port()}")

    assert cluster.probe(to=f"{away};{url}").read(("q",))[0].ready == 1


# -- Redis ----------------------------------------------------------------------------------------

REDIS = ("redis", "redis prefixed", "sentinel")


@pytest.mark.parametrize("kind", REDIS)
def test_redis_adds_up_all_priorities(kind: str, make: Make) -> None:
    cluster = make(kind)
    for priority in (0, 3, 5, 9):
        cluster.publish("q", 2, priority=priority)

    assert cluster.probe().read(("q",))[0].ready == 8


@pytest.mark.parametrize("kind", REDIS)
def test_redis_tells_the_unacknowledged_of_each_queue(kind: str, make: Make) -> None:
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


def test_redis_reckons_the_unacknowledged_from_a_sample(make: Make) -> None:
    # Given more than is read at a time: 2,400 of p and 800 of q
    cluster = make("redis")
    client = redis.Redis.from_url(cluster.app.conf.broker_url)
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


def test_redis_key_that_is_no_queue_is_unknown(make: Make) -> None:
    cluster = make("redis")
    cluster.publish("q", 1)
    client = redis.Redis.from_url(cluster.app.conf.broker_url)
    client.set("text", "not a list")
    client.set("unacked", "not a hash")
    client.close()

    assert cluster.probe().read(("text", "q")) == (QueueDepth("text"), QueueDepth("q", ready=1))


@pytest.mark.parametrize("kind", REDIS)
def test_redis_tells_the_age_of_the_oldest_of_all_priorities(kind: str, make: Make) -> None:
    cluster = make(kind)
    now = time.time()
    cluster.publish("q", headers={HEADER: now - 100}, priority=0)
    cluster.publish("q", headers={HEADER: now - 900}, priority=9)
    cluster.publish("q", headers={HEADER: now - 5}, priority=9)
    cluster.publish("no stamp")

    stamped, unstamped, empty = cluster.probe().read(("q", "no stamp", "empty"))

    assert stamped.oldest_seconds == pytest.approx(900, abs=60)
    assert unstamped.oldest_seconds is None
    assert empty.oldest_seconds is None


# -- RabbitMQ -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_rabbitmq_tells_consumers(kind: str, make: Make) -> None:
    cluster = make(kind)
    cluster.publish("q", 3)
    cluster.publish("idle", 1)
    cluster.take("q", 1)
    cluster.take("q", 1)

    q, idle = cluster.probe().read(("q", "idle"))

    assert (q.consumers, idle.consumers) == (2, 0)
    assert (q.unacked, q.memory_bytes, q.arrivals_per_second) == (None, None, None)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_rabbitmq_management_tells_the_rest(kind: str, make: Make, server: Any) -> None:
    cluster = make(kind)
    cluster.publish("q", 3)
    cluster.take("q", 2)
    url = f"http://guest:guest@127.0.0.1:{server('rabbitmq').http_port}"
    probe = cluster.probe(management_url=url)

    def detailed() -> QueueDepth | None:
        depth = probe.read(("q",))[0]  # its numbers come in one by one
        told = depth.memory_bytes is not None and depth.arrivals_per_second is not None
        return depth if depth.unacked == 2 and told else None

    depth = wait_until(detailed, LAG_SECONDS, "the management API has caught up")

    assert (depth.ready, depth.consumers) == (1, 1)
    assert (depth.memory_bytes or 0) > 0
    assert depth.deliveries_per_second is not None


def test_rabbitmq_management_tells_an_age_where_producers_set_the_timestamp(
    make: Make, server: Any
) -> None:
    cluster = make("classic")
    cluster.publish("q", timestamp=int(time.time()) - 500)
    url = f"http://guest:guest@127.0.0.1:{server('rabbitmq').http_port}"
    probe = cluster.probe(management_url=url)

    def age() -> float | None:
        return probe.read(("q",))[0].oldest_seconds

    assert wait_until(age, LAG_SECONDS, "an age is told") == pytest.approx(500, abs=60)


def test_rabbitmq_without_its_management_tells_what_amqp_knows(
    make: Make, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password there is logged once, and not shown."""
    cluster = make("classic")
    cluster.publish("q", 1)
    port = server("rabbitmq").http_port
    probes = (
        cluster.probe(management_url=f"http://guest:hunter2@127.0.0.1:{port}"),
        cluster.probe(management_url=f"http://guest:hunter2@127.0.0.1:{free_port()}"),
    )

    for probe in probes:
        caplog.clear()
        for _ in range(2):
            assert probe.read(("q",)) == (QueueDepth("q", ready=1, consumers=0),)
        assert [one.levelname for one in caplog.records] == ["WARNING"]
        assert "hunter2" not in caplog.text


def test_rabbitmq_missing_queue_is_logged_once_until_it_was_there(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make("quorum")
    probe = cluster.probe()

    def warnings() -> int:
        return sum("queue late" in one.getMessage() for one in caplog.records)

    with caplog.at_level(logging.WARNING, "event_monitor"):
        for _ in range(3):
            assert probe.read(("late",)) == (QueueDepth("late"),)
        assert warnings() == 1
        cluster.publish("late", 1)
        assert probe.read(("late",))[0].ready == 1
        cluster.queue("late")(cluster.connection.default_channel).delete()
        assert probe.read(("late",)) == (QueueDepth("late"),)
        assert warnings() == 2


def test_rabbitmq_missing_queues_leave_no_channels_behind(make: Make) -> None:
    probe = make("classic").probe()
    for _ in range(5):
        assert probe.read(("missing", "too")) == (QueueDepth("missing"), QueueDepth("too"))

    assert isinstance(probe, DeclareProbe)
    assert probe._link._connection is not None
    assert set(probe._link._connection.connection.channels) == {0}  # the connection itself


# -- SQS, and the rest ----------------------------------------------------------------------------


def test_sqs_tells_what_was_received_and_predefined_queues_are_used(make: Make) -> None:
    # Given a queue that kombu may not create, of another name than ours
    cluster = make("sqs")
    cluster.publish("q", 3)
    channel = cluster.connection.default_channel
    url = channel._resolve_queue_url("q")
    options = dict(cluster.app.conf.broker_transport_options)
    del options["queue_name_prefix"]
    options["predefined_queues"] = {"ours": {"url": url}}
    cluster.app.conf.broker_transport_options = options

    # When one message is received
    assert channel.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]

    # Then it is unacknowledged
    ours, other = cluster.probe().read(("ours", "other"))
    assert ours == QueueDepth("ours", ready=2, unacked=1)
    assert other == QueueDepth("other")


def test_sqs_that_does_not_answer_is_gone(make: Make) -> None:
    probe = make("sqs").probe(to=f"sqs://testing:testing@127.0.0.1:{free_port()}")

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


def test_any_other_transport_tells_what_is_ready(tmp_path: Path) -> None:
    folder = str(tmp_path)
    cluster = Cluster(
        "filesystem://", data_folder_in=folder, data_folder_out=folder, control_folder=folder
    )
    cluster.publish("q", 2)
    try:
        assert cluster.probe().read(("q",)) == (QueueDepth("q", ready=2),)
    finally:
        cluster.close()


# -- real workers ---------------------------------------------------------------------------------


def test_what_a_real_worker_holds_is_unacknowledged(
    processes: Processes, client: Celery, server: Any, environ: dict[str, str]
) -> None:
    # Given one worker of one process, busy
    processes.worker("w1@host1", concurrency=1)
    for _ in range(8):
        client.tasks["proj.sleep_for"].delay(600)
    settings = SETTINGS
    if environ["BROKER_URL"].startswith("amqp"):
        url = f"http://guest:guest@127.0.0.1:{server('rabbitmq').http_port}"
        settings = replace(SETTINGS, management_url=url)
    probe = queue_probe_to(client, settings)

    # Then of eight tasks one runs and is acknowledged; it holds four more, and three wait
    def held() -> bool:
        depth = probe.read(("celery",))[0]
        return (depth.ready, depth.unacked) == (3, 4)

    try:
        wait_until(held, LAG_SECONDS, "the worker holds four")
    finally:
        probe.close()


@pytest.fixture
def producer(environ: dict[str, str]) -> Iterator[Celery]:
    """An app whose tasks are stamped."""
    app = build(environ)
    stamp_tasks(app)
    yield app
    before_task_publish.disconnect(dispatch_uid=HEADER)
    app.close()


@pytest.mark.parametrize("headers", [None, {"headers": {"sentry-trace": "0"}}], ids=["", "nested"])
def test_a_retry_keeps_the_stamp_of_the_first_time(
    headers: dict[str, Any] | None, processes: Processes, producer: Celery
) -> None:
    """Also where a tracer puts headers within the headers."""
    # Given a producer and a worker that stamp their tasks
    project = "tests.support.stamped"
    worker = processes.start(["celery", "-A", project, "worker", "-P", "solo", "-l", "INFO"])
    worker.wait_for_output(" ready.")

    # When a task is retried
    before = time.time()
    producer.send_task("tell_stamp", headers=headers)
    after = time.time()
    worker.wait_for_output("run 1 of a task", 30)

    # Then both messages tell when it was first published
    lines = [line for line in worker.output.splitlines() if " of a task sent at " in line]
    stamps = [float(line.rpartition(" ")[2].rstrip(".")) for line in lines]
    assert len(stamps) == 2
    assert stamps[0] == stamps[1]
    assert before <= stamps[0] <= after
