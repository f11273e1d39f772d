"""Over SQS: real workers with the one line, on Redis and on SQS itself."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from celery import Celery
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from event_monitor.liveness import Liveness, address_of, worker_identity
from event_monitor.over_sqs.wire import decode

from ..support.answering import OK, Answering, trickle
from ..support.cloudwatch import REGION, CloudWatch
from ..support.processes import ROOT, Process, Processes
from ..support.servers import missing
from ..support.sqs import EventEndpoint, events_in
from ..support.waiting import wait_until

APP = """\
import os, time
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.broker_transport_options = {
    "region": "us-east-1", "is_secure": False, "polling_interval": 0.1, "wait_time_seconds": 0,
} if app.conf.broker_url.startswith("sqs") else {}
send_events_over_sqs(app, os.environ["EVENT_QUEUE"], flush_seconds=0.5, beat_seconds=1)

@app.task(bind=True)
def buy(self, secret):
    self.send_event("shop-bought", secret=secret)
    return f"result {secret}"

@app.task(rate_limit="6/m", send_events=False)
def seldom():
    pass

@app.task
def fail(secret):
    raise ValueError(f"text {secret}")

@app.task
def wait(path):
    while not os.path.exists(path):
        time.sleep(0.01)
"""
BEAT_APP = """\
import os
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.task_send_sent_event = True
app.conf.beat_schedule = {"tick": {"task": "shop.tick", "schedule": 0.3}}
send_events_over_sqs(app, os.environ["EVENT_QUEUE"], flush_seconds=60, producers=True)

@app.task
def tick():
    pass
"""
SECRET = "hunter2"
TASKS = 20

#: Each pool, and what it needs on SQS, which only kombu's event loop asks by way of pycurl.
POOLS = {
    "prefork": "pycurl",
    "threads": "pycurl",
    "solo": "pycurl",
    "gevent": "gevent",
    "eventlet": "eventlet",
}

StartWorker = Callable[..., Process]

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def endpoint() -> Iterator[EventEndpoint]:
    with EventEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def start_worker(processes: Processes, broker: str, tmp_path: Path) -> StartWorker:
    """Return a function that starts a worker whose events go to the queue with that URL."""

    def start(
        queue: str, pool: str, *options: str, broker_url: str = broker, app: str = APP
    ) -> Process:
        (tmp_path / "shop.py").write_text(app)
        command = ["celery", "-A", "shop", "worker", "-n", "w1@host", "-E", "-l", "INFO", "-c", "2"]
        worker = processes.start(
            [*command, "--pool", pool, *options],
            {
                "PYTHONPATH": f"{tmp_path}:{ROOT}",
                "BROKER_URL": broker_url,
                "EVENT_QUEUE": queue,
                "TMPDIR": str(tmp_path),
            },
        )
        worker.wait_for_output("w1@host ready.")
        return worker

    return start


def publish(client: Celery, *, sent_at: float | None = None) -> None:
    """Publish some tasks, all but one of which succeed."""
    headers = {} if sent_at is None else {"event_monitor_sent_at": sent_at}
    for number in range(TASKS - 1):
        client.send_task("shop.buy", (f"{SECRET} {number}",), headers=headers)
    client.send_task("shop.fail", (SECRET,), headers=headers)


def truth(output: str) -> dict[str, int]:
    """Return what a worker's log says of the events it must have sent."""
    began = output.count("succeeded in") + output.count("raised unexpected")
    return {
        "task-received": output.count("] received"),
        "task-started": began,
        "task-succeeded": output.count("succeeded in"),
        "task-failed": output.count("raised unexpected"),
        "shop-bought": output.count("succeeded in"),
    }


