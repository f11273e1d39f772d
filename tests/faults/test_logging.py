"""The reader of log or output stalls: a pipe that is full, and nobody reads it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import Processes
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import WAYS

SOON = 60  # seconds; only a broken monitor takes that long
_PIPE_BYTES = 4_096  # a few lines


class Pipe:
    """A pipe on its way to a reader that reads when told to."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._read_end, False)

    def fill(self) -> None:
        """Leave no room in it."""
        os.set_blocking(self.write_end, False)
        try:
            while True:
                os.write(self.write_end, b"x")
        except BlockingIOError:
            os.set_blocking(self.write_end, True)

    def read(self) -> str:
        """Return what is in it."""
        try:
            return os.read(self._read_end, 1 << 20).decode(errors="replace")
        except BlockingIOError:
            return ""

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe whose other end is open and not read."""
    made = Pipe()
    yield made
    made.close()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_a_full_pipe_on_stderr_stops_neither_shots_nor_a_graceful_shutdown(
    way: str, processes: Processes, worker: SyntheticWorker, cloudwatch: Endpoint, pipe: Pipe
) -> None:
    """Not a line can be written; the last shot is sent all the same."""
    # Given
    if way == "run":  # from its first line on; Celery itself waits for a reader at its start
        pipe.fill()
    environ = {"EVENT_MONITOR_INTERVAL": "1"}
    monitor = processes.start(WAYS[way], environ, stderr=pipe.write_end)

    # When it cannot reach its reader for several shots
    wait_until(lambda: cloudwatch.nonzero("BrokerConnected"), SOON, "it is connected")
    if way != "run":
        pipe.fill()
    before = cloudwatch.sum("MonitorHeartbeat")
    worker.run(40)
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= before + 2, SOON, "shots go on")
    worker.run(2)

    # Then it ends in time, with everything sent
    monitor.send(signal.SIGTERM)
    assert monitor.wait(SOON) == 0
    assert cloudwatch.sum("TasksSucceeded") == 42


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_what_the_reader_did_not_take_comes_when_it_reads_again(
    processes: Processes, cloudwatch: Endpoint, pipe: Pipe
) -> None:
    """Nothing is dropped before thousands of lines wait."""
    pipe.fill()
    monitor = processes.start(WAYS["run"], {"EVENT_MONITOR_INTERVAL": "1"}, stderr=pipe.write_end)
    wait_until(lambda: cloudwatch.nonzero("BrokerConnected"), SOON, "it is connected")
    read = [""]

    def is_read(text: str) -> bool:
        read[0] += pipe.read()
        return text in read[0]

    wait_until(lambda: is_read("receiving events from redis://"), SOON, "the lines come")
    monitor.send(signal.SIGTERM)
    wait_until(lambda: is_read("stopped; everything is sent"), SOON, "the last line comes")
    assert monitor.wait(SOON) == 0
    assert "one shot every 1 s" in read[0]
    assert "dropped" not in read[0]


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_a_full_pipe_on_stdout_does_not_keep_the_console_from_ending(
    way: str, processes: Processes, pipe: Pipe
) -> None:
    """What could not be printed counts as unsent, and the code says so."""
    environ = {"EVENT_MONITOR_INTERVAL": "1", "EVENT_MONITOR_SINK": "console"}
    environ["EVENT_MONITOR_DRAIN_SECONDS"] = "1"
    monitor = processes.start(WAYS[way], environ, stdout=pipe.write_end)
    monitor.wait_for_output("receiving events from")
    pipe.fill()

    monitor.send(signal.SIGTERM)

    assert monitor.wait(SOON) == 4
    assert "metrics unsent" in monitor.output
