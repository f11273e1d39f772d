"""Top against a real monitor and real workers: what happens is on the screen."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from celery import Celery

from event_monitor.live import Broker, Monitor
from event_monitor.settings import Settings
from event_monitor.status.ask import take_report

from ..support.processes import Processes
from ..support.servers import Server, free_port
from ..support.waiting import wait_until
from ..unit.live.screen import Shown, play


@pytest.fixture
def broker(server: Callable[[str], Server]) -> str:
    """On Redis only: what is shown does not depend on the broker."""
    return server("redis").fresh_url()


def test_what_happens_is_on_the_screen(processes: Processes, client: Celery) -> None:
    """A failure with its traceback, a task that runs and its worker; without a monitor, too."""
    # Given
    address = f"127.0.0.1:{free_port()}"
    environ = {
        "EVENT_MONITOR_HTTP": address,
        "EVENT_MONITOR_HISTORY": "true",
        "EVENT_MONITOR_HISTORY_DETAILS": "message,traceback",
        "EVENT_MONITOR_PROBE_SECONDS": "1",
    }
    processes.monitor("run", environ=environ)
    worker = processes.worker("w1@top")
    client.send_task("proj.fail")
    long = client.send_task("proj.sleep_for", [600])
    monitor = Monitor(f"http://{address}")
    wait_until(lambda: monitor.look().failures, 60, "the failure is in the history")

    async def script(shown: Shown) -> None:
        await shown.until(lambda: "proj.sleep_for" in "".join(shown.rows("running")))
        await shown.until(lambda: "1/2" in "".join(shown.rows("workers")))
        assert "w1@top" in shown.rows("workers")[1]
        assert shown.rows("failures")[1].split()[:3] == ["▸~proj.fail", "new", "ValueError"]
        await shown.press("enter")
        await shown.until(lambda: "ValueError: as planned" in shown.text)
        await shown.press("escape", "5", "enter")
        await shown.until(lambda: f"proj.sleep_for  {long.id}" in shown.text)

    play(monitor, script, size=(120, 40))

    # When nobody listens
    settings = Settings(probe_seconds=2.0)

    async def script_without(shown: Shown) -> None:
        # A worker that is slow to answer is missing until the next look.
        await shown.until(lambda: "1/2" in "".join(shown.rows("workers")))
        await shown.until(lambda: "proj.sleep_for" in "".join(shown.rows("running")))
        assert shown.rows("failures")[1].strip() == "not known"

    play(Broker("redis", lambda: take_report(client, settings), settings), script_without)

    # When the worker is asked to end, and waits for its task
    worker.send(signal.SIGTERM)

    async def script_while_it_drains(shown: Shown) -> None:
        await shown.until(lambda: "draining" in "".join(shown.rows("workers")))
        await shown.press("4", "enter")
        await shown.until(lambda: "draining, 1 task left" in shown.text)

    play(monitor, script_while_it_drains)
