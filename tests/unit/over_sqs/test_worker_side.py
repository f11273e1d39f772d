"""Worker side: what a worker adds to its events, and the note by which others know it lives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish, celeryd_after_setup, task_received, worker_init
from celery.worker import state as worker_state

from event_monitor import send_events_over_sqs
from event_monitor.clock import SYSTEM_CLOCK
from event_monitor.enqueued_at import HEADER
from event_monitor.liveness import Liveness, address_of, worker_identity
from event_monitor.over_sqs.note import WorkerNote
from event_monitor.over_sqs.worker_facts import resident_bytes, worker_facts
from event_monitor.over_sqs.worker_side import WorkerSide, worker_side_of

ETA = "2026-11-26T12:00:00+00:00"


class Made(SimpleNamespace):
    """A part of Celery's; signals look their senders up in a dictionary."""

    def __hash__(self) -> int:  # type: ignore[override]  # it is compared by value
        return id(self)


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app with the line, whose worker was made as Celery makes one."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    send_events_over_sqs(app)
    yield app
    before_task_publish.disconnect(dispatch_uid=HEADER)
    app.close()


@pytest.fixture
def worker(app: Celery) -> Any:
    made = Made(app=app, hostname="w1@host")
    worker_init.send(sender=made)
    return made


def receive(
    worker: Any, headers: dict[str, Any], uuid: str = "u1", *, groups: frozenset[str] = frozenset()
) -> None:
    """Let the worker receive a task; it sends events of these groups only, if there are any."""
    request = SimpleNamespace(id=uuid, request_dict=headers)
    dispatcher = SimpleNamespace(groups=groups)
    task_received.send(sender=Made(app=worker.app, event_dispatcher=dispatcher), request=request)


def started(worker: Any, uuid: str = "u1") -> dict[str, Any]:
    """Return the task-started of a task as it is sent."""
    event = {"type": "task-started", "uuid": uuid}
    side = worker_side_of(worker.app)
    assert isinstance(side, WorkerSide)
    side.add_sent_times([{"type": "task-received", "uuid": uuid}, event])
    return event


@pytest.mark.parametrize(
    ("headers", "sent_at"),
    [
        ({HEADER: 1_000.5, "retries": 0}, 1_000.5),
        ({"headers": {HEADER: 1_000.5}}, 1_000.5),
        ({HEADER: "soon"}, None),
        ({}, None),
        ({HEADER: 1_000.5, "retries": 1, "eta": ETA}, 1_000.5),
        ({HEADER: 1_000.5, "retries": 1, "eta": None}, None),  # it is that of the first run
    ],
)
def test_a_start_tells_when_its_task_was_published(
    worker: Any, headers: dict[str, Any], sent_at: float | None
) -> None:
    """By the header that producers write; of a retry it counts up to its eta only."""
    receive(worker, headers)
    assert started(worker).get("sent_at") == sent_at


def test_each_run_has_a_time_of_its_own(worker: Any) -> None:
    """What was told is forgotten: the next run of the id may have none."""
    receive(worker, {HEADER: 1_000.0})
    receive(worker, {HEADER: 2_000.0}, "u2")
    assert [started(worker)["sent_at"], started(worker, "u2")["sent_at"]] == [1_000.0, 2_000.0]
    receive(worker, {})
    receive(worker, {HEADER: 3_000.0}, "u2")
    assert started(worker).get("sent_at") is None


def test_a_worker_that_sends_no_task_events_keeps_no_times(worker: Any) -> None:
    """Nobody would ever ask for them."""
    receive(worker, {HEADER: 1_000.0}, groups=frozenset({"worker"}))
    receive(worker, {HEADER: 1_000.0}, "u2", groups=frozenset({"worker", "task"}))
    assert started(worker).get("sent_at") is None
    assert started(worker, "u2").get("sent_at") == 1_000.0


def test_a_worker_of_another_app_is_not_observed() -> None:
    """It has no line."""
    app = Celery("other", broker="memory://", set_as_current=False)
    worker_init.send(sender=Made(app=app, hostname="w2@host"))
    assert worker_side_of(app) is None
    app.close()


