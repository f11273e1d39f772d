"""Workers: what real ones hold is unacknowledged, and what they retry keeps its age."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from celery import Celery
from celery.signals import before_task_publish

from event_monitor.enqueued_at import HEADER, stamp_tasks
from event_monitor.probes.queues import queue_probe_to

from ...support.processes import Processes
from ...support.proj import build
from ...support.servers import Server
from ...support.waiting import wait_until
from .cluster import LAG_SECONDS, SETTINGS, management_url


def test_what_a_real_worker_holds_is_unacknowledged(
    processes: Processes, client: Celery, server: Callable[[str], Server], environ: dict[str, str]
) -> None:
    # Given one worker of one process, busy
    processes.worker("w1@host1", concurrency=1)
    for _ in range(8):
        client.tasks["proj.sleep_for"].delay(600)
    settings = SETTINGS
    if environ["BROKER_URL"].startswith("amqp"):
        settings = replace(SETTINGS, management_url=management_url(server))
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
    """An app whose tasks carry the time of publishing."""
    app = build(environ)
    stamp_tasks(app)
    yield app
    before_task_publish.disconnect(dispatch_uid=HEADER)
    app.close()


@pytest.mark.parametrize("headers", [None, {"headers": {"sentry-trace": "0"}}], ids=["", "nested"])
def test_a_retry_keeps_the_time_of_the_first_publishing(
    headers: dict[str, object] | None, processes: Processes, producer: Celery
) -> None:
    """Also where a tracer puts headers within the headers."""
    # Given a producer and a worker whose tasks carry the time of publishing
    project = "tests.support.stamped"
    worker = processes.start(["celery", "-A", project, "worker", "-P", "solo", "-l", "INFO"])
    worker.wait_for_output(" ready.")

    # When a task is retried
    before = time.time()
    producer.send_task("tell_stamp", headers=headers)
    after = time.time()
    worker.wait_for_output("run 1 of a task", 30)

    # Then both messages say when it was first published
    lines = [line for line in worker.output.splitlines() if " of a task sent at " in line]
    times = [float(line.rpartition(" ")[2].rstrip(".")) for line in lines]
    assert len(times) == 2
    assert times[0] == times[1]
    assert before <= times[0] <= after
