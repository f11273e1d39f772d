"""Replies: they become counts; whatever is malformed stays unknown and harms nobody."""

from __future__ import annotations

import pytest

from event_monitor.broker.control import Reply
from event_monitor.probes.replies import COMMANDS, start_interval, with_reply
from event_monitor.survey import WorkerAnswer

W1 = "celery@one"
NOTHING = WorkerAnswer(W1)


def replied(command: str, body: object) -> WorkerAnswer:
    """The answer that has only this reply in it."""
    return with_reply(NOTHING, Reply(W1, command, body))


def stats(**fields: object) -> WorkerAnswer:
    """The answer to ``stats`` alone."""
    return replied("stats", fields)


def test_replies_join_into_one_answer() -> None:
    """Lists are counted, statistics read, queues named."""
    # Given
    replies: dict[str, object] = {
        "active": [{"id": "1"}, {"id": "2"}],
        "reserved": [{"id": "3"}],
        "scheduled": [
            {"request": {"id": uuid, "delivery_info": {"routing_key": key}}}
            for uuid, key in (("7", "slow"), ("8", "slow"), ("9", "fast"))
        ],
        "revoked": ["4", "5", "6"],
        "stats": {
            "total": {"proj.b": 7, "proj.a": 1},
            "pool": {"max-concurrency": 2, "processes": [11, 12]},
            "rusage": {"maxrss": 40_000, "msgsnd": 0, "msgrcv": 0},
            "prefetch_count": 8,
        },
        "active_queues": [{"name": "slow"}, {"name": "fast"}],
    }
    assert set(replies) == set(COMMANDS)

    # When
    answer = NOTHING
    for command, body in replies.items():
        answer = with_reply(answer, Reply(W1, command, body))

    # Then
    assert answer == WorkerAnswer(
        W1,
        active=2,
        reserved=1,
        scheduled=3,
        revoked=3,
        pool_processes=2,
        memory_bytes=40_960_000,
        processed=(("proj.a", 1), ("proj.b", 7)),
        queues=("fast", "slow"),
        prefetch_count=8,
        scheduled_by_key=(("fast", 1), ("slow", 2)),
    )


@pytest.mark.parametrize(
    ("pool", "size"),
    [
        ({"max-concurrency": 3, "processes": [1, 2, 3, 4, 5]}, 5),  # prefork, after autoscale
        ({"max-concurrency": 1, "processes": [1]}, 1),  # solo
        ({"max-concurrency": 8, "threads": 2}, 8),  # threads are made when they are needed
        ({"max-concurrency": 100}, 100),  # gevent
        ({"max-concurrency": 50, "free-threads": 48, "running-threads": 2}, 50),  # eventlet
        ({"max-concurrency": 4, "processes": "N/A"}, 4),
        ({"max-concurrency": "N/A"}, None),
        ({}, None),
    ],
)
def test_pool_size_is_what_can_run_at_once(pool: dict[str, object], size: int | None) -> None:
    """Each pool reports it in its own way."""
    assert stats(pool=pool).pool_processes == size


@pytest.mark.parametrize(
    ("rusage", "memory"),
    [
        ({"maxrss": 51_200, "msgsnd": 0, "msgrcv": 0}, 52_428_800),  # Linux: units of 1,024
        ({"maxrss": 51_200}, 52_428_800),
        ({"maxrss": 52_428_800, "msgsnd": 9, "msgrcv": 4}, 52_428_800),  # macOS: bytes
        ({"maxrss": 0}, None),
        ("N/A", None),
    ],
)
def test_memory_is_in_real_bytes(rusage: object, memory: int | None) -> None:
    """Whichever unit the platform uses."""
    assert stats(rusage=rusage).memory_bytes == memory


HOSTILE: list[object] = [
    *(None, True, -1, 1e999, float("nan"), 10**400, "x", b"x", [], {}, [[]], [None]),
    *({"error": "no"}, {"pool": [], "rusage": [], "total": []}, {1: 2}),
    {"pool": {"max-concurrency": -1}, "rusage": {"maxrss": 10**400}, "total": {"a": "b", 3: 4}},
    {"pool": {"max-concurrency": True}, "rusage": {"maxrss": 1.5}, "total": {"": 1, "a": -1}},
]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "stats"])
@pytest.mark.parametrize("body", [body for body in HOSTILE if not isinstance(body, list)])
def test_a_reply_that_is_no_list_is_unknown(command: str, body: object) -> None:
    """Never an invented zero."""
    assert replied(command, body) == NOTHING


@pytest.mark.parametrize("body", HOSTILE)
def test_statistics_of_the_wrong_kind_are_unknown(body: object) -> None:
    """Field by field."""
    assert replied("stats", body) == NOTHING


def test_only_names_are_taken_for_queues() -> None:
    """The rest of the list still counts; a lone surrogate is in no name that a broker takes."""
    body = [{"name": 3}, None, {"name": ""}, {"name": ["q"]}, {}, {"name": "q" * 5_000}]

    assert replied("active_queues", [*body, {"name": "q\ud800"}, {"name": "good"}]).queues == (
        "good",
    )


def test_no_worker_fills_the_memory_with_names() -> None:
    """Names beyond a bound are left out."""
    many = {f"task{n}": 1 for n in range(10_000)}

    assert len(stats(total=many).processed) == 2_000
    assert len(replied("active_queues", [{"name": name} for name in many]).queues or ()) == 2_000


# -- scheduled, and rate limits --------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [None, "x", {}, {"request": 3}, {"request": {"delivery_info": None}}]
    + [{"request": {"delivery_info": {"routing_key": key}}} for key in (None, 3, "", "x" * 2_000)],
)
def test_a_scheduled_task_of_unknown_origin_is_counted(entry: object) -> None:
    """Only where it came from is unknown."""
    assert replied("scheduled", [entry]) == WorkerAnswer(W1, scheduled=1)


def test_made_up_routing_keys_are_bounded() -> None:
    entries = [{"request": {"delivery_info": {"routing_key": f"k{n}"}}} for n in range(500)]
    answer = replied("scheduled", entries)

    assert (answer.scheduled, len(answer.scheduled_by_key)) == (500, 100)


@pytest.mark.parametrize(
    ("registered", "seconds"),
    [
        ([], 0.0),
        (["proj.a", "proj.b"], 0.0),
        (["proj.a [rate_limit=10/m]"], 6.0),
        (["proj.a [rate_limit=10/m]", "proj.b [rate_limit=1/h]", "proj.c"], 3_600.0),
        (["proj.a [rate_limit=4]", "proj.b [rate_limit=2/s]"], 0.5),
        (["proj.a [rate_limit=0.5/s]"], 2.0),
        (["proj.a [rate_limit=1e-05]"], 100_000.0),
        (["proj.a [rate_limit=0]", "proj.b [rate_limit=0/m]"], 0.0),  # Celery: without a limit
        (["proj.a [rate_limit=1e-300/h]"], 2_592_000.0),  # a month is slow enough
        (["proj.a [rate_limit=-1]", "proj.b [rate_limit=e/e]", "[rate_limit=", 3, None], 0.0),
        (None, None),
        ({"error": "x"}, None),
    ],
)
def test_the_lowest_rate_limit_says_how_long_a_worker_may_begin_nothing(
    registered: object, seconds: float | None
) -> None:
    assert start_interval(registered) == (None if seconds is None else pytest.approx(seconds))
