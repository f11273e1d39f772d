"""Names from the broker: they neither steer a terminal nor keep a line or a table from coming."""

from __future__ import annotations

import json
import signal

import pytest

from ..support.processes import LISTENS, Process
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import MakeWorker, StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long
TASK = "отчёт\x1b[2J\n2026-01-01 00:00:00,000 ERROR    forged\u202e"
HOST = "w1\x1b]0;title\x07\n{}@хост"
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def hostile(make_worker: MakeWorker) -> SyntheticWorker:
    """A worker whose name is an attack."""
    return make_worker(HOST)


@pytest.fixture
def start_ascii(start_monitor: StartMonitor) -> StartMonitor:
    """A monitor where nothing but ASCII can be printed; a worker is lost after seconds."""

    def start(way: str = "run", *, environ: dict[str, str] | None = None, **how: object) -> Process:
        settings = {"worker_grace_seconds": 1, "worker_grace_beats": 2, "by_worker": "all"}
        return start_monitor(
            way, environ={**ASCII, **(environ or {})}, until=LISTENS, **settings, **how
        )

    return start


@pytest.mark.parametrize("way", ["run", "celery-events"])
def test_no_name_steers_the_terminal_or_forges_a_line(
    way: str, start_ascii: StartMonitor, hostile: SyntheticWorker
) -> None:
    """In the log, and in the tables of the console; every line comes in an ASCII locale."""
    # Given tasks and a worker with names of that kind
    monitor = start_ascii(way, sink="console")
    hostile.beat()
    hostile.start(3, name=TASK)

    # When the worker dies
    wait_until(lambda: "is lost" in monitor.output, SOON, "the loss is logged")
    wait_until(lambda: "WorkerName=w1" in monitor.output, SOON, "the table is printed")
    monitor.stop(signal.SIGTERM)

    # Then
    output = monitor.output
    assert output.isascii()
    assert not {character for character in output if ord(character) < 32} - {"\n"}
    assert not [line for line in output.splitlines() if line.startswith("2026-01-01")]
    (lost,) = (line for line in output.splitlines() if "is lost" in line)
    assert r"\u043e\u0442\u0447\u0451\u0442\x1b[2J\n2026-01-01" in lost


def test_as_json_every_line_is_an_object_with_the_facts_as_fields(
    start_ascii: StartMonitor, hostile: SyntheticWorker
) -> None:
    """The names as they are, since JSON escapes them itself."""
    # Given
    environ = {"EVENT_MONITOR_LOG_FORMAT": "json"}
    monitor = start_ascii(environ=environ)
    hostile.beat()
    (uuid,) = hostile.start(1, name=TASK)

    # When
    wait_until(lambda: "is lost" in monitor.output, SOON, "the loss is logged")
    monitor.stop(signal.SIGTERM)

    # Then
    lines = [json.loads(line) for line in monitor.output.splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    (lost,) = (line for line in lines if line.get("notice") == "worker-lost")
    assert (lost["level"], lost["worker"], lost["tasks"]) == ("WARNING", HOST, 1)
    assert (lost["task"], lost["uuid"]) == ([TASK], [uuid])
    assert lost["seconds"] > 0
