"""Check, against real brokers and real workers with and without -E."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import redis
from amqp.exceptions import NotFound
from celery import Celery
from celery.events.event import get_exchange
from kombu import Queue

from event_monitor.check.durable_queue import examine_durable_queue
from event_monitor.settings import Settings

from ..support.cloudwatch import CloudWatch
from ..support.commands import wait_until_they_listen
from ..support.processes import BIN, PROJECT, ROOT, Process, Processes
from ..support.servers import RabbitServer, Server
from ..support.waiting import wait_until

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
READY = "w1@check ready."
CHECK = ["event-monitor", "check", "-A", PROJECT, "--format", "json"]


def findings(process: Process) -> dict[str, list[tuple[str, str]]]:
    """Name → (status, message) of each finding of a check that has ended."""
    report = json.loads(process.output)
    by_name: dict[str, list[tuple[str, str]]] = {}
    for finding in report["findings"]:
        by_name.setdefault(finding["name"], []).append((finding["status"], finding["message"]))
    return by_name


def test_check_proves_the_whole_way(
    processes: Processes, client: Celery, cloudwatch: CloudWatch
) -> None:
    """Broker, events, an idle worker, and CloudWatch; the one datum is the only trace."""
    # Given
    processes.worker("w1@check", concurrency=1)
    wait_until_they_listen(client, "w1@check")

    # When
    check = processes.start(CHECK)
    code = check.wait()

    # Then
    found = findings(check)
    assert code == 0, check.output
    for name in ("transport", "broker", "event format", "events", "heartbeats", "permission"):
        assert [status for status, _ in found[name]] == ["ok"], (name, found[name])
    assert found["workers"] == [("ok", "1 answer: w1@check")]
    assert [status for status, _ in found["task events"]] == ["warning"]  # idle: nobody knows
    assert cloudwatch.names() == {"MonitorCheck"}


@on_redis
def test_check_finds_the_worker_without_task_events(processes: Processes, client: Celery) -> None:
    """It runs tasks and sends no event of them; the other one does; check knows which."""
    # Given: two workers at work, one of them started without -E
    start_two(processes, client)
    for _ in range(400):  # more than they can run while check starts and listens
        client.send_task("proj.sleep_for", [1.0])

    # When
    check = processes.start([*CHECK, "--sink", "console", "--listen", "12"])
    code = check.wait()

    # Then
    ok, failed = findings(check)["task events"]
    assert code == 1, check.output
    assert ok == ("ok", "sent by with@check")
    assert failed[0] == "failed"
    assert failed[1].startswith("NOT SENT by without@check: without@check ran ")


@on_redis
def test_check_turns_task_events_on_when_asked_to(processes: Processes, client: Celery) -> None:
    """The worker's answer says whether it sent them before."""
    # Given
    start_two(processes, client)
    command = [*CHECK, "--sink", "console", "--enable-events", "--listen", "0"]

    # When
    first = processes.start(command)
    first.wait()
    second = processes.start(command)
    second.wait()

    # Then
    assert findings(first)["task events"] == [
        ("ok", "turned on just now, until a restart, in without@check"),
        ("ok", "on already in with@check"),
    ]
    assert findings(second)["task events"] == [
        ("ok", "on already in with@check, without@check"),
    ]


@on_redis
def test_celerys_own_command_line_has_the_same_commands(processes: Processes) -> None:
    """``celery -A proj event-monitor check`` takes the app from Celery; no worker is not ready."""
    command = ["celery", "-A", PROJECT, "event-monitor", "check", "--sink", "console"]

    check = processes.start([*command, "--listen", "0", "--format", "json"])

    assert check.wait() == 1, check.output
    found = findings(check)
    assert [status for status, _ in found["events"]] == ["ok"]
    assert found["workers"][0][0] == "failed"
    assert found["workers"][0][1].startswith("none answers, and no event of one came in ")


@on_rabbitmq
def test_check_finds_event_queues_that_nobody_reads(
    rabbitmq: RabbitServer, processes: Processes, client: Celery
) -> None:
    """Left behind by another monitor, one collects every event."""
    # Given
    with client.connection_for_write() as connection:
        queue = Queue("celeryev.left-behind", get_exchange(connection), routing_key="#")
        queue(connection.channel()).declare()
    url = f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"

    # When
    check = processes.start([*CHECK, "--sink", "console", "--listen", "0", "--management-url", url])
    check.wait()

    # Then
    ((status, message),) = findings(check)["event queues"]
    assert status == "warning"
    assert message.startswith("1 without a reader")
    assert message.endswith("celeryev.left-behind")


