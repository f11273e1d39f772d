"""Service: what is wired, and what happens when a part of it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from event_monitor.errors import EXIT_CRASHED, EXIT_OK, UnavailableError
from event_monitor.service import Service
from event_monitor.settings import Settings
from event_monitor.testing import MemorySink

from .making import task


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
