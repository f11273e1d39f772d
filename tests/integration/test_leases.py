"""Leases: of two that would have one, on a real broker, one has it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from event_monitor.check import check
from event_monitor.leader import Holder, Lease, LeaseRefusedError, lease_for
from event_monitor.settings import Settings
from event_monitor.testing import FakeClock

from ..support.processes import LISTENS, PROJECT, Processes
from ..support.proxy import Proxy
from ..support.servers import RabbitServer
from ..support.waiting import wait_until

SOON = 60.0  # seconds; only a very slow machine takes that long
NAME = "celeryev.leader.test"


def lease_on(broker: str, name: str = NAME, *, has_others: bool = True) -> Lease:
    app = Celery("leases", broker=broker, set_as_current=False)
    lease = lease_for(app, name, holder=Holder.here(), others=lambda: has_others)
    assert lease is not None
    return lease


def keep_meanwhile(lease: Lease, action: Callable[[], None]) -> None:
    """Do what takes seconds, and renew the lease meanwhile: RabbitMQ closes silent connections."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(action)
        while wait([doing], timeout=lease.renew_seconds).not_done:
            lease.renew()
    doing.result()


def test_one_has_it_until_it_gives_it_back(broker: str) -> None:
    """The other has it at once then; and a lease of another name is another."""
    first, second, other = lease_on(broker), lease_on(broker), lease_on(broker, "another")
    assert (first.acquire(), second.acquire(), other.acquire()) == (True, False, True)
    assert first.renew()
    assert not second.acquire()

    first.release()
    wait_until(second.acquire, SOON, "it is free")
    assert not first.acquire()
    for lease in (first, second, other):
        lease.release()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_lease_on_redis_ends_if_it_is_not_renewed(broker: str) -> None:
    """Whoever had it learns of it with its next question."""
    first, second = lease_on(broker), lease_on(broker)
    first.acquire()
    with redis.Redis.from_url(broker) as client:
        assert 0 < client.pttl("celeryev.leader.test") <= 10_000
        client.pexpire("celeryev.leader.test", 1)
        time.sleep(0.01)
    assert second.acquire()

    assert not first.renew()
    assert not first.acquire()
    second.release()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_redis_without_memory_has_one_leader_still(broker: str) -> None:
    """It refuses to set a key, and renews and reads those that are there."""
    first, second = lease_on(broker), lease_on(broker)
    assert first.acquire()
    with redis.Redis.from_url(broker) as admin:
        policy = admin.config_get("maxmemory-policy")["maxmemory-policy"]
        admin.config_set("maxmemory-policy", "noeviction")  # else it would evict the lock itself
        admin.config_set("maxmemory", 1)
        try:
            assert first.renew()
            assert not second.acquire()
            first.release()
            with pytest.raises(LeaseRefusedError, match="memory"):
                second.acquire()
        finally:
            admin.config_set("maxmemory", 0)
            admin.config_set("maxmemory-policy", policy)
    assert second.acquire()
    second.release()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("value", ["a note", Holder(id="x", host="elsewhere").encode()])
def test_a_lock_on_redis_that_would_stay_for_ever_ends(broker: str, value: str) -> None:
    """As one that was copied from another server: else nobody would lead."""
    lease = lease_on(broker)
    with redis.Redis.from_url(broker) as admin:
        admin.set("celeryev.leader.test", value)
        assert not lease.acquire()
        assert 0 < admin.pttl("celeryev.leader.test") <= 10_000
        admin.pexpire("celeryev.leader.test", 1)
    wait_until(lease.acquire, SOON, "it has ended")
    lease.release()


def test_a_standby_on_a_rabbitmq_that_takes_no_messages_leads_when_the_leader_has_gone(
    rabbitmq: RabbitServer,
) -> None:
    """It asks by messages, and where those are not answered without. None is its own then."""
    broker = rabbitmq.fresh_url()
    first, second = lease_on(broker), lease_on(broker, has_others=False)
    limit = partial(rabbitmq.control, "set_disk_free_limit")
    assert first.acquire()
    try:
        keep_meanwhile(first, partial(limit, "900000000000000"))
        assert first.renew()
        assert not second.acquire()
        first.release()
        wait_until(second.acquire, SOON, "it is free")
    finally:
        keep_meanwhile(second, partial(limit, "50MB"))
    assert not first.acquire()
    for lease in (first, second):
        lease.release()


def test_a_lease_on_rabbitmq_is_not_taken_for_one_s_own_after_a_long_time_away(
    rabbitmq: RabbitServer,
) -> None:
    """Another has it by then, of whom nothing was heard; what was not even asked took nothing."""
    broker = rabbitmq.fresh_url()
    url = urlsplit(broker)
    clock = FakeClock()
    with Proxy(rabbitmq.port) as proxy:
        app = Celery("far", broker=f"amqp://guest:guest@127.0.0.1:{proxy.port}{url.path}")
        first = lease_for(app, NAME, holder=Holder.here(), others=lambda: False, clock=clock)
        second = lease_on(broker, NAME)
        assert first is not None
        assert first.acquire()
        proxy.freeze()
        with pytest.raises(OSError, match=r".*"):
            first.renew()
        wait_until(second.acquire, 60, "RabbitMQ has noticed")
        clock.advance(25)
        with pytest.raises(OSError, match=r".*"):
            first.acquire()

        proxy.forward()
        assert not first.acquire()
        for lease in (first, second):
            lease.release()


