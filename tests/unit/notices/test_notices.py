"""Notices: what a snapshot gives to the log, each thing once, in one sentence."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from event_monitor.notices import Notice, Notices
from event_monitor.snapshot import (
    BrokerLink,
    FailingTask,
    MissingTask,
    MissingTasks,
    OrphanedTask,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    VanishedTask,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import W1, W2

QUIET = Snapshot(window=Window(0.0, 60.0))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notices(clock: FakeClock) -> Notices:
    return Notices(stalled_seconds=300.0, clock=clock)


def test_a_lost_worker_is_named_with_its_unfinished_tasks(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """The first question is what was running there; the facts go with the line."""
    loss = WorkerLoss(W1, 61.0, orphans=(OrphanedTask("u9", "proj.add"),))
    notices(replace(QUIET, losses=(loss,)))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"worker {W1} is lost (silent for 61 s), unfinished tasks: 1: proj.add[u9]"
    )
    facts = ("notice", "worker", "seconds", "tasks", "task", "uuid")
    assert [vars(record)[fact] for fact in facts] == [
        *("worker-lost", W1, 61.0, 1),
        *(["proj.add"], ["u9"]),
    ]


def test_only_the_first_twenty_unfinished_tasks_are_named(notices: Notices) -> None:
    """A line for a log, not a list."""
    orphans = tuple(OrphanedTask(f"u{number}", "t") for number in range(21))
    (notice,) = notices.find(replace(QUIET, losses=(WorkerLoss(W1, 5.0, orphans, True),)))
    assert (notice.kind, notice.tasks) == ("worker-left", 21)
    assert notice.text.endswith("t[u19], …")


def test_names_cannot_forge_a_line(notices: Notices) -> None:
    """Names come from whoever may write to the broker."""
    loss = WorkerLoss("a\nERROR b", 5.0, orphans=(OrphanedTask("u\x1b[2J", "t"),))
    (notice,) = notices.find(replace(QUIET, losses=(loss,)))
    assert "\n" not in notice.text
    assert "\x1b" not in notice.text


def test_a_worker_without_task_events_is_named_once_an_hour(
    notices: Notices, clock: FakeClock
) -> None:
    """-E is the commonest mistake."""
    silent = WorkerStatus(W1, WorkerState.ONLINE, 0.0, sends_task_events=False)
    snapshot = replace(QUIET, workers=(silent,))
    assert notices.find(snapshot) == (Notice(kind="no-task-events", worker=W1),)
    clock.advance(3_599)
    assert notices.find(snapshot) == ()
    clock.advance(1)
    assert len(notices.find(snapshot)) == 1


def test_a_stalled_worker_is_named_when_it_begins_to_stall(notices: Notices) -> None:
    """Once, until it has recovered."""
    stalled = replace(QUIET, survey=Survey(stalled=(W2,)))
    assert [notice.kind for notice in notices.find(stalled)] == ["worker-stalled"]
    assert notices.find(stalled) == ()
    assert notices.find(QUIET) == ()
    assert len(notices.find(stalled)) == 1


def test_missing_tasks_are_named_with_their_queue_and_when_they_were_sent(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of many; those that come after all have a line of their own."""
    task = MissingTask("u9", "proj.add", "mail", 1_000.0)
    missed = MissingTasks((("proj.add", 30),), (task,), returned=(task,))
    with caplog.at_level(logging.INFO):
        notices(replace(QUIET, missing=missed))

    missing, returned = caplog.records
    assert (missing.levelno, returned.levelno) == (logging.WARNING, logging.INFO)
    named = "proj.add[u9] (queue mail, sent at 1970-01-01T00:16:40Z)"
    assert missing.getMessage() == (
        "tasks are missing, 30 of them: they were sent, and are neither in their queue nor with a "
        f"worker, and no event told what became of them: {named}, …"
    )
    assert returned.getMessage() == f"tasks that were missing came after all, 1 of them: {named}"
    facts = ("notice", "tasks", "task", "uuid", "queue")
    assert [vars(missing)[fact] for fact in facts] == [
        *("tasks-missing", 30),
        *(["proj.add"], ["u9"], ["mail"]),
    ]


def test_tasks_that_vanished_are_one_line_a_shot(notices: Notices) -> None:
    """Where `Ignore` is a habit there may be many."""
    vanished = tuple(VanishedTask(f"u{number}", "t", W1) for number in range(10))
    window = replace(
        QUIET.window,
        tasks=(("s", TaskCounts(vanished=5)), ("t", TaskCounts(vanished=20))),
        vanished=vanished,
    )
    (notice,) = notices.find(replace(QUIET, window=window))
    assert (notice.kind, notice.tasks) == ("tasks-vanished", 25)
    assert notice.text.startswith("25 tasks have ended without an event")
    assert notice.text.endswith("t[u9], …")


