"""Inspect: real workers of every pool answer with what they hold; the silent ones are absent."""

from __future__ import annotations

import base64
import bz2
import importlib.util
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from event_monitor.probes.inspect import ask_start_intervals, ask_workers
from event_monitor.survey import WorkerAnswer

from ..support.commands import command, wait_until_they_listen
from ..support.processes import Processes
from ..support.proj import QUEUES
from ..support.proxy import Proxy
from ..support.replier import replier
from ..support.servers import Server, free_port, missing
from ..support.waiting import wait_until

#: Longer than a test may take: a test that waits for all of it has failed.
FOR_EVER = 600.0
POOLS = {"prefork": 3, "threads": 3, "gevent": 3, "solo": 1}

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def by_name(answers: tuple[WorkerAnswer, ...]) -> dict[str, WorkerAnswer]:
    """The answers by nodename."""
    return {answer.hostname: answer for answer in answers}


@on_redis
def test_every_pool_reports_its_size(processes: Processes, client: Celery) -> None:
    """And memory in bytes, and queues; it is over as soon as all have answered."""
    # Given
    if importlib.util.find_spec("gevent") is None:
        missing("gevent")
    names = {f"{pool}@pools" for pool in POOLS}
    started = [
        (pool, processes.worker(f"{pool}@pools", pool=pool, concurrency=3, wait=False))
        for pool in POOLS
    ]
    for pool, worker in started:
        worker.wait_for_output(f"{pool}@pools ready.")
    # A pool of greenlets or threads listens to commands beside the rest, which may be ready first.
    wait_until(
        lambda: set(by_name(ask_workers(client, timeout=5.0, expected=names))) == names,
        60,
        "all listen to commands",
    )

    # When
    answers = by_name(ask_workers(client, timeout=FOR_EVER, expected=names))

    # Then
    assert set(answers) == names
    own_peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for pool, size in POOLS.items():
        answer = answers[f"{pool}@pools"]
        assert answer.pool_processes == size, pool
        assert answer.queues == QUEUES, pool
        assert (answer.active, answer.reserved, answer.scheduled, answer.revoked) == (0, 0, 0, 0)
        # No Python with Celery in it is smaller than 10 MB, and none here has a gigabyte of its
        # own. Linux takes over the peak of who started the process, which are these tests.
        assert 10e6 < (answer.memory_bytes or 0) < 1e9 + own_peak, pool


def test_what_a_worker_holds_is_counted(processes: Processes, client: Celery) -> None:
    """Running, received, waiting for its eta, and revoked: each is one number."""
    # Given
    processes.worker("w1@holds", concurrency=1)
    sleep_for = client.tasks["proj.sleep_for"]

    # When one runs, two wait for it, one of each queue for its eta, and one is revoked
    for _ in range(3):
        sleep_for.delay(600)
    sleep_for.apply_async([600], countdown=3_600)
    sleep_for.apply_async([600], countdown=3_600, queue="elsewhere")
    command(client, "revoke", "w1@holds", task_id="no-such-task")

    # Then
    def numbers() -> tuple[int | None, ...]:
        answers = by_name(ask_workers(client, timeout=FOR_EVER, expected=["w1@holds"]))
        held = answers["w1@holds"]
        return (held.active, held.reserved, held.scheduled, held.revoked)

    wait_until(lambda: numbers() == (1, 2, 2, 1), 60, "everything is where it belongs")
    answer = by_name(ask_workers(client, timeout=FOR_EVER, expected=["w1@holds"]))["w1@holds"]
    assert answer.processed == (("proj.sleep_for", 1),)
    assert answer.scheduled_by_key == (("celery", 1), ("elsewhere", 1))
    assert answer.prefetch_count == 6  # four, and one more for each that waits for its eta


@on_redis
def test_rate_limits_are_those_that_hold_now(processes: Processes, client: Celery) -> None:
    """Also those that somebody sets while the worker runs; nobody else is asked."""
    processes.workers("w1@limits", "w2@limits", concurrency=1)
    wait_until_they_listen(client, "w1@limits")

    def intervals() -> dict[str, float]:
        return ask_start_intervals(client, ("w1@limits",), timeout=FOR_EVER)

    assert intervals() == {"w1@limits": 0.0}

    command(client, "rate_limit", "w1@limits", task_name="proj.succeed", rate_limit="30/m")
    assert intervals() == {"w1@limits": 2.0}


def test_a_stopped_worker_is_absent(processes: Processes, client: Celery) -> None:
    """It is waited for no longer than the time-out, and nothing is made up for it."""
    # Given
    names = ("w1@stopped", "w2@stopped")
    stopped = processes.workers(*names, concurrency=1)["w1@stopped"]
    wait_until_they_listen(client, *names)
    os.killpg(stopped.pid, signal.SIGSTOP)

    # When
    try:
        answers = ask_workers(client, timeout=5.0, expected=names)
    finally:
        os.killpg(stopped.pid, signal.SIGCONT)

    # Then
    assert [answer.hostname for answer in answers] == ["w2@stopped"]