def test_a_standby_on_rabbitmq_that_may_declare_only_keeps_its_connection(
    rabbitmq: RabbitServer,
) -> None:
    """It may not ask by messages, and finds that out once."""
    broker = rabbitmq.fresh_url()
    url = urlsplit(broker)
    rabbitmq.management("PUT", "users/declares", {"password": "secret", "tags": ""})
    rights = dict.fromkeys(("configure", "write", "read"), "^celeryev[.]")
    rabbitmq.management("PUT", f"permissions/{url.path[1:]}/declares", rights)
    first = lease_on(broker)
    second = lease_on(f"amqp://declares:secret@127.0.0.1:{url.port}{url.path}")
    assert first.acquire()
    assert not second.acquire()
    connection = vars(second)["_connection"]
    assert connection.connected
    for _ in range(3):
        assert not second.acquire()

    assert vars(second)["_connection"] is connection
    first.release()
    wait_until(second.acquire, SOON, "it is free")
    second.release()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("withheld", ["-@scripting", "-pexpire"])
@pytest.mark.parametrize("may_delete", [True, False])
def test_a_lock_on_redis_that_could_not_be_renewed_is_refused_each_time(
    broker: str, withheld: str, may_delete: bool
) -> None:
    """Else its own lock would make a monitor stand by, again and again, and publish nothing."""
    url = urlsplit(broker)
    rules = ("on", ">secret", "~*", "&*", "+@all", withheld, "+del" if may_delete else "-del")
    with redis.Redis.from_url(broker) as admin:
        admin.execute_command("ACL", "SETUSER", "sets", "reset", *rules)
    lease = lease_on(f"redis://sets:secret@127.0.0.1:{url.port}{url.path}")
    for _ in range(3):
        with pytest.raises(LeaseRefusedError, match=r"permission|can't run"):
            lease.acquire()

    lease.release()
    if may_delete:
        other = lease_on(broker)
        assert other.acquire()
        other.release()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_lock_on_redis_whose_answer_was_lost_is_one_s_own(broker: str) -> None:
    """It was taken, and nobody else has it."""
    holder = Holder.here()
    app = Celery("leases", broker=broker, set_as_current=False)
    lease = lease_for(app, "celeryev.leader.test", holder=holder)
    assert lease is not None
    with redis.Redis.from_url(broker) as admin:
        admin.set("celeryev.leader.test", holder.encode(), ex=10)

    assert lease.acquire()
    assert lease.renew()
    lease.release()
    with redis.Redis.from_url(broker) as admin:
        assert admin.get("celeryev.leader.test") is None


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_rights_that_are_enough_on_redis_and_those_that_are_not(broker: str) -> None:
    """As the reference says; `check` names what is missing."""
    url = urlsplit(broker)
    of_connection = ("+ping", "+client", "+select", "+info", "+hello")
    of_lock = ("+set", "+get", "+del", "+pexpire", "+pttl", "+evalsha", "+script|load", "+eval")
    common = ("on", ">secret", "resetkeys", "&*")
    with redis.Redis.from_url(broker) as admin:
        mine = ("~celeryev.leader.*", *of_connection, *of_lock)
        admin.execute_command("ACL", "SETUSER", "able", *common, *mine)
        admin.execute_command("ACL", "SETUSER", "unable", *common, "~none", "+@all")
    able, unable = (
        lease_on(f"redis://{user}:secret@127.0.0.1:{url.port}{url.path}")
        for user in ("able", "unable")
    )
    assert able.acquire()
    assert able.renew()
    able.release()
    with pytest.raises(LeaseRefusedError, match="permission"):
        unable.acquire()

    app = Celery("refused", broker=f"redis://unable:secret@127.0.0.1:{url.port}{url.path}")
    settings = Settings(sink="console", probe_queues=False, probe_workers=False)
    found = [f for f in check(app, settings, listen_seconds=0.5) if f.name == "second monitor"]
    assert [finding.status for finding in found] == ["warning"]
    assert "(ACL rule: ~celeryev.leader." in found[0].message