def test_a_task_that_fails_is_named_when_it_begins_to(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """With how often; once, until it has succeeded."""
    failing = replace(QUIET, failing=(FailingTask("shop.pay", 2),))
    for snapshot in (failing, failing, QUIET, failing):
        notices(snapshot)

    assert [record.getMessage() for record in caplog.records] == [
        "tasks of which every run fails: 1: shop.pay (2)"
    ] * 2
    assert vars(caplog.records[0])["task"] == ["shop.pay"]
    assert "uuid" not in vars(caplog.records[0])


def scheduled(
    name: str, *, seen: float | None = 0.0, due: float = 100.0, overdue: float = 0.0
) -> ScheduledTask:
    return ScheduledTask(name, seen_at=seen, due_at=due, overdue_seconds=overdue)


POLL = scheduled("shop.poll", seen=1_000.0, due=1_100.0)
NIGHTLY_OVERDUE = scheduled("shop.nightly", overdue=60.0)
AT_1000 = Window(940.0, 1_000.0)


def test_a_periodic_task_that_stays_away_is_named_when_it_begins_to(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """With when it was expected; once, until it has come."""
    late = replace(QUIET, window=AT_1000, scheduled=(POLL, NIGHTLY_OVERDUE))
    in_time = replace(QUIET, window=AT_1000, scheduled=(POLL, scheduled("shop.nightly")))
    for snapshot in (late, late, in_time, late):
        notices(snapshot)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "periodic tasks stay away, 1 of them: shop.nightly (expected at 1970-01-01T00:01:40Z)",
        )
    ] * 2
    facts = vars(caplog.records[0])
    assert (facts["notice"], facts["task"]) == ("schedules-overdue", ["shop.nightly"])
    assert "uuid" not in facts


def test_a_beat_that_is_silent_is_one_line_not_fifty(notices: Notices) -> None:
    """Those that become overdue later are no news, until some come again and they do not."""
    # Given fifty tasks of which none comes any more, and one that is due tomorrow
    names = [f"t{number}" for number in range(50)]
    tomorrow = scheduled("nightly", seen=50.0, due=90_000.0)
    first = [scheduled(name, overdue=60.0) for name in names[:40]]
    waiting = [scheduled(name, due=500.0) for name in names[40:]]
    followed = [scheduled(name, due=500.0, overdue=60.0) for name in names[40:]]

    def found(*tasks: ScheduledTask) -> list[Notice]:
        return list(notices.find(replace(QUIET, window=AT_1000, scheduled=tasks)))

    # Then it is said once
    (notice,) = found(*first, *waiting, tomorrow)
    assert notice.text.startswith(
        "no periodic task has been seen for 950 s: is `celery beat` running? Overdue are 40: "
        "t0 (expected at "
    )
    assert notice.facts["seconds"] == 950.0
    assert found(*first, *followed, tomorrow) == []

    # And when beat is back, those that still stay away are named
    back = [replace(task, seen_at=1_000.0, overdue_seconds=0.0) for task in first]
    (notice,) = found(*back, *followed, tomorrow)
    assert (notice.kind, notice.tasks) == ("schedules-overdue", 10)
    assert found(*back, *followed, tomorrow) == []


def test_a_single_periodic_task_that_stays_away_does_not_accuse_beat(notices: Notices) -> None:
    """Nothing tells which of them it is."""
    (notice,) = notices.find(replace(QUIET, scheduled=(NIGHTLY_OVERDUE,)))
    assert notice.kind == "schedules-overdue"


