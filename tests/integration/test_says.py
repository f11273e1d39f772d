"""What the log says: that it works, from the first minute on, and what is wrong if it does not."""

from __future__ import annotations

import re

import pytest
from celery import Celery

from ..support.processes import PROJECT, Processes
from ..support.servers import RabbitServer

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
INTERVAL = {"EVENT_MONITOR_INTERVAL": "2", "EVENT_MONITOR_PROBE_SECONDS": "1"}
COMMANDS = {
    "run": ["event-monitor", "run", "-A", PROJECT],
    # Without -l: Celery's default shows warnings only.
    "celery-events": ["celery", "-A", PROJECT, "events", "-c", "event_monitor.CloudWatchCam"],
    "guide": ["celery", "-A", PROJECT, "events", "-c", "tests.support.guide.PrintingCam"],
}
AS_PLANNED = "ERROR.*PrintingCam.on_shutter failed \\(RuntimeError: as planned\\); .*"


@on_redis
def test_the_log_tells_what_is_found_published_and_counted_and_who_comes_and_goes(
    processes: Processes, client: Celery
) -> None:
    """Both ways in, in the first minute; all of it INFO, for all is well.

    And a camera written after Celery's guide, whose own faults are told and stop nothing.
    """
    # Given
    processes.worker("w1@says", concurrency=1)
    monitors = {
        way: processes.start(command, {**INTERVAL, "EVENT_MONITOR_DIMENSIONS": f"Way={way}"})
        for way, command in COMMANDS.items()
    }
    for monitor in monitors.values():
        monitor.wait_for_output("events come from 1 worker: w1@says")
        monitor.wait_for_output("found 2 queues: celery (0 waiting), elsewhere (0 waiting)")

    # When
    failed = client.send_task("proj.fail")
    for _ in range(3):
        client.send_task("proj.succeed")
    leaving = processes.worker("w2@says", concurrency=1)
    for monitor in monitors.values():
        monitor.wait_for_output("worker w2@says has come")
    leaving.stop()
    for way, monitor in monitors.items():
        monitor.wait_for_output("worker w2@says has shut down")
        assert monitor.stop() == 0

        # Then
        log = monitor.output
        wrong = re.findall(r"(?:WARNING|ERROR|CRITICAL) .*", log)
        if way == "guide":
            assert "alive: w1@says\n" in log
            raised = "ValueError('as planned') (ValueError: as planned)"
            assert log.count(f"failed: proj.fail[{failed.id}] {raised}\n") == 1
            assert re.match(AS_PLANNED, wrong.pop())
        assert not wrong
        assert f"first failure of proj.fail with ValueError: task {failed.id} on w" in log
        assert re.search(r"INFO +found \d workers?: w1@says", log)
        assert re.search(r"INFO +published \d+ series to Celery in us-east-1 .*; next at \d", log)
        lines = re.findall(r"INFO +\d\d:\d\d:\d\d (\d+) succeeded, (\d+) failed.* series sent", log)
        assert [sum(map(int, column)) for column in zip(*lines, strict=True)] == [3, 1]
        assert log.count("published ") == 1
        assert ("rather every 2 s (the setting `interval`)" in log) == (way != "run")


@on_redis
def test_a_broker_that_is_the_wrong_one_is_one_line_that_says_so(
    broker: str, processes: Processes, rabbitmq: RabbitServer
) -> None:
    """Refused, of which nothing but the password is secret, or another where nobody is."""
    # Given
    good = rabbitmq.fresh_url()
    urls = {
        "User or password are wrong": good.replace("guest:guest@", "guest:geheim@"),
        "The vhost is what follows the slash": good.rpartition("/")[0] + "/nowhere",
        "is this the broker, database or virtual host that the workers use?": broker,
    }

    # When
    command = ["event-monitor", "run"]
    monitors = {
        said: processes.start(command, {**INTERVAL, "EVENT_MONITOR_BROKER": url})
        for said, url in urls.items()
    }
    for said, monitor in monitors.items():
        monitor.wait_for_output(said)
        monitor.stop()

        # Then
        assert len(re.findall(r"WARNING|ERROR|CRITICAL", monitor.output)) == 1, monitor.output
        assert "geheim" not in monitor.output
