"""Heard workers: what a monitor over SQS knows of its workers is known to ``status``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery

from event_monitor.liveness import Identity, address_of, write_note
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from event_monitor.status.ask import take_report
from event_monitor.status.heard_workers import HeardWorkers, heard_workers
from event_monitor.survey import Survey, WorkerAnswer
from event_monitor.testing import FakeClock

IDENTITY = Identity(broker="sqs://", namespace="Celery", dimensions=())
W1 = WorkerAnswer("w1@h", active=1, pool_processes=4, queues=("celery",))
W1_NOTED = replace(W1, processed=(("", 50),))
SHOT = Snapshot(
    Window(0.0, 60.0),
    workers=(
        WorkerStatus("w1@h", WorkerState.ONLINE, 1.0, processed=50),
        WorkerStatus("w2@h", WorkerState.ONLINE, 1.0, active=2),
        WorkerStatus("w3@h", WorkerState.LOST, 99.0),
    ),
    survey=Survey(workers=(W1,)),
)


@pytest.mark.parametrize("has_state_dir", [True, False])
def test_the_workers_of_the_last_shot_are_known_beside_the_monitor(
    tmp_path: Path, *, has_state_dir: bool
) -> None:
    """For three windows."""
    clock = FakeClock()
    state_dir = str(tmp_path / "state") if has_state_dir else ""
    HeardWorkers(state_dir, identity=IDENTITY, temporary_dir=tmp_path, clock=clock)(SHOT)

    def found(after: float) -> tuple[WorkerAnswer, ...] | None:
        now = clock.wall() + after
        return heard_workers(state_dir, IDENTITY, now=now, temporary_dir=tmp_path)

    assert found(179.0) == (W1_NOTED, WorkerAnswer("w2@h", active=2))
    assert found(180.0) is None


@pytest.mark.parametrize(
    "snapshot",
    [replace(SHOT, has_heard_all=False), replace(SHOT, link=BrokerLink.AWAY)],
    ids=["too soon", "away"],
)
def test_a_monitor_that_does_not_know_them_leaves_nothing(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    """Some of them would be taken for all."""
    HeardWorkers(str(tmp_path), identity=IDENTITY)(snapshot)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [[{}], [7], [{"hostname": "w", "queues": 7}]])
def test_a_damaged_note_is_none(tmp_path: Path, workers: object) -> None:
    """As of another version."""
    write_note(tmp_path / "roster", {"at": 1.0, "interval_seconds": 60, "workers": workers})
    assert heard_workers(str(tmp_path), IDENTITY, now=1.0) is None


def test_status_takes_workers_from_the_monitor_where_none_can_be_asked(tmp_path: Path) -> None:
    """Without a monitor it says why it does not know them."""
    # Given
    app = Celery("over-sqs", broker="sqs://key:secret@127.0.0.1:1", set_as_current=False)
    remember_event_queue(app, EventQueue())
    settings = Settings(probe_queues=False, state_dir=str(tmp_path))
    clock = FakeClock()
    before = take_report(app, settings, clock=clock)

    # When
    identity = replace(IDENTITY, broker=address_of(app.connection_for_read()))
    HeardWorkers(settings.state_dir, identity=identity, clock=clock)(SHOT)
    after = take_report(app, settings, clock=clock)

    # Then
    assert (before.workers, before.unreadable) == (None, "sqs has no remote control of workers")
    assert (after.workers, after.unreadable) == ((W1_NOTED, WorkerAnswer("w2@h", active=2)), "")
