"""Workers: what is known of them is evidence, and evidence is judged without any broker."""

from __future__ import annotations

import pytest

from event_monitor.check import Finding
from event_monitor.check.listener import ReceivedEvent
from event_monitor.check.workers import WorkerEvidence, evidence_of, judge_workers
from event_monitor.events import TaskEvent, WorkerEvent

from .making import only


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
            "task_send_sent_event": True,
            "event_serializer": "pickle",
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
        WorkerEvidence(hostname="celery@a", answers=True, heartbeats=2, ran=2, skew_seconds=0.0),
        WorkerEvidence(
            hostname="celery@b",
            answers=True,
            configured=True,
            sends_sent=True,
            serializer="pickle",
        ),
        WorkerEvidence(hostname="celery@c", task_events=2),
    )


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


def judged(*workers: WorkerEvidence, turned_on: frozenset[str] | None = None) -> list[Finding]:
    return list(judge_workers(workers, turned_on=turned_on, listened_seconds=5.0))


def worker(
    hostname: str = "celery@a",
    *,
    answers: bool = True,
    configured: bool = False,
    sends_sent: bool = True,
    serializer: str = "json",
    heartbeats: int = 3,
    task_events: int = 0,
    ran: int | None = None,
    skew_seconds: float | None = 0.0,
) -> WorkerEvidence:
    """A worker that nothing is wrong with but what is given."""
    return WorkerEvidence(
        hostname=hostname,
        answers=answers,
        configured=configured,
        sends_sent=sends_sent,
        serializer=serializer,
        heartbeats=heartbeats,
        task_events=task_events,
        ran=ran,
        skew_seconds=skew_seconds,
    )


def test_a_worker_that_runs_tasks_without_an_event_is_a_failure() -> None:
    """The commonest mistake is reported loudly, with the ways out of it."""
    (finding,) = only("task events", judged(worker(ran=12)))

    assert finding.status == "failed"
    assert finding.message == (
        "NOT SENT by celery@a: celery@a ran 12 tasks in 5 s and not one event came; "
        "they will not be counted"
    )
    for way in ("worker -E", "worker_send_task_events = True", "run --enable-events"):
        assert way in finding.remedy


def test_an_idle_worker_is_unknown_not_guilty() -> None:
    """Celery does not say whether -E was given."""
    (finding,) = only("task events", judged(worker(ran=0)))

    assert finding.status == "warning"
    assert "check --enable-events" in finding.remedy


@pytest.mark.parametrize("proven", [worker(task_events=1), worker(configured=True)])
def test_task_events_or_the_configuration_are_proof(proven: WorkerEvidence) -> None:
    """Either is enough."""
    assert only("task events", judged(proven)) == [Finding("task events", "ok", "sent by celery@a")]


def test_workers_are_judged_one_by_one() -> None:
    """One good worker does not hide a bad one."""
    findings = judged(
        worker("celery@a", task_events=5),
        worker("celery@b", ran=5),
        worker("celery@c", ran=0),
    )

    assert [finding.status for finding in only("task events", findings)] == [
        "ok",
        "failed",
        "warning",
    ]


def test_turning_events_on_shows_which_were_off() -> None:
    """A worker that did not answer is judged by its events."""
    findings = judged(
        worker("celery@a"),
        worker("celery@b"),
        worker("celery@c", answers=False, ran=3),
        turned_on=frozenset({"celery@a"}),
    )

    reported = [(each.status, each.message) for each in only("task events", findings)]
    assert reported[:2] == [
        ("ok", "turned on just now, until a restart, in celery@a"),
        ("ok", "on already in celery@b"),
    ]
    assert [status for status, _ in reported] == ["ok", "ok", "failed"]


def test_a_worker_without_heartbeats_is_a_warning() -> None:
    """It would be taken for lost."""
    (finding,) = only("heartbeats", judged(worker(), worker("celery@b", heartbeats=0)))

    assert finding.status == "warning"
    assert "celery@b" in finding.message


def test_a_worker_whose_clock_is_off_is_a_warning() -> None:
    """Queue times would be nonsense; liveness would not."""
    (finding,) = only("worker clocks", judged(worker(skew_seconds=-120.0)))

    assert finding.status == "warning"
    assert "celery@a -120 s" in finding.message


def test_producers_that_do_not_send_task_sent_are_a_note() -> None:
    """TaskQueueTime then begins at receipt."""
    (finding,) = only("queue times", judged(worker(sends_sent=False)))
    assert finding.status == "note"
    assert only("queue times", judged(worker())) == []


def test_workers_that_pickle_their_events_are_a_failure() -> None:
    """Their events would be refused."""
    (finding,) = only("event format", judged(worker(serializer="pickle")))

    assert finding.status == "failed"


def test_many_workers_are_not_all_named() -> None:
    """The line stays a line."""
    (finding,) = only("workers", judged(*(worker(f"w{number}") for number in range(12))))

    assert finding.message == "12 answer: w0, w1, w2, w3, w4 and 7 more"
