"""Service: what is wired, in which order it starts and stops, and what a crash does."""

from __future__ import annotations

import errno
import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from event_monitor.clock import SYSTEM_CLOCK
from event_monitor.errors import (
    EXIT_CRASHED,
    EXIT_OK,
    EXIT_UNSENT,
    SettingsError,
    UnavailableError,
)
from event_monitor.liveness import Liveness
from event_monitor.pipeline import require_events
from event_monitor.publisher import Spool
from event_monitor.schedules import LastSeen
from event_monitor.service import Service
from event_monitor.settings import Settings
from event_monitor.sinks.console import ConsoleSink
from event_monitor.snapshot import BrokerLink, EndedTask, Snapshot
from event_monitor.status.monitor_health import examine_sign
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import MemorySink

from ..support.making import W1, beat, online, task


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("service-test", broker="memory://localhost", set_as_current=False)
    yield app
    app.close()


def service_of(
    app: Celery, *, settings: dict[str, Any] | None = None, **how: Any
) -> tuple[Service, MemorySink]:
    """A service that asks nobody, with its receiver made but not connected."""
    sink = MemorySink()
    chosen = Settings(probe_queues=False, probe_workers=False, **(settings or {}))
    service = Service(chosen, app, sink=sink, **how)
    service.pipeline.receiver_class()(app.connection_for_read(), app=app)
    return service, sink


def started(service: Service) -> Service:
    service.open()
    service.camera.install()
    return service


def test_what_was_counted_since_the_last_shot_is_sent_at_the_end(app: Celery) -> None:
    """The last shot, then the publisher."""
    service, sink = service_of(app)
    started(service).pipeline.on_events([task("started")], None)
    service.shoot_last()

    assert service.close() == EXIT_OK
    assert sink.sum("TasksStarted") == 1


def test_the_last_shot_is_taken_once(app: Celery) -> None:
    """The receiver asks for it while it is still connected, and whoever closes asks again."""
    service, sink = service_of(app)
    started(service)
    service.shoot_last()
    service.shoot_last()

    assert service.close() == EXIT_OK
    assert sink.sum("MonitorHeartbeat") == 1


def test_a_last_shot_that_fails_is_a_crash_and_the_rest_is_closed(app: Celery) -> None:
    """Loud, with its exit code; what was published is sent all the same."""
    # Given
    ending = threading.Event()

    def fail_at_the_end(_snapshot: Snapshot) -> None:
        if ending.is_set():
            raise RuntimeError("boom")

    service, sink = service_of(app, consumers=(fail_at_the_end,))
    started(service).pipeline.on_events([task("started")], None)
    service.camera.cut()

    # When
    ending.set()
    service.shoot_last()

    # Then
    assert service.close() == EXIT_CRASHED
    assert sink.sum("TasksStarted") == 1


@pytest.mark.parametrize(
    ("broker", "conf", "sentence"),
    [
        ("sqs://", {}, "Celery sends no events over the sqs transport"),
        ("memory://", {"event_serializer": "pickle"}, "only json events are read"),
    ],
)
def test_what_could_never_work_is_refused(broker: str, conf: dict[str, Any], sentence: str) -> None:
    """In one sentence, before anything is opened."""
    app = Celery("refused", broker=broker, set_as_current=False)
    app.conf.update(conf)
    with pytest.raises(UnavailableError, match=sentence):
        service_of(app)


def test_making_a_service_opens_nothing(app: Celery, tmp_path: Path) -> None:
    """So another may be made with the same state_dir, as after a start that was refused."""
    made, _ = service_of(app, settings={"state_dir": str(tmp_path / "state")})
    assert not (tmp_path / "state").exists()

    again, _ = service_of(app, settings={"state_dir": str(tmp_path / "state")})
    again.open()
    again.close()
    del made


