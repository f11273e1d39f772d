"""Advice: given where there is a reason, and not where there is none or it is unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from event_monitor.check.advice import Known, advise
from event_monitor.check.configuration import Configuration
from event_monitor.check.held import HeldTask
from event_monitor.check.server import RedisMemory
from event_monitor.survey import WorkerAnswer

from .making import only

W1 = "w1@host"
REDIS = Known(driver="redis")
RABBITMQ = Known(driver="amqp")
Late = Callable[..., HeldTask]


def configured(known: Known, **settings: object) -> Known:
    """The same, and the worker W1 has these settings."""
    return replace(known, configurations={W1: Configuration(**settings)})  # type: ignore[arg-type]


def scheduled(seconds: float) -> HeldTask:
    return HeldTask(name="proj.later", worker=W1, until_eta=seconds, acknowledged=False)


def running(seconds: float, *, acknowledged: bool | None) -> HeldTask:
    return HeldTask(name="proj.long", worker=W1, running=seconds, acknowledged=acknowledged)


def reasons(known: Known) -> dict[str, tuple[str, str]]:
    """Name → status and message."""
    return {finding.name: (finding.status, finding.message) for finding in advise(known)}


def test_nothing_known_is_no_advice() -> None:
    assert reasons(REDIS) == {}
    assert reasons(RABBITMQ) == {}


def test_all_advice_says_where_it_is_documented_and_none_fails() -> None:
    """By the makers of the software; Ready stays Ready."""
    worst = replace(
        configured(
            REDIS,
            visibility_timeout=1.0,
            shares_database=True,
            results_expire=False,
            soft_shutdown=0.0,
            sends_sent=False,
        ),
        workers={W1: WorkerAnswer(W1, reserved=1, prefetch_count=4, pool_processes=1)},
        tasks=[running(900.0, acknowledged=True), scheduled(900.0)],
        versions={W1: "5.7.0", "w2@host": "5.6.3"},
        memory=RedisMemory(used=9, limit=10, policy="allkeys-lru"),
        alarms=["memory on rabbit@a"],
    )

    findings = list(advise(worst))

    assert [finding.name for finding in findings] == [
        "redelivery",
        "prefetch",
        "result database",
        "result expiry",
        "eviction",
        "broker memory",
        "broker alarms",
        "queue times",
        "versions",
        "soft shutdown",
    ]
    for finding in findings:
        assert finding.status in {"note", "warning"}
        url = finding.remedy.splitlines()[-1]
        assert url.startswith(
            ("https://docs.celeryq.dev/", "https://redis.io/", "https://www.rabbitmq.com/")
        )


# -- the visibility timeout ------------------------------------------------------------------------


def test_a_task_whose_eta_is_beyond_the_visibility_timeout_runs_twice() -> None:
    """Whatever acks_late says: it is acknowledged when it begins, at the earliest."""
    known = replace(
        configured(REDIS, visibility_timeout=3_600.0),
        tasks=[scheduled(3_700.0), scheduled(7_200.0), scheduled(10.0)],
    )

    assert reasons(known)["redelivery"] == (
        "warning",
        "proj.later on w1@host waits 7,200 s for its eta unacknowledged (and 1 more), and the "
        "visibility timeout is 3,600 s: after it Redis delivers the task again, which then runs "
        "more than once",
    )


@pytest.mark.parametrize(
    ("task", "given"),
    [
        (running(3_700.0, acknowledged=False), True),
        (running(3_700.0, acknowledged=True), False),  # Redis has forgotten it
        (running(3_700.0, acknowledged=None), False),
        (running(3_500.0, acknowledged=False), False),
        (scheduled(3_500.0), False),
    ],
)
def test_a_task_that_is_acknowledged_late_must_end_within_it(task: HeldTask, given: bool) -> None:
    known = replace(configured(REDIS, visibility_timeout=3_600.0), tasks=[task])

    assert ("redelivery" in reasons(known)) == given


def test_the_shortest_visibility_timeout_counts() -> None:
    """One worker gives back what all of them hold; the app's counts where no worker tells."""
    known = replace(
        REDIS,
        app=Configuration(visibility_timeout=60.0),
        configurations={
            W1: Configuration(visibility_timeout=9_000.0),
            "w2@host": Configuration(visibility_timeout=3_600.0),
        },
        tasks=[scheduled(5_000.0)],
    )

    assert "timeout is 3,600 s" in reasons(known)["redelivery"][1]
    assert "timeout is 60 s" in reasons(replace(known, configurations={}))["redelivery"][1]