def test_a_worker_whose_init_brings_the_line_is_observed_all_the_same() -> None:
    """Celery calls no handler of a signal that comes while the signal is sent."""
    # Given
    app = Celery("late", broker="memory://", set_as_current=False)
    worker = Made(app=app, hostname="w3@host")

    def on_init(**_: object) -> None:
        send_events_over_sqs(app)

    # When
    worker_init.connect(on_init, sender=worker)
    worker_init.send(sender=worker)
    celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)

    # Then
    side = worker_side_of(app)
    assert side is not None
    assert side.observes(worker)
    celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)
    assert worker_side_of(app) is side
    worker_init.disconnect(on_init, sender=worker)

    # And where its handlers name another queue, it is observed as one that sends there
    send_events_over_sqs(app, "another")
    celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)
    assert worker_side_of(app) is not side
    before_task_publish.disconnect(dispatch_uid=HEADER)
    app.close()


def test_what_a_worker_does_not_know_is_left_out() -> None:
    """At its start there is no consumer yet; a pool may be anybody's."""
    facts = worker_facts(SimpleNamespace(pool=None))
    assert set(facts) == {"active", "reserved", "revoked", "memory_bytes"}


def test_a_worker_tells_what_sends_no_events_and_what_is_held_back() -> None:
    """Neither is a loss, nor a stall."""
    tasks = {
        "often": SimpleNamespace(send_events=True, rate_limit="100/s"),
        "seldom": SimpleNamespace(send_events=False, rate_limit="6/m"),
        "usual": SimpleNamespace(send_events=True, rate_limit=None),
    }
    begun = {"often": 5, "seldom": 3, "forgotten": 1}
    worker_state.total_count.update(begun)
    facts = worker_facts(SimpleNamespace(app=SimpleNamespace(tasks=tasks)))
    worker_state.total_count.clear()
    assert (facts["silent"], facts["start_interval_seconds"]) == (3, 10.0)
    tasks = {"usual": tasks["usual"]}
    facts = worker_facts(SimpleNamespace(app=SimpleNamespace(tasks=tasks)))
    assert (facts["silent"], facts["start_interval_seconds"]) == (0, 0.0)


def test_a_worker_that_reads_too_many_queues_does_not_name_them() -> None:
    """A heartbeat has to fit into one message; part of them would be wrong."""
    exchange = SimpleNamespace(type="direct")
    queues = [SimpleNamespace(name=f"q{number}", exchange=exchange) for number in range(201)]
    consumer = SimpleNamespace(task_consumer=SimpleNamespace(queues=queues))
    worker = SimpleNamespace(consumer=consumer)
    assert "queues" not in worker_facts(worker)
    queues.pop()
    assert len(worker_facts(worker)["queues"]) == 200  # type: ignore[arg-type]


def test_memory_is_that_of_all_processes_which_are_there(tmp_path: Path) -> None:
    """One of the pool's may end meanwhile."""
    for pid, pages in ((os.getpid(), 1_000), (2, 300)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "statm").write_text(f"5000 {pages} 100 1 0 400 0\n")
    page = os.sysconf("SC_PAGE_SIZE")
    assert resident_bytes([os.getpid(), 2, 3], proc=tmp_path) == 1_300 * page
    assert resident_bytes([os.getpid(), 2], proc=tmp_path / "none") is None


def test_a_note_is_found_by_broker_and_nodename(app: Celery, tmp_path: Path) -> None:
    """Until the worker says goodbye."""
    # Given
    broker = address_of(app.connection_for_read())
    identity = worker_identity(broker, "w1@host")
    note = WorkerNote(app, "w1@host", temporary_dir=tmp_path)

    # When
    note.beat(interval_seconds=20.0)

    # Then
    [found] = Liveness.find(identity, temporary_dir=tmp_path)
    sign = found.last(now=SYSTEM_CLOCK.wall())
    assert sign is not None
    assert sign.interval_seconds == 20.0
    others = (worker_identity(broker, "w2@host"), worker_identity("redis://other", "w1@host"))
    assert [Liveness.find(other, temporary_dir=tmp_path) for other in others] == [(), ()]
    note.close()
    assert Liveness.find(identity, temporary_dir=tmp_path) == ()
