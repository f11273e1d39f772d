"""Service: what is wired, and what happens when a part of it breaks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from event_monitor.errors import EXIT_CRASHED, EXIT_OK, UnavailableError
from event_monitor.metrics import Metric
from event_monitor.publisher.store import Store
from event_monitor.service import Service
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken
from event_monitor.testing import MemorySink

from ..support.making import task


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("service-test", broker="memory://localhost", set_as_current=False)
    yield app
    app.close()


def service_of(app: Celery, **settings: Any) -> tuple[Service, MemorySink]:
    sink = MemorySink()
    return Service(
        Settings(probe_queues=False, probe_workers=False, **settings), app, sink=sink
    ), sink


def test_what_was_counted_since_the_last_shot_is_sent_at_the_end(app: Celery) -> None:
    """The last shot, then the publisher."""
    service, sink = service_of(app)
    service.open()
    service.camera.install()
    service.on_events([task("started")], None)
    service.shoot_last()

    assert service.close() == EXIT_OK
    assert sink.sum("TasksStarted") == 1


def test_the_last_shot_is_taken_once(app: Celery) -> None:
    """The receiver asks for it while it is still connected, and whoever closes asks again."""
    service, sink = service_of(app)
    service.open()
    service.camera.install()
    service.shoot_last()
    service.shoot_last()

    assert service.close() == EXIT_OK
    assert sink.sum("MonitorHeartbeat") == 1


def test_a_last_shot_that_fails_is_a_crash_and_the_rest_is_closed(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loud, with its exit code; what was published before is sent all the same."""
    # Given
    service, sink = service_of(app)
    service.open()
    service.camera.install()
    service.on_events([task("started")], None)
    service.camera.capture()
    told: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, number: told.append(number))

    # When
    monkeypatch.setattr(service.state, "expose", lambda: 1 / 0)
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


def test_what_a_disk_did_not_take_is_acknowledged_when_it_has(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing new has come since: else the broker would send nothing any more."""
    # Given a disk that fails for one window
    sink = MemorySink()
    sink.fail(1_000)
    settings = Settings(
        durable_queue="q", state_dir=str(tmp_path), probe_queues=False, probe_workers=False
    )
    monkeypatch.setattr("event_monitor.service.require_events", lambda *_: None)
    service = Service(settings, app, sink=sink)
    acknowledged: list[AckToken] = []
    service.receiver = SimpleNamespace(acknowledge=acknowledged.append, stop=lambda: None)
    token = AckToken("session", 7, (b"12345678",))
    healthy = Store.append

    service.on_events([task("started")], token)
    monkeypatch.setattr(service.publisher._spool._disk._store, "append", fail_as_full)
    service.camera.capture()
    assert acknowledged == []

    # When it works again, and nothing has come meanwhile
    monkeypatch.setattr(
        service.publisher._spool._disk._store,
        "append",
        partial(healthy, service.publisher._spool._disk._store),
    )
    service.camera.capture()

    # Then all of it is on disk, and acknowledged
    assert acknowledged == [token]
    service.publisher.close(0)
    with closing(Store.open(str(tmp_path / "spool.sqlite3"))) as store:
        assert store.metrics > 0
        started = [
            metric.value
            for batch in iter(lambda: taken(store), None)
            for metric in batch
            if metric.name == "TasksStarted" and not metric.dimensions
        ]
    assert sorted(started) == [0, 1]


def fail_as_full(*_arguments: Any, **_options: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def taken(store: Store) -> tuple[Metric, ...] | None:
    """The oldest batch, which is gone then."""
    found = store.oldest()
    if found is None:
        return None
    store.replace(found[0], ())
    return found[1]


def test_a_shot_that_hangs_is_a_crash_and_keeps_nobody_from_stopping(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held is lost, so the end must not look like one in order."""
    # Given a shot that does not end
    monkeypatch.setattr("event_monitor.camera._SHOT_SECONDS", 0.2)
    monkeypatch.setattr("os.kill", lambda *_: None)
    service, _ = service_of(app, interval=1.0)
    hanging, let_go = threading.Event(), threading.Event()

    def hang(_snapshot: object) -> None:
        hanging.set()
        let_go.wait(60)

    service.camera._on_snapshot = hang
    service.open()
    service.camera.install()
    assert hanging.wait(30)

    # When, then
    try:
        service.shoot_last()
        assert service.close() == EXIT_CRASHED
    finally:
        let_go.set()