@pytest.mark.parametrize(
    "known", [configured(RABBITMQ, visibility_timeout=3_600.0), configured(REDIS)]
)
def test_without_a_visibility_timeout_nothing_is_delivered_again(known: Known) -> None:
    """RabbitMQ has none; or it is unknown."""
    assert reasons(replace(known, tasks=[scheduled(9_000.0)])) == {}


# -- prefetch --------------------------------------------------------------------------------------

PREFETCHING = WorkerAnswer(W1, reserved=3, scheduled=0, prefetch_count=4, pool_processes=1)


def prefetching(answer: WorkerAnswer, *seconds: float) -> bool:
    """Whether advice is given when tasks have run for so long."""
    tasks = [running(each, acknowledged=True) for each in seconds]
    return "prefetch" in reasons(replace(RABBITMQ, workers={W1: answer}, tasks=tasks))


def test_tasks_reserved_behind_long_ones_are_told() -> None:
    known = replace(RABBITMQ, workers={W1: PREFETCHING}, tasks=[running(400.0, acknowledged=True)])

    assert reasons(known)["prefetch"] == (
        "warning",
        "3 tasks are reserved by w1@host, whose processes all have run one task for more than "
        "5 minutes: no other worker can take them",
    )


@pytest.mark.parametrize(
    ("answer", "seconds", "given"),
    [
        (PREFETCHING, (200.0,), False),
        (replace(PREFETCHING, reserved=0), (400.0,), False),
        (replace(PREFETCHING, prefetch_count=1), (400.0,), False),
        (replace(PREFETCHING, prefetch_count=2, scheduled=1), (400.0,), False),
        (replace(PREFETCHING, prefetch_count=0), (400.0,), True),
        (replace(PREFETCHING, prefetch_count=8, pool_processes=2), (400.0, 1.0), False),
        (replace(PREFETCHING, prefetch_count=8, pool_processes=2), (400.0, 500.0), True),
        (replace(PREFETCHING, prefetch_count=None), (400.0,), False),
        (replace(PREFETCHING, pool_processes=None), (400.0,), False),
        (replace(PREFETCHING, reserved=None), (400.0,), False),
    ],
    ids=[
        "not long",
        "none reserved",
        "multiplier 1",
        "multiplier 1 and an eta",
        "no limit",
        "a process takes others",
        "all processes are busy",
        "prefetch unknown",
        "pool unknown",
        "reserved unknown",
    ],
)
def test_else_prefetching_harms_nobody(
    answer: WorkerAnswer, seconds: tuple[float, ...], given: bool
) -> None:
    assert prefetching(answer, *seconds) == given


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shares", "given"), [(True, True), (False, False), (None, False)])
def test_results_in_the_brokers_database_are_a_note(shares: bool | None, given: bool) -> None:
    found = reasons(configured(REDIS, shares_database=shares))

    assert set(found) == ({"result database"} if given else set())
    if given:
        assert found["result database"][0] == "note"


@pytest.mark.parametrize(("expire", "given"), [(False, True), (True, False), (None, False)])
def test_results_that_are_kept_for_ever_are_a_warning(expire: bool | None, given: bool) -> None:
    found = reasons(configured(RABBITMQ, results_expire=expire))

    assert set(found) == ({"result expiry"} if given else set())
    if given:
        assert found["result expiry"][0] == "warning"


# -- the broker ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "given"),
    [
        (RedisMemory(used=10, limit=100, policy="allkeys-lru"), {"eviction"}),
        (RedisMemory(used=10, limit=100, policy="allkeys-random"), {"eviction"}),
        (RedisMemory(used=81, limit=100, policy="volatile-lru"), {"broker memory"}),
        (RedisMemory(used=120, limit=100, policy="allkeys-lfu"), {"eviction", "broker memory"}),
        (RedisMemory(used=80, limit=100, policy="noeviction"), set()),
        (RedisMemory(used=80, limit=100, policy="volatile-ttl"), set()),  # queues do not expire
        (RedisMemory(used=80, limit=0, policy="allkeys-lru"), set()),
        (None, set()),
    ],
)
def test_a_redis_that_may_delete_queues_or_is_nearly_full_is_a_warning(
    memory: RedisMemory | None, given: set[str]
) -> None:
    found = reasons(replace(REDIS, memory=memory))

    assert set(found) == given
    assert all(status == "warning" for status, _ in found.values())