def start_two(processes: Processes, client: Celery) -> None:
    """Start a worker with task events and one without; return when they can be asked."""
    started = {
        name: processes.worker(name, concurrency=1, events=name == "with@check", wait=False)
        for name in ("with@check", "without@check")
    }
    for name, worker in started.items():
        worker.wait_for_output(f"{name} ready.")
    wait_until_they_listen(client, *started)


# -- workers that a check used to get wrong --------------------------------------------------------


def start_worker(
    processes: Processes,
    *arguments: str,
    before: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    app: str = PROJECT,
) -> Process:
    """Start a worker with these arguments; it is not ready yet."""
    celery = "celery" if not before else str(BIN / "celery")
    command = [*before, celery, "-A", app, "worker", "-E", "-n", "w1@check", "-c", "1"]
    command += ["--loglevel", "INFO", "--without-mingle", *arguments]
    return processes.start(command, environ)


@on_redis  # RabbitMQ locks the queue of commands: the second worker ends (Celery 5.7)
@pytest.mark.parametrize("own_pid_space", [False, True], ids=["pids", "containers"])
def test_a_name_that_two_workers_have_is_found(
    own_pid_space: bool, processes: Processes, client: Celery
) -> None:
    """By their pids, or in containers, where both are pid 1, by what they count and how often."""
    # Given two workers at work, without -E, under one name
    before: tuple[str, ...] = ()
    if own_pid_space:
        if os.geteuid() != 0:
            pytest.skip("needs root, to give each worker a pid space of its own")
        unshare = "import os, sys; os.execvp('unshare', ['unshare', *sys.argv[1:]])"
        before = ("python", "-c", unshare, "-pf", "--mount-proc", "--kill-child")
    for worker in [start_worker(processes, before=before) for _ in range(2)]:
        worker.wait_for_output(READY)
    wait_until(lambda: len(client.control.ping(timeout=5, limit=2)) == 2, 60, "both listen")
    for _ in range(20):
        client.send_task("proj.sleep_for", [0.1])

    # When
    check = processes.start([*CHECK, "--sink", "console", "--listen", "8"])
    code = check.wait(60)

    # Then
    assert code == 0, check.output
    ((status, message),) = findings(check)["worker names"]
    assert status == "warning"
    assert message.startswith("several processes run under one name: w1@check (")
    assert "ran -" not in check.output
    assert "Start each with its own -n" in check.output


@on_redis
def test_a_worker_without_heartbeats_is_judged_by_its_answers(
    processes: Processes, client: Celery
) -> None:
    """As CloudAMQP advises to start them."""
    start_worker(processes, "--without-heartbeat").wait_for_output(READY)
    wait_until_they_listen(client, "w1@check")

    check = processes.start([*CHECK, "--sink", "console"])

    assert check.wait() == 0, check.output
    assert findings(check)["heartbeats"] == [
        (
            "note",
            "w1@check sends no heartbeats (--without-heartbeat): it is judged by its answers",
        )
    ]


# -- where the workers are elsewhere ---------------------------------------------------------------


Result = tuple[int, dict[str, list[tuple[str, str]]], str]


def start_check(processes: Processes, url: str, *arguments: str) -> Process:
    """Type check -b; several may listen at a time."""
    command = ["event-monitor", "check", "-b", url, "--sink", "console", "--format", "json"]
    return processes.start([*command, *arguments])


def result_of(check: Process) -> Result:
    """Return, at its end, its exit code, its findings and all it wrote."""
    code = check.wait(60)
    return code, findings(check), check.output


def check_broker(processes: Processes, url: str, *arguments: str) -> Result:
    """Type check -b and wait for its end."""
    return result_of(start_check(processes, url, *arguments))


@pytest.fixture
def configured(processes: Processes, tmp_path: Path) -> Callable[..., Process]:
    """Start a worker whose app has these settings."""

    def start(settings: str) -> Process:
        (tmp_path / "elsewhere.py").write_text(
            "import os\nfrom tests.support.proj import build\napp = build(os.environ)\n"
            f"app.conf.update({settings})\n"
        )
        environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
        worker = start_worker(processes, app="elsewhere", environ=environ)
        worker.wait_for_output(READY)
        return worker

    return start


