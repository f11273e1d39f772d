"""Worker health: what a look at one worker shows, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery

from event_monitor.liveness import Liveness, address_of, worker_identity
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.probes.stalled import Idle, Look
from event_monitor.settings import Settings
from event_monitor.status.ask import take_report
from event_monitor.status.heartbeats import sends_heartbeats
from event_monitor.status.worker_health import (
    IdleNote,
    WorkerHealth,
    examine_worker,
    judge_note,
    look_at,
    nodename,
)
from event_monitor.status.worker_note import note_of
from event_monitor.survey import QueueDepth, WorkerAnswer
from event_monitor.testing import FakeClock

ANSWER = WorkerAnswer(
    "w1@host",
    active=0,
    processed=(("proj.a", 4), ("proj.b", 3)),
    queues=("celery", "mail"),
    uptime_seconds=60,
)
EMPTY = QueueDepth("mail", ready=0)


@pytest.mark.parametrize(
    ("depths", "work_waits"),
    [
        ((QueueDepth("celery", ready=5), EMPTY), True),
        ((QueueDepth("celery", ready=0), EMPTY), False),
        ((QueueDepth("celery", ready=None), EMPTY), None),
        ((), None),
    ],
)
def test_a_look_shows_what_it_runs_has_begun_and_whether_work_waits(
    depths: tuple[QueueDepth, ...], work_waits: bool | None
) -> None:
    """None where a queue's depth is unknown and no other has messages."""
    assert look_at(ANSWER, depths, now=1_000.0) == Look(
        active=0, processed=7, work_waits=work_waits, seen_at=1_000.0, uptime_seconds=60.0
    )


def test_without_an_uptime_the_count_of_begun_tasks_proves_nothing() -> None:
    """It may be another process than at the last look."""
    look = look_at(replace(ANSWER, uptime_seconds=None), (), now=1_000.0)

    assert (look.processed, look.uptime_seconds) == (None, None)


def test_a_worker_that_reads_no_queue_has_no_work_waiting() -> None:
    """Somebody cancelled its consumers on purpose; unknown queues are another thing."""
    idle = WorkerAnswer("w1@host", active=0, queues=())
    silent = WorkerAnswer("w1@host", active=0)

    assert look_at(idle, (), now=0.0).work_waits is False
    assert look_at(silent, (), now=0.0).work_waits is None


def test_a_worker_that_is_full_has_no_work_waiting() -> None:
    """It holds as many tasks as it may, all of them for their eta; what is reserved does wait."""
    full = replace(ANSWER, reserved=0, scheduled=4, prefetch_count=4)
    depths = (QueueDepth("celery", ready=5), EMPTY)

    assert look_at(full, depths, now=0.0).work_waits is False
    assert look_at(replace(full, reserved=1), depths, now=0.0).work_waits is True


# -- where nothing can be known --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "conf", "reason"),
    [
        ("sqs://", {}, "sqs has no remote control of workers"),
        (
            "redis://127.0.0.1:1/0",
            {"worker_enable_remote_control": False},
            "worker_enable_remote_control is off",
        ),
    ],
)
def test_where_nobody_answers_nobody_is_asked(
    broker: str, conf: dict[str, object], reason: str
) -> None:
    """The verdict is that there is none; no connection is made."""
    app = Celery("proj", broker=broker, set_as_current=False)
    app.conf.update(conf)

    health = examine_worker(app, Settings(), "w1@host")
    report = take_report(app, Settings(probe_queues=False))

    assert health == WorkerHealth(
        "unknown",
        f"nothing is known of w1@host: {reason}, and only with send_events_over_sqs(app) in the "
        "app would it leave its heartbeats here.",
    )
    assert (report.workers, report.unknown, report.unreadable) == (None, (), reason)


