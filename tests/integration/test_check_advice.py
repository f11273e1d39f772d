"""Advice of check, with real brokers and workers that are configured in a risky way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from ..support.commands import wait_until_they_listen
from ..support.processes import PROJECT, ROOT, Process, Processes
from ..support.servers import RabbitServer, Server
from ..support.waiting import wait_until

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
HOURS = 2 * 3_600

#: A name → its finding: status, message and remedy.
Advice = dict[str, dict[str, str]]


@pytest.fixture
def advised(processes: Processes) -> Callable[..., Advice]:
    """Return what type check, look that it is ready, and return its findings by name."""

    def check(*arguments: str, environ: dict[str, str] | None = None) -> Advice:
        return advice_of(start_check(processes, *arguments, environ=environ))

    return check


def start_check(
    processes: Processes, *arguments: str, environ: dict[str, str] | None = None
) -> Process:
    """Type check; several may run at a time."""
    command = ["event-monitor", "check", "--sink", "console", "--format", "json"]
    return processes.start([*command, "--listen", "2", *(arguments or ("-A", PROJECT))], environ)


def advice_of(check: Process) -> Advice:
    """Look that it is ready, at its end, and return its findings by name."""
    assert check.wait(60) == 0, check.output
    return {finding["name"]: finding for finding in json.loads(check.output)["findings"]}


def tasks_of(client: Celery, command: str) -> list[dict[str, Any]]:
    """Return what the workers hold."""
    replies = getattr(client.control.inspect(timeout=2.0), command)() or {}
    return [task for tasks in replies.values() for task in tasks]


# -- the visibility timeout ------------------------------------------------------------------------


@on_redis
@pytest.mark.parametrize(
    ("timeout", "given"), [(None, True), (HOURS + 600, False)], ids=["too short", "long enough"]
)
def test_a_countdown_beyond_the_visibility_timeout_is_told(
    timeout: int | None,
    given: bool,
    processes: Processes,
    client: Celery,
    advised: Callable[..., Advice],
) -> None:
    """The workers' timeout counts; what the app of the check has is another."""
    # Given
    environ = {} if timeout is None else {"VISIBILITY_TIMEOUT": str(timeout)}
    processes.worker("w1@advice", concurrency=1, environ=environ)
    client.send_task("proj.succeed", countdown=HOURS)
    wait_until(lambda: len(tasks_of(client, "scheduled")) == 1, 60, "it waits in the worker")

    # When
    found = advised()

    # Then
    assert ("redelivery" in found) == given
    if given:
        advice = found["redelivery"]
        assert advice["status"] == "warning"
        assert advice["message"].startswith("proj.succeed on w1@advice waits 7,1")
        assert "the visibility timeout is 3,600 s" in advice["message"]
        assert "https://docs.celeryq.dev/" in advice["remedy"]


@on_redis
def test_a_run_beyond_the_visibility_timeout_is_told_where_it_is_acknowledged_late(
    tmp_path: Path, processes: Processes, client: Celery, advised: Callable[..., Advice]
) -> None:
    """Celery's default acknowledges a task as it begins: Redis has forgotten it then."""
    # Given a task of each kind, which both run for longer
    tasks = {"early@advice": "proj.hold", "late@advice": "proj.hold_late"}
    workers = [
        processes.worker(
            name, concurrency=1, queues=(name,), environ={"VISIBILITY_TIMEOUT": "3"}, wait=False
        )
        for name in tasks
    ]
    for name, worker in zip(tasks, workers, strict=True):
        worker.wait_for_output(f"{name} ready.")
        client.send_task(tasks[name], [str(tmp_path / "end")], queue=name)

    def have_run_long() -> bool:
        starts = [task["time_start"] or time.time() for task in tasks_of(client, "active")]
        return len(starts) == len(tasks) and all(time.time() - start > 4 for start in starts)

    wait_until(have_run_long, 60, "they run for longer")

    # When
    found = advised()

    # Then
    message = found["redelivery"]["message"]
    assert message.startswith("proj.hold_late on late@advice has run for ")
    assert " s unacknowledged, and the visibility timeout is 3 s" in message, "no more than one"
    (tmp_path / "end").touch()


# -- results ---------------------------------------------------------------------------------------


@on_redis
def test_results_in_the_brokers_database_are_told(
    broker: str, processes: Processes, client: Celery, server: Callable[[str], Server]
) -> None:
    """By what the workers answer, or the app has; another database on the same server is fine."""

    def advice() -> list[Advice]:
        sources = (("-A", PROJECT), ("-b", broker))
        return [advice_of(check) for check in [start_check(processes, *s) for s in sources]]

    worker = processes.worker("w1@advice", concurrency=1, environ={"RESULT_BACKEND": broker})
    wait_until_they_listen(client, "w1@advice")

    shared = advice()
    worker.stop()
    other = {"RESULT_BACKEND": server("redis").fresh_url()}
    processes.worker("w2@advice", concurrency=1, environ=other)
    wait_until_they_listen(client, "w2@advice")
    apart = advice()

    assert [found["result database"]["status"] for found in shared] == ["note", "note"]
    assert not any("result database" in found for found in apart)
    assert not any("result expiry" in found for found in shared)  # a day, by default