@on_redis
@pytest.mark.parametrize("heartbeats", [True, False], ids=["heard", "bound"])
def test_another_database_and_another_key_prefix_are_named(
    heartbeats: bool,
    broker: str,
    processes: Processes,
    configured: Callable[[str], Process],
    server: Callable[[str], Server],
) -> None:
    """By the heartbeats of the workers there, or by what they leave in the keys."""
    # Given workers in this database, with a prefix, and a check that looks into another
    worker = configured("broker_transport_options={'global_keyprefix': 'prod:'}")
    database = broker.rpartition("/")[2]
    if not heartbeats:
        with redis.Redis.from_url(broker) as admin:
            wait_until(lambda: waits_for_tasks(admin, database), 60, "it waits for tasks")
        worker.send(signal.SIGSTOP)
    other = server("redis").fresh_url()

    # When
    code, found, output = check_broker(processes, other, "--listen", "0")

    # Then
    assert code == 1, output
    ((status, message),) = found["workers"]
    assert status == "failed"
    assert f"there are workers in database {database} under the key prefix 'prod:'" in message
    assert f"a broker URL that ends in /{database}" in output
    assert "--transport-option global_keyprefix=prod:" in output

    # And with these it is ready
    if heartbeats:
        prefix = ("--transport-option", "global_keyprefix=prod:")
        code, _, output = check_broker(processes, broker, *prefix)
        assert code == 0, output


def waits_for_tasks(admin: redis.Redis, database: str) -> bool:
    """Return whether a worker waits there, which it does a moment after it is ready."""
    return any(
        (client["db"], client["cmd"]) == (database, "brpop") for client in admin.client_list()
    )


def test_another_exchange_is_named(
    broker: str, processes: Processes, configured: Callable[[str], Process]
) -> None:
    """The workers answer, and say themselves where their events go."""
    configured("event_exchange='other'")

    wrong = start_check(processes, broker)
    right = start_check(processes, broker, "--event-exchange", "other")

    code, found, output = result_of(wrong)
    assert code == 1, output
    assert found["worker events"] == [
        ("failed", "sent to the exchange 'other' by w1@check; this monitor listens to 'celeryev'")
    ]
    code, _, output = result_of(right)
    assert code == 0, output


@on_rabbitmq
def test_another_virtual_host_is_named(
    broker: str, processes: Processes, rabbitmq: RabbitServer
) -> None:
    """By the management API; without it, what to compare."""
    # Given
    start_worker(processes).wait_for_output(READY)
    other, vhost = rabbitmq.fresh_url(), broker.rpartition("/")[2]
    management = f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"

    # When
    checks = (
        start_check(processes, other, "--listen", "0"),
        start_check(processes, other, "--listen", "0", "--management-url", management),
    )
    (code, _, output), knowing = map(result_of, checks)

    # Then
    assert code == 1, output
    assert "With --management-url check finds others." in output
    ((_, message),) = knowing[1]["workers"]
    assert f"on this server there are workers on vhost {vhost!r}" in message
    assert f"a broker URL that ends in /{vhost}" in knowing[2]


# -- rights ----------------------------------------------------------------------------------------


@pytest.fixture
def redis_user(broker: str) -> Iterator[Callable[..., str]]:
    """Make a user with these rights; return the URL of the broker for that user."""
    names: list[str] = []
    with redis.Redis.from_url(broker) as admin:

        def make(*rules: str) -> str:
            names.append(f"user{len(names)}")
            admin.execute_command(
                "ACL", "SETUSER", names[-1], "on", ">geheim", "resetkeys", "resetchannels", *rules
            )
            return broker.replace("redis://", f"redis://{names[-1]}:geheim@")

        yield make
        for name in names:
            admin.execute_command("ACL", "DELUSER", name)


@on_redis
def test_a_redis_user_who_may_only_read_is_ready_and_what_is_missing_is_named(
    broker: str, processes: Processes, client: Celery, redis_user: Callable[..., str]
) -> None:
    """Nothing may be published, nobody asked, no queue read; events come all the same."""
    # Given
    start_worker(processes).wait_for_output(READY)
    wait_until_they_listen(client, "w1@check")
    channel = f"&/{broker.rpartition('/')[2]}.celeryev/*"
    url = redis_user("+@connection", "+psubscribe", channel)

    # When
    code, found, output = check_broker(processes, url)

    # Then
    assert code == 0, output
    assert found["events"] == [
        (
            "warning",
            "may be received, but not sent: this user may not run PUBLISH (ACL rule: +publish)",
        )
    ]
    asked, known = found["workers"]
    assert asked[0] == "warning"
    assert asked[1].startswith("cannot be asked: this user may not run ")
    assert known == ("ok", "1 send events: w1@check")
    ((status, message),) = found["queues"]
    assert (status, message[:15]) == ("warning", "cannot be read:")
    assert "geheim" not in output