@pytest.mark.parametrize("leader", ["auto", "off"])
def test_check_names_the_monitors_that_run(broker: str, processes: Processes, leader: str) -> None:
    """And whether one that is started beside them would publish the same."""
    # Given a monitor, and somebody else who reads events
    command = ["event-monitor", "run", "-A", PROJECT, "--interval", "60", "--sink", "console"]
    monitor = processes.start([*command, "--leader", leader], {"BROKER_URL": broker})
    monitor.wait_for_output(LISTENS)
    other = processes.start(["celery", "-A", PROJECT, "events", "--dump"], {"BROKER_URL": broker})
    other.wait_for_output("-> evdump: starting capture")

    # When it is asked
    app = Celery("asking", broker=broker, set_as_current=False)
    settings = Settings(sink="console", probe_queues=False, probe_workers=False)
    is_redis = broker.startswith("redis:")

    def found() -> list[tuple[str, str]]:
        findings = check(app, settings, listen_seconds=0.5)
        said = [(str(f.status), f.message) for f in findings if f.name == "second monitor"]
        # The other one subscribes to Redis some time after it has said so.
        if len(said) == 1 and is_redis:
            return []
        return said if any(f"process {monitor.pid} on " in message for _, message in said) else []

    # Then
    named, *unnamed = wait_until(found, SOON, "the monitor answers")
    status, message = {
        "auto": ("ok", "publishes; one started beside it stands by"),
        "off": ("warning", "publishes already, and holds no lock"),
    }[leader]
    assert named[0] == status
    assert f"process {monitor.pid} on " in named[1]
    assert named[1].endswith(message)
    assert [status for status, _ in unnamed] == (["note"] if is_redis else [])
    assert all(said.startswith("somebody else reads the events") for _, said in unnamed)


def test_commands_to_the_workers_are_overheard(broker: str) -> None:
    """By who has the lease and by who waits for it, with no message left on the broker."""
    app = Celery("overhearing", broker=broker, set_as_current=False)
    heard: tuple[list[str], list[str]] = [], []
    leases = [
        lease_for(
            app,
            "celeryev.leader.test",
            holder=Holder.here(),
            on_command=lambda body, headers, to=to: to.append(  # type: ignore[misc]
                f"{json.loads(body)['method']} {sorted(headers)}"
            ),
        )
        for to in heard
    ]
    first, second = (lease for lease in leases if lease is not None)
    assert (first.acquire(), second.acquire()) == (True, False)

    app.control.broadcast("heartbeat")

    def have_all() -> bool:
        return (first.renew(), second.acquire()) == (True, False) and all(heard)

    wait_until(have_all, SOON, "it is overheard")
    assert heard == (["heartbeat ['clock', 'expires']"],) * 2
    for lease in (first, second):
        lease.release()


def test_a_monitor_of_a_version_without_a_lock_is_noticed(
    broker: str, processes: Processes
) -> None:
    """In the log, and by `check`; it is told by how it asks the workers."""
    command = ["event-monitor", "run", "-A", PROJECT, "--interval", "60", "--sink", "console"]
    monitor = processes.start(command, {"BROKER_URL": broker})
    monitor.wait_for_output(LISTENS)
    app = Celery("old", broker=broker, set_as_current=False)
    commands = ("active", "reserved", "scheduled", "revoked", "stats", "active_queues")

    def is_noticed() -> bool:
        with app.connection_for_write() as connection:
            exchange = app.control.mailbox(connection).exchange
            producer = connection.Producer(serializer="json")
            expires = time.time() + 5
            for command in commands:
                reply_to = {"exchange": "reply.celery.pidbox", "routing_key": "old"}
                body = {"method": command, "arguments": {}, "ticket": command}
                producer.publish(
                    {**body, "destination": None, "reply_to": reply_to},
                    exchange=exchange,
                    declare=[exchange],
                    headers={"clock": 1, "expires": expires},
                )
        return "a monitor of an older version runs" in monitor.output

    wait_until(is_noticed, SOON, "it is noticed", poll_seconds=0.5)
    settings = Settings(sink="console", probe_queues=False, probe_workers=False)
    said = f"a monitor of an older version runs, as process {monitor.pid} on "

    def warning() -> list[str]:
        found = check(app, settings, listen_seconds=0.5)
        return [
            str(f.status)
            for f in found
            if f.name == "second monitor" and f.message.startswith(said)
        ]

    assert wait_until(warning, SOON, "the monitor answers") == ["warning"]


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_an_app_with_one_connection_at_a_time_has_a_lease_all_the_same(broker: str) -> None:
    """What is overheard comes on a second one."""
    app = Celery("leases", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = {"max_connections": 1}
    lease = lease_for(
        app, "celeryev.leader.test", holder=Holder.here(), on_command=lambda _body, _headers: None
    )
    assert lease is not None
    assert lease.acquire()
    assert lease.renew()
    lease.release()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_what_anybody_sends_to_the_workers_is_overheard_as_it_is(broker: str) -> None:
    """It comes on the lease's connection, and may name an encoding that takes minutes to undo."""
    heard: list[bytes | str] = []
    app = Celery("leases", broker=broker, set_as_current=False)
    lease = lease_for(
        app,
        "celeryev.leader.test",
        holder=Holder.here(),
        on_command=lambda body, _headers: heard.append(body),
    )
    assert lease is not None
    assert lease.acquire()

    with app.connection_for_write() as connection:
        connection.Producer().publish(
            b"hello",
            exchange="celery.pidbox",
            routing_key="",
            content_type="text/plain",
            content_encoding="utf-8",
        )

    def is_heard() -> bool:
        assert lease.renew()
        return bool(heard)

    wait_until(is_heard, SOON, "it is overheard")
    assert heard == [b"hello"]
    lease.release()
