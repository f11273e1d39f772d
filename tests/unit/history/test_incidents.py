"""Incidents: what was wrong, since when, and until when."""

from __future__ import annotations

from collections.abc import Callable

from event_monitor.history import Incident, Reader, Recorder
from event_monitor.snapshot import (
    BrokerLink,
    FailingTask,
    OrphanedTask,
    PublisherReport,
    ScheduledTask,
    Snapshot,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey

from ...support.making import W1
from .conftest import OpenHistory
from .making import NOW, shot

Read = Callable[[], Reader]
LOST = (WorkerStatus(W1, WorkerState.LOST, 90.0),)


def told(history: Recorder, read: Read, *snapshots: Snapshot) -> list[Incident]:
    """Return the incidents of these snapshots, oldest first."""
    for snapshot in snapshots:
        history.on_snapshot(snapshot)
        history.flush()
    return list(reversed(read().incidents()))


def short(incidents: list[Incident]) -> list[tuple[str, str, float, float | None]]:
    return [
        (one.kind, one.subject, one.began - NOW, one.ended and one.ended - NOW) for one in incidents
    ]


def test_a_lost_worker_is_an_incident_until_it_is_back(
    open_history: OpenHistory, read: Read
) -> None:
    """The same one all the time, whatever else is wrong."""
    incidents = told(
        open_history(),
        read,
        shot(workers=LOST),
        shot(at=NOW + 60, workers=LOST),
        shot(at=NOW + 120),
        shot(at=NOW + 180, workers=LOST),
    )
    assert short(incidents) == [("worker-lost", W1, 0, 120), ("worker-lost", W1, 180, None)]
    assert [one.seen - NOW for one in incidents] == [60, 180]
    assert [one.began - NOW for one in read().incidents(only_open=True)] == [180]


def test_what_is_not_known_is_not_over(open_history: OpenHistory, read: Read) -> None:
    """While the broker is away nothing is heard of the worker."""
    incidents = told(
        open_history(),
        read,
        shot(workers=LOST),
        shot(at=NOW + 60, link=BrokerLink.AWAY),
        shot(at=NOW + 120, workers=LOST),
    )
    assert short(incidents) == [("worker-lost", W1, 0, None), ("broker-away", "", 60, 120)]


def test_each_kind_is_told(open_history: OpenHistory, read: Read) -> None:
    """Of queues, tasks, schedules and ourselves, too."""
    queues = (
        QueueDepth("slow", ready=500, consumers=1),
        QueueDepth("full", ready=5_000, consumers=0),
    )
    snapshot = shot(
        survey=Survey(queues=queues, stalled=(W1,)),
        publisher=PublisherReport(failures=2, unsent=10),
        failing=(FailingTask("shop.pay", 3),),
        scheduled=(ScheduledTask("shop.poll", seen_at=1.0, due_at=2.0, overdue_seconds=60.0),),
        window=Window(opened_at=NOW - 60, closed_at=NOW, disconnections=1, events_lost=((W1, 7),)),
        losses=(WorkerLoss(W1, 90.0, (OrphanedTask("u1", "shop.pay"),)),),
        second="process 7 on here",
    )
    history = open_history(queue_length_limits=(("*", (100.0, 1_000.0)),))
    incidents = told(history, read, snapshot)

    assert {(one.kind, one.subject): (one.tasks, one.ended is None) for one in incidents} == {
        ("publishing-fails", ""): (0, True),
        ("worker-stalled", W1): (0, True),
        ("queue-warning", "slow"): (500, True),
        ("queue-critical", "full"): (5_000, True),
        ("queue-unread", "full"): (5_000, True),
        ("tasks-failing", "shop.pay"): (3, True),
        ("schedule-overdue", "shop.poll"): (0, True),
        ("second-monitor", "process 7 on here"): (0, True),
        ("broker-away", ""): (0, False),
        ("events-lost", W1): (7, False),
        ("tasks-orphaned", W1): (1, False),
    }
    (orphaned,) = (one for one in incidents if one.kind == "tasks-orphaned")
    assert orphaned.named == ("shop.pay[u1]",)


def test_publishing_fails_until_everything_is_sent(open_history: OpenHistory, read: Read) -> None:
    """Between two attempts nothing has failed, and nothing is well."""
    incidents = told(
        open_history(),
        read,
        shot(publisher=PublisherReport(failures=1, unsent=5)),
        shot(at=NOW + 60, publisher=PublisherReport(unsent=9)),
        shot(at=NOW + 120),
    )
    assert short(incidents) == [("publishing-fails", "", 0, 120)]


def test_an_incident_goes_on_after_a_restart(open_history: OpenHistory, read: Read) -> None:
    """What is found no more was over nobody knows when: it is told until it was seen last."""
    first = open_history()
    told(first, read, shot(workers=LOST, failing=(FailingTask("shop.pay", 3),)))
    first.close()

    incidents = told(open_history(), read, shot(at=NOW + 60, workers=LOST))
    assert short(incidents) == [("worker-lost", W1, 0, None), ("tasks-failing", "shop.pay", 0, 0)]


def test_a_thousand_lost_workers_are_told_within_bounds(
    open_history: OpenHistory, read: Read
) -> None:
    """The first five hundred."""
    workers = tuple(
        WorkerStatus(f"celery@{number}", WorkerState.LOST, 90.0) for number in range(1_000)
    )
    told(open_history(), read, shot(workers=workers))
    assert len(read().incidents(limit=10_000)) == 500