def test_a_worker_that_nobody_can_ask_is_judged_by_its_last_heartbeat(tmp_path: Path) -> None:
    """Three may be missing, and a minute; without one nothing is known, and the reason is said."""
    app = Celery("proj", broker="sqs://", set_as_current=False)
    broker = address_of(app.connection_for_read())
    left = Liveness(
        sign="worker",
        identity=worker_identity(broker, "w1@host"),
        temporary_dir=tmp_path,
        clock=FakeClock(wall=1_000.0),
    )

    def judge(at: float, name: str = "w1@host") -> WorkerHealth:
        note = note_of(app, name, now=at, temporary_dir=tmp_path)
        return judge_note(note, name, reason="it is SQS", has_line=True)

    unknown = judge(1_000.0)
    assert unknown.verdict == "unknown"
    assert unknown.sentence.startswith(
        "nothing is known of w1@host: it is SQS, and it has left no heartbeat here"
    )

    left.beat(interval_seconds=20.0)
    assert judge(1_060.0).verdict == "healthy"
    assert judge(1_061.0) == WorkerHealth(
        "unhealthy",
        "w1@host left its last heartbeat 61 s ago; there should be one every 20 s. "
        "(A solo worker leaves none while it runs a task.)",
    )
    assert judge(1_000.0, "w2@host").verdict == "unknown"
    assert judge(900.0).verdict == "unknown"  # a note of the future keeps nobody alive

    left.beat(interval_seconds=60.0)
    assert judge(1_180.0).verdict == "healthy"
    assert judge(1_181.0).verdict == "unhealthy"

    left.close()
    assert judge(1_000.0).verdict == "unknown"


def test_nobody_listens_where_what_is_heard_would_be_missing_in_the_monitor() -> None:
    """An hour would be long: the answer is there at once."""
    app = Celery("proj", broker="memory://", set_as_current=False)
    remember_event_queue(app, EventQueue())

    assert not sends_heartbeats(app, seconds=3_600.0)
    assert not sends_heartbeats(app, "nobody@nowhere", seconds=3_600.0)


# -- the note --------------------------------------------------------------------------------------


def test_what_was_found_is_noted_for_the_next_look(tmp_path: Path) -> None:
    """One file per worker, whatever its name; it goes when the worker is no longer idle."""
    note, idle = IdleNote(str(tmp_path), "w1@\ud800/.."), Idle(7, since=500.0)
    assert note.read() is None

    note.replace(None, idle)
    assert note.read() == idle
    assert IdleNote(str(tmp_path), "w2@host").read() is None

    note.replace(idle, None)
    assert note.read() is None
    assert list(tmp_path.iterdir()) == []


def test_a_note_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    """An upgrade does not forget since when a worker is idle."""
    note = IdleNote(str(tmp_path), "w1@host")
    assert note.path == tmp_path / "worker-5eb1ded2f3b98c9d"

    note.path.write_text('{"processed": 7, "since": 500}')

    assert note.read() == Idle(7, since=500.0)


@pytest.mark.parametrize("text", ["", "[]", '{"processed": "x", "since": 1}', '{"processed": 1}'])
def test_a_broken_note_is_none(tmp_path: Path, text: str) -> None:
    """Whatever the file holds."""
    note = IdleNote(str(tmp_path), "w1@host")
    note.path.write_text(text)

    assert note.read() is None


def test_a_worker_is_not_unhealthy_because_nothing_can_be_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full or read-only disk is a warning."""
    (tmp_path / "file").write_text("")

    IdleNote(str(tmp_path / "file"), "w1@host").replace(None, Idle(7, since=500.0))

    assert [record.levelname for record in caplog.records] == ["WARNING"]


# -- names -----------------------------------------------------------------------------------------


def test_names_of_workers_are_those_of_celery() -> None:
    """The host may be left out, or written as in ``celery worker -n``."""
    host = nodename("celery").partition("@")[2]

    assert host
    assert nodename("w1@") == nodename("w1@%h") == nodename("w1") == f"w1@{host}"
    assert nodename("w1@other") == "w1@other"