def test_a_broker_without_workers_answers_nothing(client: Celery) -> None:
    """An empty tuple: the broker works, and nobody is there."""
    assert ask_workers(client, timeout=0.5) == ()


@on_redis
def test_no_trace_of_the_question_stays_on_redis(
    broker: str, processes: Processes, client: Celery
) -> None:
    """kombu would keep a binding for each, for ever."""
    processes.worker("w1@trace", concurrency=1)
    wait_until(  # on Redis it may not listen yet
        lambda: ask_workers(client, timeout=5.0, expected=["w1@trace"]), 60, "it answers"
    )

    for _ in range(3):
        ask_workers(client, timeout=FOR_EVER, expected=["w1@trace"])

    with redis.Redis.from_url(broker) as server:
        assert server.keys("*reply*") == []


def test_a_wrong_password_is_one_sentence_without_it(broker: str) -> None:
    """Raised as a ConnectionError."""
    parts = urlsplit(broker)
    url = parts._replace(netloc=f"guest:geheim@{parts.hostname}:{parts.port}").geturl()

    with pytest.raises(ConnectionError, match=r"the workers on .* cannot be asked: ") as caught:
        ask_workers(Celery(broker=url, set_as_current=False), timeout=5.0)

    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_one_sentence(scheme: str) -> None:
    """The same for both."""
    app = Celery(broker=f"{scheme}://guest:geheim@127.0.0.1:{free_port()}/", set_as_current=False)

    with pytest.raises(ConnectionError, match="cannot be asked: ") as caught:
        ask_workers(app, timeout=5.0)

    assert "geheim" not in str(caught.value)


def test_a_broker_that_hangs_is_given_up(broker: str, server: Callable[[str], Server]) -> None:
    """It accepts connections and answers nothing."""
    port = server("redis" if broker.startswith("redis") else "rabbitmq").port
    with Proxy(port) as proxy:
        proxy.freeze()
        app = Celery(broker=broker.replace(f":{port}", f":{proxy.port}"), set_as_current=False)

        with pytest.raises(ConnectionError, match="cannot be asked: "):
            ask_workers(app, timeout=1.0)


def test_lies_are_left_out(client: Celery) -> None:
    """What is not the reply of one worker is dropped; the rest is unknown, field by field."""
    bodies: tuple[object, ...] = (None, "x", 3, [], {}, {"a@x": 1, "b@x": 2}, {"n" * 300: []})

    with replier(client, *bodies, {"liar@host": "x"}):
        answers = wait_until(  # on Redis a liar may not listen yet
            lambda: ask_workers(client, timeout=3.0, expected=["liar@host"]), 60, "it has lied"
        )

    assert answers == (WorkerAnswer("liar@host"),)


def test_pickle_is_never_read(client: Celery) -> None:
    """Even if the app accepts it."""
    client.conf.accept_content = ["json", "pickle"]

    with replier(client, {"liar@host": []}, serializer="pickle"):
        assert ask_workers(client, timeout=1.0, expected=["liar@host"]) == ()


@on_redis
def test_a_compressed_answer_is_not_unpacked(broker: str, client: Celery) -> None:
    """Whoever may write to the broker can answer; a thousand bytes may become gigabytes."""
    # Given somebody who answers with 64 MB of nothing, packed
    bomb = base64.b64encode(bz2.compress(bytes(64 << 20))).decode()
    unpacked: list[object] = []
    kombu_compression = sys.modules["kombu.message"]
    with hostile_answers(broker, {"compression": "application/x-bz2"}, bomb) as answered:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kombu_compression, "decompress", lambda *call: unpacked.append(call))

            # When
            assert ask_workers(client, timeout=2) == ()

        # Then
        assert answered.wait(60)
        assert unpacked == []


@contextmanager
def hostile_answers(broker: str, headers: dict[str, str], body: str) -> Iterator[threading.Event]:
    """Answer the first question that is asked of all workers, whatever it is."""
    answered = threading.Event()
    server = redis.Redis.from_url(broker)
    with server, server.pubsub() as subscribed:  # type: ignore[no-untyped-call]
        subscribed.psubscribe(f"{urlsplit(broker).path}.*")

        def answer() -> None:
            with suppress(Exception):  # the end of the test closes the connection
                for message in subscribed.listen():
                    if message["type"] != "pmessage":
                        continue
                    asked = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
                    inbox = asked["reply_to"]["routing_key"]
                    envelope = {
                        "body": body,
                        "content-type": "application/json",
                        "content-encoding": "utf-8",
                        "headers": {**headers, "ticket": asked["ticket"]},
                        "properties": {
                            "body_encoding": "base64",
                            "delivery_tag": "t",
                            "delivery_info": {"exchange": "reply.celery.pidbox"},
                        },
                    }
                    server.lpush(f"{inbox}.reply.celery.pidbox", json.dumps(envelope))
                    answered.set()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield answered