def test_an_alarm_of_rabbitmq_is_a_warning() -> None:
    known = replace(RABBITMQ, alarms=["memory on rabbit@a"])

    assert reasons(known) == {
        "broker alarms": (
            "warning",
            "RabbitMQ's alarm is on for memory on rabbit@a: it blocks whoever publishes a task",
        )
    }
    assert reasons(replace(RABBITMQ, alarms=())) == {}


# -- events, versions, shutdown --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "worker", "sent_came", "given"),
    [
        (False, None, False, True),
        (None, False, False, True),
        (False, True, False, False),
        (True, False, False, False),
        (False, False, True, False),
        (None, None, False, False),
    ],
    ids=["app", "worker", "worker sends", "app sends", "one was received", "unknown"],
)
def test_producers_that_send_no_task_sent_are_a_note(
    app: bool | None, worker: bool | None, sent_came: bool, given: bool
) -> None:
    """What is missing then is said."""
    known = replace(
        configured(REDIS, sends_sent=worker),
        app=Configuration(sends_sent=app),
        sent_came=sent_came,
    )

    found = reasons(known)

    assert set(found) == ({"queue times"} if given else set())
    if given:
        assert found["queue times"][0] == "note"
        assert "TaskQueueTime begins at receipt" in found["queue times"][1]


def test_workers_of_different_versions_are_named() -> None:
    """A worker that says none is left out."""
    versions = {"a@host": "5.7.0", "b@host": "5.6.3", "c@host": "5.7.0", "d@host": ""}

    assert reasons(replace(REDIS, versions=versions)) == {
        "versions": (
            "note",
            "the workers' versions of Celery differ, and so may what they do: "
            "5.6.3 on b@host; 5.7.0 on a@host, c@host",
        )
    }


def test_one_version_is_none_to_speak_of() -> None:
    assert reasons(replace(REDIS, versions={"a@host": "5.7.0", "b@host": "5.7.0"})) == {}
    assert reasons(replace(REDIS, versions={"a@host": "5.7.0", "b@host": ""})) == {}


def test_a_long_task_that_no_shutdown_waits_for_is_a_note() -> None:
    known = replace(
        configured(RABBITMQ, soft_shutdown=0.0), tasks=[running(500.0, acknowledged=True)]
    )

    assert reasons(known) == {
        "soft shutdown": (
            "note",
            "proj.long on w1@host has run for 500 s, is acknowledged already, and "
            "worker_soft_shutdown_timeout is 0: a deploy that cannot wait for it loses it",
        )
    }


@pytest.mark.parametrize(
    ("worker", "app", "task"),
    [
        (30.0, 0.0, running(500.0, acknowledged=True)),
        (None, None, running(500.0, acknowledged=True)),  # before Celery 5.5
        (0.0, 0.0, running(100.0, acknowledged=True)),
        (0.0, 0.0, running(500.0, acknowledged=False)),  # it is delivered again
        (0.0, 0.0, running(500.0, acknowledged=None)),
    ],
    ids=["soft shutdown", "no such setting", "short", "acks_late", "unknown"],
)
def test_else_no_task_is_lost(worker: float | None, app: float | None, task: HeldTask) -> None:
    known = replace(
        configured(RABBITMQ, soft_shutdown=worker),
        app=Configuration(soft_shutdown=app),
        tasks=[task],
    )

    assert reasons(known) == {}


def test_names_cannot_steer_the_terminal() -> None:
    """They come from whoever may write to the broker."""
    task = HeldTask(name="t\x1b[2J", worker=W1, running=900.0, acknowledged=True)
    known = replace(
        configured(REDIS, visibility_timeout=1.0, soft_shutdown=0.0),
        tasks=[task, replace(task, acknowledged=False)],
        versions={"w\x07": "5\x1b", W1: "5.7.0"},
        memory=RedisMemory(used=1, limit=100, policy="allkeys-\x1b"),
        alarms=["\x1b"],
    )

    findings = list(advise(known))

    assert len(findings) == 5
    assert all(finding.message.isprintable() for finding in findings)
    assert only("versions", findings)[0].message.endswith("5.7.0 on w1@host")