@on_redis
def test_results_without_an_end_are_told_and_no_password_is_shown(
    broker: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    """A worker's answer has the URLs of an app with a namespace as they are."""
    # Given
    with redis.Redis.from_url(broker) as admin:
        admin.execute_command("ACL", "SETUSER", "celery", "on", ">geheim7", "~*", "&*", "+@all")
    url = broker.replace("redis://", "redis://celery:geheim7@")
    (tmp_path / "endless.py").write_text(
        "from celery import Celery\n"
        "class Settings:\n"
        f"    CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {url!r}\n"
        "    CELERY_RESULT_EXPIRES = None\n"
        "    CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {'global_keyprefix': 'geheim8'}\n"
        "app = Celery('endless')\n"
        "app.config_from_object(Settings, namespace='CELERY')\n"
    )
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    worker = processes.start(
        ["celery", "-A", "endless", "worker", "-E", "-n", "w1@advice", "-c", "1", "-l", "INFO"],
        environ,
    )
    worker.wait_for_output("w1@advice ready.")

    # When
    by_answers = start_check(processes, "-b", broker)
    by_app = start_check(processes, "-A", "endless", environ=environ)

    # Then
    for found in (advice_of(by_answers), advice_of(by_app)):
        assert found["result expiry"]["status"] == "warning"
        assert found["result database"]["status"] == "note"
        assert "geheim" not in json.dumps(found)


# -- the server of Redis ---------------------------------------------------------------------------


@pytest.fixture
def limited(broker: str) -> Iterator[Callable[..., None]]:
    """Limit the memory of the server that all tests share, for one test."""
    with redis.Redis.from_url(broker) as admin:

        def limit(factor: float, policy: str) -> None:
            admin.setrange("filler", 30_000_000, "x")  # else the check itself would make it full
            admin.config_set("maxmemory-policy", policy)
            admin.config_set("maxmemory", int(admin.info("memory")["used_memory"] * factor))

        try:
            yield limit
        finally:
            admin.config_set("maxmemory", 0)
            admin.config_set("maxmemory-policy", "noeviction")
            admin.delete("filler")


#: How many times the memory in use, the policy, and what is told.
LIMITS: tuple[tuple[float, str, set[str]], ...] = (
    (2.0, "allkeys-lru", {"eviction"}),
    (1.15, "volatile-lru", {"broker memory"}),
    (0.0, "allkeys-lru", set()),  # without a limit nothing is ever evicted
    (2.0, "noeviction", set()),
)


@on_redis
def test_a_server_that_may_evict_queues_or_is_nearly_full_is_told(
    limited: Callable[..., None],
    processes: Processes,
    client: Celery,
    advised: Callable[..., Advice],
) -> None:
    """By INFO, which managed servers allow."""
    processes.worker("w1@advice", concurrency=1)
    wait_until_they_listen(client, "w1@advice")

    for factor, policy, given in LIMITS:
        limited(factor, policy)
        found = advised()
        assert {"eviction", "broker memory"} & set(found) == given, (factor, policy)
        assert all(found[name]["status"] == "warning" for name in given)


# -- RabbitMQ --------------------------------------------------------------------------------------


@on_rabbitmq
def test_an_alarm_of_rabbitmq_is_told(
    processes: Processes,
    rabbitmq: RabbitServer,
) -> None:
    """Who publishes is blocked, so the check is not ready; this says why."""
    # Given
    processes.worker("w1@advice", concurrency=1)

    def has_alarm() -> bool:
        nodes = rabbitmq.management("GET", "nodes")
        return isinstance(nodes, list) and any(node.get("mem_alarm") for node in nodes)

    # When
    rabbitmq.control("set_vm_memory_high_watermark", "0")
    try:
        wait_until(has_alarm, 60, "its alarm is on")
        check = processes.start(
            [
                *("event-monitor", "check", "-A", PROJECT, "--sink", "console"),
                *("--format", "json", "--listen", "0"),
                *("--management-url", f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"),
            ]
        )
        check.wait(90)
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.4")

    # Then
    found = {finding["name"]: finding for finding in json.loads(check.output)["findings"]}
    assert found["broker alarms"]["status"] == "warning"
    assert "alarm is on for memory on tests-" in found["broker alarms"]["message"]


@on_rabbitmq
def test_a_broker_that_is_well_gets_no_advice(
    processes: Processes,
    client: Celery,
    rabbitmq: RabbitServer,
    advised: Callable[..., Advice],
) -> None:
    """Nothing at all, of a worker with Celery's defaults."""
    processes.worker("w1@advice", concurrency=1)
    wait_until_they_listen(client, "w1@advice")
    url = f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"

    found = advised("-A", PROJECT, "--management-url", url)

    with_url = [name for name, finding in found.items() if "https://" in finding["remedy"]]
    assert with_url == []


# -- events ----------------------------------------------------------------------------------------


@on_redis
@pytest.mark.parametrize("sends", ["0", "1"])
def test_an_app_that_sends_no_task_sent_is_told_what_is_missing(
    sends: str, processes: Processes, client: Celery, advised: Callable[..., Advice]
) -> None:
    """Counting goes on without; it is a note."""
    environ = {"SEND_SENT_EVENT": sends}
    processes.worker("w1@advice", concurrency=1, environ=environ)
    wait_until_they_listen(client, "w1@advice")

    found = advised("-A", PROJECT, environ=environ)

    assert ("queue times" in found) == (sends == "0")
    if sends == "0":
        assert found["queue times"]["status"] == "note"