def counted(events: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many events there are of each type that ``truth`` knows."""
    counts = Counter(event["type"] for event in events)
    return {type_: counts[type_] for type_ in truth("")}


def expected_facts(client: Celery) -> dict[str, Any]:
    """Return what the worker answers when it is asked."""
    inspect = client.control.inspect(destination=["w1@host"], timeout=5, limit=1)
    answers: dict[str, Any] = {}

    def has_answered() -> bool:
        answers.update(stats=inspect.stats(), queues=inspect.active_queues())
        return all(answers.values())

    wait_until(has_answered, 60, "the worker answers")
    stats = answers["stats"]["w1@host"]
    return {
        "pool_processes": len(stats["pool"]["processes"]),
        "is_solo": False,
        **dict.fromkeys(("active", "reserved", "scheduled", "revoked"), 0),
        "prefetch_count": stats["prefetch_count"],
        "silent": 0,
        "start_interval_seconds": 10.0,
        "queues": [queue["name"] for queue in answers["queues"]["w1@host"]],
    }


def test_what_a_worker_did_is_what_it_sends(
    endpoint: EventEndpoint, start_worker: StartWorker, client: Celery, tmp_path: Path
) -> None:
    """Stopped in the middle of its work; events of its pool's short-lived processes as well.

    And its heartbeats tell what ``inspect`` would: they are read in the worker's own process.
    """
    # Given
    queue = f"{endpoint.url}/123456789012/celeryev"
    worker = start_worker(queue, "prefork", "--max-tasks-per-child", "5")
    facts = expected_facts(client)
    wait_until(
        lambda: any(event["type"] == "worker-heartbeat" for event in endpoint.events),
        60,
        "a heartbeat arrives",
    )
    published_at = time.time() - 60

    # When
    publish(client, sent_at=published_at)
    worker.wait_for_output("succeeded in", times=TASKS // 2)
    note = Liveness(
        identity=worker_identity(address_of(client.connection_for_read()), "w1@host"),
        sign="worker",
        temporary_dir=tmp_path,
    )
    wait_until(lambda: note.last(now=time.time()), 60, "the worker leaves its note")
    assert worker.stop() == 0

    # Then
    events = endpoint.events
    assert counted(events) == truth(worker.output)
    goodbye = [event for event in events if event["type"] == "worker-offline"]
    assert len(goodbye) <= 2
    counts = [event["processed"] for event in events if event["type"].startswith("worker-")]
    assert counts == sorted(counts)
    assert goodbye[-1]["processed"] == truth(worker.output)["task-started"]  # said twice, or once
    assert {e["sent_at"] for e in events if e["type"] == "task-started"} == {published_at}
    [failed] = [e["exception"] for e in events if e["type"] == "task-failed"] or ["ValueError()"]
    assert failed == "ValueError()"
    for body in endpoint.bodies:
        assert SECRET not in body
        assert "result" not in body
    assert note.last(now=time.time()) is None
    beat = next(event for event in events if event["type"] == "worker-heartbeat")
    assert beat["facts"].pop("memory_bytes") > 20_000_000
    assert (beat["facts"], beat["freq"], beat["hostname"]) == (facts, 2.0, "w1@host")


def test_a_worker_does_its_work_though_sqs_hangs(start_worker: StartWorker, client: Celery) -> None:
    """And stops as asked; what could not be sent is told."""
    with Answering(trickle(OK)) as tarpit:
        # Given
        worker = start_worker(f"http://127.0.0.1:{tarpit.port}/123456789012/celeryev", "prefork")

        # When
        publish(client)
        worker.wait_for_output("succeeded in", times=TASKS - 1)

        # Then
        assert worker.stop(signal.SIGTERM) == 0
    assert "events are not sent: the process ends" in worker.output


def test_a_beat_in_a_worker_sends_its_last_events_when_both_stop(
    endpoint: EventEndpoint, start_worker: StartWorker, tmp_path: Path
) -> None:
    """The worker ends that process by a signal: it would take along what waits to be sent."""
    # Given one that has sent nothing yet, for a minute has not passed
    queue = f"{endpoint.url}/123456789012/celeryev"
    schedule = ("-B", "-s", str(tmp_path / "schedule"))
    worker = start_worker(queue, "solo", *schedule, app=BEAT_APP)
    worker.wait_for_output("succeeded in", times=5)

    # When
    assert worker.stop() == 0

    # Then each task that ran was sent (of the last one it may have been in the middle)
    ids = {
        type_: [event["uuid"] for event in endpoint.events if event["type"] == type_]
        for type_ in ("task-sent", "task-received")
    }
    assert len(ids["task-received"]) >= 5
    assert set(ids["task-received"][:-1]) <= set(ids["task-sent"])


class SqsBroker:
    """SQS as the broker of tasks, and the two queues that whoever runs it has made."""

    def __init__(self, url: str) -> None:
        self.url = f"sqs://testing:testing@{urlsplit(url).netloc}"
        self._sqs = boto3.client(
            "sqs",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self._urls = [
            self._sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("celery", "celeryev")
        ]

    @contextmanager
    def producer(self) -> Iterator[Celery]:
        """Return an app that publishes tasks."""
        with Celery("producer", broker=self.url, set_as_current=False) as producer:
            producer.conf.broker_transport_options = {"region": REGION, "is_secure": False}
            yield producer

    def take_events(self) -> list[dict[str, Any]]:
        """Return the events that have come since the last call."""
        bodies = []
        url = self._urls[1]
        while found := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in found:
                bodies.append(message["Body"])
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return events_in([decode(body) for body in bodies])

    def close(self) -> None:
        """Delete the queues."""
        for url in self._urls:
            self._sqs.delete_queue(QueueUrl=url)
        self._sqs.close()


@pytest.fixture
def sqs_broker(cloudwatch: CloudWatch) -> Iterator[SqsBroker]:
    sqs_broker = SqsBroker(cloudwatch.url)
    yield sqs_broker
    sqs_broker.close()


@pytest.mark.parametrize(("pool", "library"), POOLS.items(), ids=POOLS)
def test_on_sqs_itself_a_worker_of_any_pool_sends_over_sqs(
    sqs_broker: SqsBroker, start_worker: StartWorker, pool: str, library: str
) -> None:
    """Both with the credentials of the broker's URL. No queue is made but by whoever makes them."""
    if importlib.util.find_spec(library) is None:
        missing(library)
    # Given
    queues = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues
    before = sorted(queues)

    # When
    worker = start_worker("celeryev", pool, broker_url=sqs_broker.url)
    with sqs_broker.producer() as producer:
        publish(producer)
    worker.wait_for_output("raised unexpected")
    worker.wait_for_output("succeeded in", times=TASKS - 1)
    assert worker.stop() == 0

    # Then
    events = sqs_broker.take_events()
    assert counted(events) == truth(worker.output)
    goodbye = [event for event in events if event["type"] == "worker-offline"]
    assert len(goodbye) <= 2
    counts = [event["processed"] for event in events if event["type"].startswith("worker-")]
    assert counts == sorted(counts)
    assert [event["processed"] for event in goodbye] == [TASKS]
    assert sorted(queues) == before


def test_tasks_that_begin_after_the_goodbye_are_counted_by_the_last_one(
    sqs_broker: SqsBroker, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A worker has taken one task more than its green pool has room for."""
    if importlib.util.find_spec("gevent") is None:
        missing("gevent")
    # Given
    gate = tmp_path / "gate"
    worker = start_worker("celeryev", "gevent", broker_url=sqs_broker.url)
    with sqs_broker.producer() as producer:
        for _ in range(TASKS):
            producer.send_task("shop.wait", (str(gate),))
    worker.wait_for_output("] received", times=3)

    # When
    worker.send(signal.SIGTERM)
    worker.wait_for_output("Warm shutdown")
    gate.touch()
    assert worker.wait() == 0

    # Then
    events = sqs_broker.take_events()
    began = truth(worker.output)["task-started"]
    assert counted(events)["task-started"] == began
    processed = [event["processed"] for event in events if event["type"] == "worker-offline"]
    assert (processed[-1], len(processed)) == (began, 2)
