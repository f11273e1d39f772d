"""Evidence: what answers and events prove of each worker."""

from __future__ import annotations

import pytest
from msgspec import Raw

from event_monitor.check.evidence import WorkerEvidence, evidence_of
from event_monitor.check.listener import ReceivedEvent
from event_monitor.events import TaskEvent, WorkerEvent, WorkerType


def beat(at: float, processed: int | None, *, hostname: str = "celery@a") -> ReceivedEvent:
    event = WorkerEvent(
        type="worker-heartbeat", hostname=hostname, timestamp=at, processed=processed
    )
    return ReceivedEvent(event, at)


def test_evidence_joins_replies_heartbeats_and_task_events() -> None:
    """One record for each worker that answered or sent an event, by hostname."""
    # Given
    replies = {
        "celery@b": {
            "worker_send_task_events": True,
            "event_serializer": "pickle",
            "event_exchange": "other",
        },
        "celery@a": {"error": "no conf for you"},
    }
    started = TaskEvent(type="task-started", hostname="celery@c", timestamp=10.0, uuid="1")
    sent = TaskEvent(type="task-sent", hostname="gen1@web", timestamp=10.0, uuid="1", name="t")
    events = [
        beat(10.0, 7),
        beat(12.0, 9),
        beat(19.0, 30),  # its task events may still be on their way
        ReceivedEvent(started, 10.0),
        ReceivedEvent(started, 10.0),
        ReceivedEvent(sent, 10.0),  # a producer is no worker
    ]

    # When
    evidence = evidence_of(replies, events, until=15.0)

    # Then
    assert evidence == (
        WorkerEvidence(
            hostname="celery@a", answers=True, events=3, heartbeats=2, ran=2, skew_seconds=0.0
        ),
        WorkerEvidence(
            hostname="celery@b",
            answers=True,
            configured=True,
            serializer="pickle",
            exchange="other",
        ),
        WorkerEvidence(hostname="celery@c", events=2, task_events=2),
    )


def test_the_version_of_celery_is_what_the_worker_says_last() -> None:
    """What is no text tells nothing."""
    old, new, odd = (
        ReceivedEvent(
            WorkerEvent(
                type="worker-heartbeat", hostname="celery@a", timestamp=10.0, sw_ver=Raw(said)
            ),
            10.0,
        )
        for said in (b'"5.6.3"', b'"5.7.0"', b"[5]")
    )

    assert evidence_of({}, [old, new, odd], until=15.0)[0].version == "5.7.0"
    assert evidence_of({}, [odd], until=15.0)[0].version == ""


def test_an_answer_to_the_heartbeat_broadcast_is_no_heartbeat() -> None:
    """It carries no counts, and comes from workers that send no heartbeats of their own, too."""
    (evidence,) = evidence_of({}, [beat(10.0, None), beat(12.0, 5)], until=15.0)

    assert (evidence.heartbeats, evidence.ran) == (1, None)


def test_the_skew_is_that_of_the_freshest_event() -> None:
    """A late event says nothing about a clock."""
    late = ReceivedEvent(beat(10.0, 1).event, 40.0)
    fresh = ReceivedEvent(beat(38.0, 1).event, 40.0)

    (evidence,) = evidence_of({}, [late, fresh], until=50.0)

    assert evidence.skew_seconds == 2.0


# -- several processes under one name --------------------------------------------------------------


def life(
    *beats: tuple[float, int, int], first: WorkerType = "worker-heartbeat", freq: float = 2.0
) -> list[ReceivedEvent]:
    """Heartbeats of celery@a: second, pid and processed of each; the first may be a hello."""
    return [
        ReceivedEvent(
            WorkerEvent(
                type="worker-heartbeat" if place or first == "worker-heartbeat" else first,
                hostname="celery@a",
                timestamp=at,
                pid=pid,
                processed=processed,
                freq=freq,
            ),
            at,
        )
        for place, (at, pid, processed) in enumerate(beats)
    ]


@pytest.mark.parametrize(
    ("beats", "proof"),
    [
        ([(0.0, 7, 100), (1.0, 8, 3), (2.0, 7, 101), (3.0, 8, 4)], "pids 7 and 8 take turns"),
        (
            [(0.0, 1, 100), (1.9, 1, 3), (3.8, 1, 101), (5.7, 1, 4)],
            "its count of tasks goes from 100 down and up again",
        ),
        ([(0.0, 1, 5), (0.5, 1, 5), (2.0, 1, 5), (2.5, 1, 5)], "4 heartbeats within 2 s"),
    ],
    ids=["pids", "counts", "beats"],
)
def test_several_processes_under_one_name_are_proven(
    beats: list[tuple[float, int, int]], proof: str
) -> None:
    """By their pids; in containers all have pid 1, and counts or the pace of beats tell."""
    (evidence,) = evidence_of({}, life(*beats), until=99.0)

    assert evidence.shared == proof


def test_two_answers_to_one_question_prove_it_too() -> None:
    """On Redis each process gets the question."""
    (evidence,) = evidence_of({"celery@a": {}}, [], until=99.0, replies={"celery@a": 2})

    assert evidence.shared == "2 processes answer"


@pytest.mark.parametrize(
    "received",
    [
        life((0.0, 7, 5), (2.0, 7, 5), (4.0, 7, 9)),
        life((0.0, 7, 100), (2.0, 7, 101)) + life((3.0, 8, 0), (5.0, 8, 1), first="worker-online"),
        life((0.0, 1, 10)) + life((1.0, 1, 0), (3.0, 1, 50), first="worker-online"),
        life((0.0, 1, 10), (2.0, 1, 0), (4.0, 1, 5)),  # its hello was not received
        life((0.0, 1, 5), (3.5, 1, 5), (4.5, 1, 5), (6.5, 1, 5)),  # one came late
        life((0.0, 7, 5))
        + life((1.0, 7, 5), first="worker-offline")
        + life((1.5, 8, 0), first="worker-online")
        + life((2.0, 7, 5), (3.5, 8, 0)),  # gevent goes on after its goodbye
    ],
    ids=["one", "restart", "same pid", "no hello", "late", "drained"],
)
def test_one_process_after_the_other_proves_nothing(received: list[ReceivedEvent]) -> None:
    """A restart under the same name, or a heartbeat that was late."""
    (evidence,) = evidence_of({}, received, until=99.0)

    assert evidence.shared == ""


@pytest.mark.parametrize(
    ("received", "ran"),
    [
        (life((0.0, 7, 100), (1.0, 8, 3), (2.0, 7, 101), (3.0, 8, 7)), 5),
        (life((0.0, 1, 100), (1.9, 1, 3), (3.8, 1, 101), (5.7, 1, 4)), None),
        (life((0.0, 1, 40), (2.0, 1, 1), (4.0, 1, 3)), 2),
        (life((0.0, 7, 40)) + life((1.0, 8, 0), first="worker-online"), None),
    ],
    ids=["two pids", "one pid", "restart", "too few"],
)
def test_how_many_tasks_ran_is_never_below_zero(
    received: list[ReceivedEvent], ran: int | None
) -> None:
    """Each process has a count of its own; where they cannot be told apart it is unknown."""
    (evidence,) = evidence_of({}, received, until=99.0)

    assert evidence.ran == ran