def test_a_periodic_task_that_was_never_seen_is_good_to_know(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for all, and no warning: it may run elsewhere."""
    unseen = replace(QUIET, scheduled=(scheduled("shop.new", seen=None, overdue=1.0),))
    with caplog.at_level(logging.INFO):
        for snapshot in (unseen, QUIET, unseen):
            notices(snapshot)

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("periodic tasks were never seen, 1 of them, and are not")


# -- who comes and goes, and whether anything is heard -------------------------------------------


def worker(
    name: str, state: WorkerState = WorkerState.ONLINE, *, pid: int | None = 7
) -> WorkerStatus:
    return WorkerStatus(name, state, 0.0, pid=pid)


def shot(*workers: WorkerStatus, **facts: Any) -> Snapshot:
    return replace(QUIET, workers=workers, **{"listening_seconds": 60.0, **facts})


def test_the_first_workers_are_found_together_and_later_ones_come(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """Good news are no warnings."""
    with caplog.at_level(logging.INFO):
        notices(shot(worker(W2), worker(W1)))
        notices(shot(worker(W2), worker(W1), worker("w3@new")))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"events come from 2 workers: {W1}, {W2}"),
        ("INFO", "worker w3@new has come"),
    ]
    assert vars(caplog.records[0])["workers"] == 2


def test_a_worker_that_comes_and_leaves_before_the_first_are_found_has_left(
    notices: Notices,
) -> None:
    """Also where the broker is away in between, and the first are found later for that."""
    assert notices.find(shot(worker(W1), listening_seconds=1.0)) == ()
    assert notices.find(shot(worker(W1), listening_seconds=None)) == ()
    gone = worker(W1, WorkerState.OFFLINE)
    assert notices.find(shot(gone, listening_seconds=1.0)) == ()
    found = notices.find(shot(gone, worker(W2), listening_seconds=2.0))
    assert found == (
        Notice(kind="workers-found", workers=(W2,)),
        Notice(kind="worker-gone", worker=W1),
    )
    assert notices.find(shot(gone, worker(W2), listening_seconds=3.0)) == ()


def test_workers_that_leave_return_and_restart_are_told_of_once(notices: Notices) -> None:
    """One that dies is told of by its loss, and one that leaves tasks behind by these."""
    # Given
    offline, lost = WorkerState.OFFLINE, WorkerState.LOST
    notices.find(shot(worker(W1), worker(W2)))

    def found(*workers: WorkerStatus, **facts: Any) -> list[tuple[str, str]]:
        return [(notice.kind, notice.worker) for notice in notices.find(shot(*workers, **facts))]

    # When, then
    assert found(worker(W1, offline), worker(W2)) == [("worker-gone", W1)]
    assert found(worker(W1, offline), worker(W2)) == []
    assert found(worker(W1), worker(W2, pid=8)) == [("worker-back", W1), ("worker-restarted", W2)]
    loss = WorkerLoss(W1, 61.0)
    assert found(worker(W1, lost), worker(W2, pid=8), losses=(loss,)) == [("worker-lost", W1)]
    assert found(worker(W1), worker(W2, pid=None)) == [("worker-back", W1)]
    leaving = WorkerLoss(W2, 0.0, said_goodbye=True)
    assert found(worker(W1), worker(W2, offline), leaving=(leaving,)) == [("worker-leaving", W2)]


def test_of_one_kind_ten_are_logged_and_the_rest_together(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that dies takes fifty workers along."""
    losses = [WorkerLoss(f"w{n}@x", 61.0, (OrphanedTask("u", "t"),)) for n in range(50)]
    notices(shot(worker(W1), losses=tuple(losses)))

    assert len(caplog.records) == 11
    assert caplog.messages[-1] == (
        "and 40 more (worker-lost): 40 workers: w10@x, w11@x, w12@x, w13@x, w14@x, w15@x, w16@x, "
        "w17@x, w18@x, w19@x, …, tasks: 40"
    )


def test_nothing_heard_is_a_warning_until_something_is(
    notices: Notices, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The wrong database looks like a quiet night; once an hour is enough."""
    # Given nothing, for not long enough, then for longer
    notices(replace(QUIET, listening_seconds=9.0, window=Window(0.0, 5.0)))
    notices(shot(has_heard_all=False))  # as over SQS, where that takes a minute
    assert caplog.records == []
    notices(shot())
    notices(shot())

    # Then
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "no worker and no event for 60 s: is this the broker, database or virtual host that "
            "the workers use? `event-monitor check` looks at the others",
        )
    ]
    clock.advance(3_600)
    notices(shot())
    assert len(caplog.records) == 2

    # And when workers came, all of them may leave for the night
    notices(shot(worker(W1)))
    notices(shot(worker(W1, WorkerState.OFFLINE)))
    clock.advance(3_600)
    notices(shot())
    assert len(caplog.records) == 2


def test_workers_that_answer_and_send_nothing_are_another_matter(notices: Notices) -> None:
    """Their events go elsewhere, or they have none."""
    (notice,) = notices.find(shot(survey=Survey(workers=(WorkerAnswer(W1),))))

    assert (notice.kind, notice.workers) == ("no-events", (W1,))
    assert notice.text == (
        "no event for 60 s, though workers answer; `event-monitor check` looks for the reason. "
        f"It is 1 worker: {W1}"
    )


def test_events_of_others_alone_are_a_sign_that_the_service_is_named_wrongly(
    notices: Notices,
) -> None:
    """A glob that matches nothing looks like a quiet night, too. Events of an app's own do not."""
    window = Window(0.0, 60.0, events_received=3, custom_events=(("opened", 3),))
    (notice,) = notices.find(shot(window=window))
    assert notice.kind == "nothing-heard"

    (notice,) = notices.find(shot(window=replace(window, events_received=4)))
    assert notice.text == (
        "events come, but for 60 s none of a worker or a task of this service: do only_tasks, "
        "only_queues and only_workers match their names?"
    )


def test_a_standby_says_so_and_says_when_it_takes_over(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """Two monitors on one durable queue: the log of each tells which it is."""
    with caplog.at_level(logging.INFO):
        for link in (BrokerLink.STANDBY, BrokerLink.STANDBY, BrokerLink.LISTENING):
            notices(replace(QUIET, link=link))

    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert [message.partition(":")[0] for message in caplog.messages] == ["standby", "takes over"]


def test_debug_shows_each_worker_and_queue(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks for more gets it."""
    depths = Survey(queues=(QueueDepth("mail", ready=3, oldest_seconds=4.25),), failures=1)
    with caplog.at_level(logging.DEBUG):
        notices(shot(worker(W1), survey=depths, tasks_in_flight=5))

    details = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert details == [
        "events: 0 received, 0 invalid, delayed by up to 0.000 s; tasks: 5 in flight, 0 running",
        "answers: of workers None s old, of queues None s old, questions that failed: 1",
        f"worker {W1}: online, silent for 0.0 s, active None, processed None",
        "queue mail: waiting 3, unacknowledged None, readers None, oldest 4.2 s",
    ]
