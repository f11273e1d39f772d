"""Limit: which workers and queues of a snapshot belong to the one service."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.settings import Only
from event_monitor.snapshot import (
    Live,
    MissingTasks,
    OrphanedTask,
    Snapshot,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.state import Limit
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer

QUEUES = Only(queues=("shop*",))
NODES = Only(workers=("shop-*",))


def status(hostname: str, state: WorkerState = WorkerState.ONLINE) -> WorkerStatus:
    return WorkerStatus(hostname, state, silent_seconds=0.0)


WHOLE = Snapshot(
    Window(0.0, 60.0, events_received=99, events_lost=(("mail-1@h", 1),)),
    workers=(status("mail-1@h"), status("new@h"), status("shop-1@h")),
    waiting=(("mail", 5.0), ("shop", 7.0)),
    missing=MissingTasks(),
    survey=Survey(
        queues=(QueueDepth("mail", ready=1), QueueDepth("shop", ready=2)),
        workers=(
            WorkerAnswer("mail-1@h", queues=("mail",)),
            WorkerAnswer("shop-1@h", queues=("shop", "shop-low")),
        ),
        absent=(AbsentWorker("new@h"),),
        stalled=("mail-1@h", "shop-1@h"),
        failures=1,
    ),
)


def names(snapshot: Snapshot) -> dict[str, list[str]]:
    survey = snapshot.survey
    return {
        "workers": [worker.hostname for worker in snapshot.workers],
        "answers": [worker.hostname for worker in survey.workers or ()],
        "absent": [worker.hostname for worker in survey.absent],
        "stalled": list(survey.stalled or ()),
        "queues": [queue.name for queue in survey.queues or ()],
        "waiting": [queue for queue, _ in snapshot.waiting],
    }


def test_without_a_limit_nothing_is_left_out() -> None:
    """It is the very same snapshot."""
    assert Limit(Only()).after(WHOLE) is WHOLE
    assert Limit(Only(tasks=("shop.*",))).after(WHOLE) == WHOLE


def test_a_limit_to_queues_leaves_the_workers_that_read_one_of_them() -> None:
    """Of who never said what it reads it is not known; so it is absent, and no worker of ours."""
    limited = Limit(QUEUES).after(WHOLE)
    assert names(limited) == {
        "workers": ["shop-1@h"],
        "answers": ["shop-1@h"],
        "absent": ["new@h"],
        "stalled": ["shop-1@h"],
        "queues": ["shop"],
        "waiting": ["shop"],
    }
    assert limited.missing == MissingTasks()


def test_a_limit_to_workers_leaves_all_queues() -> None:
    """Which of them are ours only `only_queues` can say."""
    limited = Limit(NODES).after(WHOLE)
    assert names(limited) == {
        "workers": ["shop-1@h"],
        "answers": ["shop-1@h"],
        "absent": [],
        "stalled": ["shop-1@h"],
        "queues": ["mail", "shop"],
        "waiting": ["mail", "shop"],
    }
    assert limited.missing is None, "what was sent and is gone had no worker yet"


def test_what_is_about_the_monitor_stays_whole() -> None:
    """Whatever the limit."""
    for only in (QUEUES, NODES):
        limited = Limit(only).after(WHOLE)
        assert limited.window == WHOLE.window
        assert limited.survey.failures == 1


def test_what_a_worker_reads_is_remembered_until_it_is_forgotten() -> None:
    """One that is gone answers no more, and its death is ours to tell."""
    limit = Limit(QUEUES)
    limit.after(WHOLE)
    gone = status("shop-1@h", WorkerState.LOST)
    dead = Snapshot(
        Window(60.0, 120.0),
        workers=(gone,),
        losses=(WorkerLoss("mail-1@h", 90.0), WorkerLoss("shop-1@h", 90.0)),
        survey=Survey(workers=()),
    )
    limited = limit.after(dead)
    assert limited.workers == (gone,)
    assert [loss.hostname for loss in limited.losses] == ["shop-1@h"]

    limit.after(Snapshot(Window(120.0, 180.0)))  # the roster has forgotten it
    assert limit.after(replace(dead, losses=())).workers == ()


def test_who_ran_a_task_of_ours_is_a_worker_of_ours() -> None:
    """It died before it was asked what it reads."""
    loss = WorkerLoss("new@h", 90.0, orphans=(OrphanedTask("u1", "pay"),))
    dead = Snapshot(Window(0.0, 60.0), losses=(loss, WorkerLoss("other@h", 90.0)))
    assert Limit(QUEUES).after(dead).losses == (loss,)


def test_of_those_that_are_silent_the_services_own_are_told() -> None:
    """By what the last snapshot told of their queues."""
    limit = Limit(QUEUES)
    limit.after(WHOLE)
    look = Live(0.0, 0.0, silent=(("mail-1@h", 61.0), ("new@h", 62.0), ("shop-1@h", 63.0)))

    assert limit.during(look).silent == (("shop-1@h", 63.0),)
    assert Limit(Only()).during(look) is look