def test_a_relative_state_dir_is_told_whole(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A health check in another directory would look elsewhere."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "event_monitor.service")
    service, _ = service_of(app, settings={"state_dir": "state"})
    service.open()
    service.close()

    assert caplog.messages[0] == (
        f"state_dir is {tmp_path}/state; commands in other directories need the whole path"
    )


def test_a_start_that_fails_leaves_nothing_open(app: Celery, tmp_path: Path) -> None:
    """A state_dir in use is refused, and free for the next once its owner has gone."""
    with_dir = {"state_dir": str(tmp_path)}
    owner = Spool(str(tmp_path))
    owner.open()
    refused, _ = service_of(app, settings=with_dir)
    with pytest.raises(UnavailableError, match="is in use by process"):
        refused.open()
    owner.close()

    service, _ = service_of(app, settings=with_dir)
    service.open()
    assert service.close() == EXIT_OK


def test_what_a_full_output_did_not_take_is_told_at_the_end(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """The console keeps nothing: what it cannot print is lost, and the end is no success."""
    caplog.set_level(logging.INFO)
    with suppress(OSError), Path("/dev/full").open("w") as full:  # closing it fails, too
        settings = Settings(probe_queues=False, probe_workers=False)
        service = Service(settings, app, sink=ConsoleSink(stream=full))
        service.pipeline.receiver_class()(app.connection_for_read(), app=app)
        started(service)
        service.shoot_last()

        assert service.close() == EXIT_UNSENT

    assert "everything is sent" not in caplog.text
    assert "metrics are lost: the output did not take them" in caplog.text


def test_what_was_sent_and_comes_again_is_told_at_the_end(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk did not let us delete it; nothing of it is unsent."""

    class WornOutSpool(Spool):
        sent_again = 3

    service, _ = service_of(app, spool=WornOutSpool())
    started(service).shoot_last()

    assert service.close() == EXIT_OK
    assert (
        "3 metrics that were sent could not be deleted from the spool, as its disk fails; the next "
        "process sends them again"
    ) in caplog.messages


def test_a_spool_that_could_not_be_read_is_told_at_the_end(
    app: Celery,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what is there nobody knows whether it is sent; it stops no start."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    service, sink = service_of(app, settings={"state_dir": str(tmp_path)})
    started(service).shoot_last()

    assert service.close() == EXIT_OK
    assert sink.sum("MonitorHeartbeat") == 1
    assert caplog.messages[0].startswith(
        f"the spool cannot use {tmp_path}/spool.sqlite3: its file system gives no locks"
    )
    assert (
        "what the spool may hold from before could not be read; it is still there"
        in caplog.messages
    )


def test_a_shot_that_hangs_is_a_crash_and_keeps_nobody_from_stopping(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """What it held is lost, so the end must not look like a graceful one."""
    caplog.set_level(logging.INFO)
    # Given a shot that does not end
    hanging, let_go = threading.Event(), threading.Event()

    def hang(_snapshot: Snapshot) -> None:
        hanging.set()
        let_go.wait(60)

    service, _ = service_of(
        app, settings={"interval": 1.0}, consumers=(hang,), patience_seconds=0.2
    )
    started(service)
    assert hanging.wait(30)

    # When, then
    try:
        service.shoot_last()
        assert service.close() == EXIT_CRASHED
        assert "everything is sent" not in caplog.text
    finally:
        let_go.set()


def test_consumers_get_complete_snapshots(app: Celery) -> None:
    """Events' side, survey and what the publisher did are in one value."""
    seen: list[Snapshot] = []
    service, _ = service_of(app, consumers=(seen.append,))
    started(service).pipeline.on_connection(True)
    service.pipeline.on_events([beat(), task("started")], None)
    service.camera.cut()
    service.shoot_last()
    service.close()

    snapshot = seen[0]
    assert [worker.hostname for worker in snapshot.online] == [W1]
    assert snapshot.survey.queues is None  # nobody was asked
    assert snapshot.publisher.failures == 0
    assert len(seen) == 2


def test_who_waits_for_the_queue_of_events_says_that_it_stands_by(
    app: Celery, tmp_path: Path
) -> None:
    """Nothing is accepted from it, which no health check is to blame it for."""
    service, sink = service_of(app, settings={"state_dir": str(tmp_path)})
    started(service)
    roles = []
    for link in (BrokerLink.STANDBY, BrokerLink.LISTENING):
        service.camera.state.change_link(link)
        service.camera.cut()
        sign = Liveness(str(tmp_path)).last(now=SYSTEM_CLOCK.wall())
        assert sign is not None
        roles.append((sign.stands_by, examine_sign(sign, accepted_within=-1.0) is None))
    service.close()
    assert roles == [(True, True), (False, False)]
    assert sink.sum("MonitorHeartbeat") == 1


def test_task_consumers_get_the_tasks_that_ended(app: Celery) -> None:
    """As values, in the thread that receives."""
    ended: list[EndedTask] = []
    service, _ = service_of(app, task_consumers=(ended.extend,))
    started(service)
    service.pipeline.on_events([task("received"), task("started")], None)
    assert ended == []
    service.pipeline.on_events([task("succeeded", at=1_002.0, runtime=2.0)], None)
    service.shoot_last()
    service.close()

    (only,) = ended
    assert (only.id, only.name, only.how, only.worker) == ("u1", "proj.add", "succeeded", W1)
    assert (only.received, only.started, only.ended) == (1_000.0, 1_000.0, 1_002.0)


def test_what_waits_for_a_name_is_in_the_last_shot(app: Celery) -> None:
    """The service may stop before any worker has named its tasks."""
    service, sink = service_of(app)
    started(service).pipeline.on_connection(True)
    service.pipeline.on_events([task("succeeded")], None)
    receiver = service.pipeline.receiver
    assert receiver is not None
    assert receiver.on_stop is not None
    receiver.on_stop()

    assert service.close() == EXIT_OK
    assert sink.sum("TasksSucceeded") == 1


def test_an_answer_of_a_worker_is_a_sign_of_its_life(app: Celery) -> None:
    """Of one that sends no heartbeats it is the only one."""
    service, _ = service_of(app)
    service.camera.state.note_answers((WorkerAnswer(W1),), age_seconds=0.0)
    snapshot = service.camera.cut()
    assert [worker.hostname for worker in snapshot.online] == [W1]


def test_a_queue_of_tasks_cannot_be_the_durable_queue(tmp_path: Path) -> None:
    """Its messages would be read as events, and acknowledged."""
    app = Celery("careless", broker="amqp://nowhere.invalid//", set_as_current=False)
    with pytest.raises(SettingsError, match="'celery', which is a queue of tasks"):
        require_events(Settings(durable_queue="celery", state_dir=str(tmp_path)), app)


def test_periodic_tasks_are_judged_and_remembered(app: Celery, tmp_path: Path) -> None:
    """Those of the app, once they were seen; in the state_dir if there is one."""
    app.conf.beat_schedule = {"key": {"task": "proj.add", "schedule": 60.0}}
    service, sink = service_of(app, settings={"state_dir": str(tmp_path)})
    started(service).pipeline.on_connection(connected=True)
    service.camera.cut()
    assert not (tmp_path / "schedules").exists()
    service.pipeline.on_events([online(), task("received")], None)
    service.camera.cut()
    service.shoot_last()

    assert service.close() == EXIT_OK
    assert {metric.value for metric in sink.metrics if metric.name == "ScheduleOverdue"} == {0.0}
    assert list(LastSeen(str(tmp_path)).load()) == ["proj.add"]
