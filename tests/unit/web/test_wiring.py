"""Wiring: the service serves what it counts, and goes on counting whatever becomes of that."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from celery import Celery

from event_monitor.errors import EXIT_OK, EXIT_UNAVAILABLE
from event_monitor.service import Service
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink
from event_monitor.testing import FakeClock, MemorySink

from ...support.making import task
from ...support.servers import free_port, listens
from ...support.waiting import wait_until

SENT = 'celery_task_received_total{hostname="generic",name="proj.add",queue_name="celery"}'


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("web-test", broker="memory://localhost", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    clock = FakeClock()
    yield clock
    clock.advance(3_600)  # else what still asks workers would wait for ever


def service_of(app: Celery, port: int, clock: FakeClock) -> Service:
    flags = {"http": f"127.0.0.1:{port}", "probe_queues": False, "probe_workers": False}
    settings = Settings.load(flags=flags, environ={})
    service = Service(settings, app, sink=MemorySink(), clock=clock)
    service.pipeline.receiver_class()(app.connection_for_read(), app=app)
    return service


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_what_is_counted_is_shown_before_and_after_the_shot(app: Celery, clock: FakeClock) -> None:
    """The numbers are the same as those that are published."""
    port = free_port()
    service = service_of(app, port, clock)
    service.open()
    wait_until(lambda: listens(port), 60, "it listens")
    service.camera.state.change_link(BrokerLink.LISTENING)
    service.pipeline.on_events([task("received", "u1"), task("received", "u2")], None)

    assert f"{SENT} 0\n" in fetch(port, "/metrics")[1]
    clock.advance(1)
    assert f"{SENT} 2\n" in fetch(port, "/metrics")[1]
    service.camera.cut()
    clock.advance(1)
    assert f"{SENT} 2\n" in fetch(port, "/metrics")[1]
    status = json.loads(fetch(port, "/api/v1/status")[1])
    assert status["shot"]["tasks"]["received"] == 2
    assert service.close() == EXIT_OK
    assert not listens(port)


def test_health_is_that_of_the_health_check(app: Celery, clock: FakeClock) -> None:
    """It fails when shots stop, after three intervals."""
    port = free_port()
    service = service_of(app, port, clock)
    service.open()
    wait_until(lambda: listens(port), 60, "it listens")
    assert fetch(port, "/health") == (200, "healthy\n")
    clock.advance(180)
    status, reason = fetch(port, "/health")
    assert (status, reason[:40]) == (503, "the monitor's last shot was 180 s ago; t")
    service.camera.cut()
    assert fetch(port, "/health") == (200, "healthy\n")
    service.close()


def test_a_taken_port_stops_no_counting(
    app: Celery, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an error in the log."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        service = service_of(app, port, clock)
        service.open()
        wait_until(lambda: "cannot serve HTTP" in caplog.text, 60, "it is told")
        service.pipeline.on_events([task("received", "u1")], None)
        assert dict(service.camera.cut().window.tasks)["proj.add"].received == 1
        assert service.close() == EXIT_OK


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_without_the_extra_one_sentence_says_how_to_get_it(module: str) -> None:
    """And nothing is started."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from event_monitor.cli import main\n"
        "main(['run', '-b', 'redis://localhost:1/0', '--http', '127.0.0.1:1', '--dry-run'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == EXIT_UNAVAILABLE
    assert run.stderr.splitlines()[-1] == (
        f"event-monitor: http is set, and {module} is not installed; "
        "install it with pip install 'celery-event-monitor[web]'."
    )
