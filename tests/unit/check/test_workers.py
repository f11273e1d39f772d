"""Workers: evidence is judged without any broker."""

from __future__ import annotations

import pytest

from event_monitor.check import Finding
from event_monitor.check.evidence import WorkerEvidence
from event_monitor.check.workers import judge_workers

from .making import only


def judged(
    *workers: WorkerEvidence,
    turned_on: frozenset[str] | None = None,
    listened_seconds: float = 5.0,
    judged_by_answers: bool = True,
) -> list[Finding]:
    return list(
        judge_workers(
            workers,
            turned_on=turned_on,
            listened_seconds=listened_seconds,
            exchange="celeryev",
            judged_by_answers=judged_by_answers,
        )
    )


def worker(
    hostname: str = "celery@a",
    *,
    answers: bool = True,
    configured: bool = False,
    serializer: str = "json",
    exchange: str | None = "celeryev",
    events: int = 3,
    heartbeats: int = 3,
    task_events: int = 0,
    ran: int | None = None,
    shared: str = "",
    skew_seconds: float | None = 0.0,
) -> WorkerEvidence:
    """A worker that nothing is wrong with but what is given."""
    return WorkerEvidence(
        hostname=hostname,
        answers=answers,
        configured=configured,
        serializer=serializer,
        exchange=exchange,
        events=events,
        heartbeats=heartbeats,
        task_events=task_events,
        ran=ran,
        shared=shared,
        skew_seconds=skew_seconds,
    )


def test_who_could_not_be_asked_is_known_by_events() -> None:
    """Their silence is ours."""
    findings = list(
        judge_workers([worker(answers=False)], turned_on=None, listened_seconds=5.0, asked=False)
    )

    assert only("workers", findings) == [Finding("workers", "ok", "1 send events: celery@a")]


def test_a_name_that_several_processes_have_is_a_warning() -> None:
    """Their counts stay exact; who of them died nobody can say."""
    findings = judged(worker(shared="pids 7 and 8 take turns"), worker("celery@b"))

    (finding,) = only("worker names", findings)
    assert only("worker names", judged(worker())) == []
    assert (finding.status, finding.message) == (
        "warning",
        "several processes run under one name: celery@a (pids 7 and 8 take turns)",
    )
    assert finding.remedy.startswith("Start each with its own -n")


def test_a_worker_that_answers_and_is_not_received_is_a_failure() -> None:
    """Ready is who receives everybody that is there; an exchange that differs is named."""
    findings = judged(
        worker("celery@a"),
        worker("celery@b", exchange="other", events=0, heartbeats=0),
        worker("celery@c", events=0, heartbeats=0),
    )

    reported = [(each.status, each.message) for each in only("worker events", findings)]
    assert reported == [
        (
            "failed",
            "sent to the exchange 'other' by celery@b; this monitor listens to 'celeryev'",
        ),
        ("failed", "none came of any type, though they answer: celery@c"),
    ]
    assert only("heartbeats", findings) == [Finding("heartbeats", "ok", "received from all 1")]


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


def test_a_worker_without_heartbeats_is_judged_by_its_answers() -> None:
    """It is not taken for lost; unless nobody will ask it."""
    workers = (worker(), worker("celery@b", heartbeats=0))
    silence = "celery@b sends no heartbeats (--without-heartbeat)"

    asked = only("heartbeats", judged(*workers))
    not_asked = only("heartbeats", judged(*workers, judged_by_answers=False))

    assert asked == [Finding("heartbeats", "note", f"{silence}: it is judged by its answers")]
    assert not_asked == [
        Finding("heartbeats", "warning", f"{silence}: it is not judged, since probe_workers is off")
    ]


@pytest.mark.parametrize(("answers", "listened_seconds"), [(False, 5.0), (True, 1.0)])
def test_who_was_silent_may_just_be_busy_or_not_due(answers: bool, listened_seconds: float) -> None:
    """A solo worker neither beats nor answers while it works."""
    (finding,) = only(
        "heartbeats",
        judged(worker(answers=answers, heartbeats=0), listened_seconds=listened_seconds),
    )

    assert finding.status == "warning"
    assert finding.message == f"none in {listened_seconds:.0f} s from celery@a"


def test_a_worker_whose_clock_is_off_is_a_warning() -> None:
    """Queue times would be nonsense; liveness would not."""
    (finding,) = only("worker clocks", judged(worker(skew_seconds=-120.0)))

    assert finding.status == "warning"
    assert "celery@a -120 s" in finding.message


def test_workers_that_pickle_their_events_are_a_failure() -> None:
    """Their events would be refused."""
    (finding,) = only("event format", judged(worker(serializer="pickle")))

    assert finding.status == "failed"


def test_many_workers_are_not_all_named() -> None:
    """The line stays a line."""
    (finding,) = only("workers", judged(*(worker(f"w{number}") for number in range(12))))

    assert finding.message == "12 answer: w0, w1, w2, w3, w4 and 7 more"


def test_names_cannot_steer_the_terminal() -> None:
    """They come from whoever may write to the broker."""
    findings = judged(
        worker("w\x1b[2J", ran=3, shared="x", skew_seconds=900.0),
        worker("w\x07", exchange="\x1b", events=0),
    )

    for finding in findings:
        assert finding.message.isprintable(), finding
        assert finding.remedy.replace("\n", "").isprintable(), finding


@pytest.mark.parametrize("ran", [None, 5])
def test_nobody_is_told_to_turn_on_task_events_from_here_in_workers_that_do_not_answer(
    ran: int | None,
) -> None:
    """They take no commands, so only their own command line or app can."""
    (finding,) = only("task events", judged(worker(answers=False, ran=ran)))

    assert "worker -E" in finding.remedy
    assert "--enable-events" not in finding.remedy