@on_redis
@pytest.mark.parametrize(
    ("rules", "right"),
    [
        (["~*", "+@all", "&other"], "this user may not use a channel (ACL rule: &{channel})"),
        (
            ["~*", "&*", "+@all", "-psubscribe"],
            "this user may not run PSUBSCRIBE (ACL rule: +psubscribe)",
        ),
    ],
)
def test_a_redis_user_who_may_not_receive_events_is_not_ready(
    rules: list[str],
    right: str,
    broker: str,
    processes: Processes,
    redis_user: Callable[..., str],
) -> None:
    """The one right without which nothing can be counted."""
    channel = f"/{broker.rpartition('/')[2]}.celeryev/*"

    code, found, output = check_broker(processes, redis_user(*rules))

    assert code == 1, output
    assert found["events"] == [("failed", "cannot be received: " + right.format(channel=channel))]


@on_rabbitmq
@pytest.mark.parametrize(
    ("queues", "message"),
    [
        ("^(celeryev|monitor)", "'monitor' can be made, bound and read"),
        (
            r"^celeryev",
            "'monitor' cannot be used: "
            "this user may not configure the queue 'monitor' on vhost '{vhost}'",
        ),
    ],
)
def test_the_rights_of_a_durable_queue_are_tried_and_nothing_stays(
    queues: str, message: str, broker: str, rabbitmq: RabbitServer
) -> None:
    """Counting alone needs fewer."""
    # Given
    vhost = broker.rpartition("/")[2]
    rabbitmq.management("PUT", "users/keeper", {"password": "geheim", "tags": ""})
    rights = dict.fromkeys(("configure", "write", "read"), queues)
    rabbitmq.management("PUT", f"permissions/{vhost}/keeper", rights)
    app = Celery("proj", broker=broker.replace("guest:guest@", "keeper:geheim@"))

    # When
    found = examine_durable_queue(app, Settings(durable_queue="monitor", state_dir="/state"))

    # Then
    assert found is not None
    assert found.message == message.format(vhost=vhost)
    with Celery("proj", broker=broker).connection_for_read() as connection, pytest.raises(NotFound):
        connection.default_channel.queue_declare("monitor", passive=True)


#: Name → rights of a user, exit code, and what is said of the events.
RABBITMQ_RIGHTS: dict[str, tuple[dict[str, str], int, str]] = {
    "least": (
        {"configure": r"^celeryev\.", "write": r"^celeryev\.", "read": "^celeryev"},
        0,
        "may be received, but not sent: "
        "this user may not configure the exchange 'celeryev' on vhost '{vhost}'",
    ),
    "read-only": (
        {"configure": "^celeryev", "write": r"^celeryev\.", "read": "^celeryev"},
        0,
        "may be received, but not sent: "
        "this user may not write the exchange 'celeryev' on vhost '{vhost}'",
    ),
    "no-configure": (
        {"configure": "^$", "write": ".*", "read": ".*"},
        1,
        "cannot be received: this user may not configure the queue 'celeryev.*' on vhost '{vhost}'",
    ),
    "no-read": (
        {"configure": ".*", "write": ".*", "read": "^$"},
        1,
        "cannot be received: this user may not read the exchange 'celeryev' on vhost '{vhost}'",
    ),
}


@on_rabbitmq
def test_a_right_that_rabbitmq_refuses_is_named(
    broker: str, processes: Processes, rabbitmq: RabbitServer
) -> None:
    """Which of the three, and on what; who may only read is ready."""
    # Given a worker, and a user for each set of rights
    start_worker(processes).wait_for_output(READY)
    vhost = broker.rpartition("/")[2]
    for user, (rights, _, _) in RABBITMQ_RIGHTS.items():
        rabbitmq.management("PUT", f"users/{user}", {"password": "geheim", "tags": ""})
        rabbitmq.management("PUT", f"permissions/{vhost}/{user}", rights)

    # When
    checks = {
        user: start_check(processes, broker.replace("guest:guest@", f"{user}:geheim@"))
        for user in RABBITMQ_RIGHTS
    }

    # Then
    for user, (_, code, message) in RABBITMQ_RIGHTS.items():
        ended, found, output = result_of(checks[user])
        assert ended == code, output
        assert fnmatchcase(found["events"][0][1], message.format(vhost=vhost)), user
        if code == 0:
            assert found["workers"][0][1] == (
                f"cannot be asked: this user may not configure the exchange "
                f"'reply.celery.pidbox' on vhost {vhost!r}"
            )
        assert "geheim" not in output
