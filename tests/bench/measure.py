"""Measure: a single run of a row. Start it, feed it, wait until it has read all, read its count.

CPU time counts from when it has settled and read a first portion until it is quiet again; of the
monitor until everything stands at the endpoint, so that shots, encoding and sending are in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from event_monitor.testing import StrictCloudWatch

from ..support.endpoint import environ_for
from ..support.waiting import wait_until
from .brokers import Broker
from .rows import INTERVAL_SECONDS, PROJECT, Place, Row, place_for, wrong
from .subject import ROOT, Subject
from .viewers import Took, took
from .wire import Recorded, events_in

_PROJECT_FILE = Path(__file__).with_name("proj.py")

_READY_SECONDS = 30.0
_READY_POLL_SECONDS = 0.005  # how exactly the time to start is known
_SETTLE_SECONDS = 1.5  # ours asks the workers what they hold, and waits a second for answers
_WARM_CHUNKS = 10
_WARM_RATE = 10_000  # events/s, where the rate is fixed: nobody shall be behind at the start
_SLICE_CHUNKS = 200  # gathered at the broker at a time: within a paused consumer's heartbeats
_DRAIN_SECONDS = 10.0  # what a consumer has not read so long after the last event is lost
_SLICE_SECONDS = 60.0  # the same at full speed, where nobody is in a hurry
_VIEWERS_SECONDS = 40.0  # longer than an answer may take
_COUNT_SECONDS = 3.0  # how old the counts that the peers write may be


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a run. ``lost`` is of ``sent``, both in the row's unit."""

    name: str
    broker: str
    events: int  # those the CPU time is for
    cpu_seconds: float
    wall_seconds: float
    sent: int
    lost: int
    wrong: str  # which counts at the endpoint are not the truth
    peak_mb: float
    grown_mb: float  # resident memory at the end of the measured part − at its beginning
    ready_seconds: float
    died: bool
    looks: tuple[Took, ...] = ()  # what viewers have asked for, if there were any


class Sender:
    """The sender's process; it stays on the cores of this one."""

    def __init__(self, url: str, stream: Recorded) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sender", url, str(stream.path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, first: int, last: int, rate: int = 0) -> None:
        """Send these chunks; return when the broker has them."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(f"{first} {last} {rate}\n")
        self._popen.stdin.flush()
        if not self._popen.stdout.readline():
            raise RuntimeError("the sender died")

    def close(self) -> None:
        """End it."""
        self._popen.kill()
        self._popen.communicate()


class Viewers:
    """Those who look at what a row serves, in a process on the cores of this one."""

    def __init__(self, url: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.viewers", url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> tuple[Took, ...]:
        """End it; return what each path took, the slowest last."""
        try:
            output, _ = self._popen.communicate(timeout=_VIEWERS_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            raise
        looks = (took(path, times) for path, times in json.loads(output).items())
        return tuple(sorted(looks, key=lambda look: look.p95))


def measure(
    row: Row,
    broker_name: str,
    *,
    broker: Broker,
    stream: Recorded,
    rate: int = 0,
    seconds: int = 0,
    checkout: Path = ROOT,
) -> Result:
    """Run it once: at full speed, or for so many ``seconds`` at ``rate`` events a second.

    ``checkout`` is the working tree whose ``event_monitor`` is measured. A stream that is too short
    for the rate is sent again and again; then only the number of events can be right or wrong.
    """
    events = rate * seconds if rate else row.events
    broker.limit(default=bool(rate))
    last = min(len(stream.chunks), _WARM_CHUNKS + events // 1_000)
    times = max(1, round(events / 1_000 / (last - _WARM_CHUNKS)))
    with _prepared(row, broker, stream=stream, keep=not rate, checkout=checkout) as (
        subject,
        sender,
        place,
        ready,
    ):
        time.sleep(_SETTLE_SECONDS)
        sender.send(0, _WARM_CHUNKS, min(rate, _WARM_RATE))
        subject.wait_until_quiet(_DRAIN_SECONDS)
        memory, cpu, began = subject.memory_mb("VmRSS"), subject.cpu_seconds(), time.monotonic()
        wall = 0.0
        looks: tuple[Took, ...] = ()
        viewers = Viewers(f"http://127.0.0.1:{place.port}") if row.is_viewed else None
        if rate:
            for _ in range(times):
                sender.send(_WARM_CHUNKS, last, rate)
            wall = time.monotonic() - began
            cpu_read = subject.cpu_seconds()
            looks = viewers.stop() if viewers else ()
            subject.wait_until_quiet(_DRAIN_SECONDS)
        else:
            for first in range(_WARM_CHUNKS, last, _SLICE_CHUNKS):
                wall += _slice(subject, sender, first, min(first + _SLICE_CHUNKS, last))
            cpu_read = subject.cpu_seconds()
        truth = stream.truth(0, last)
        for _ in range(times - 1):
            truth += stream.truth(_WARM_CHUNKS, last)
        sent = row.sent(truth)
        counted = _wait_for_count(row, place, sent)
        if row.reports and row.is_ours and not rate:
            cpu_read = subject.cpu_seconds()  # with the shots, down to the last one sent
        peak, grown = subject.memory_mb(), subject.memory_mb("VmRSS") - memory
        died = not subject.runs
        subject.stop()
        counted = max(counted, row.counted(place))
        return Result(
            name=row.name,
            broker=broker_name,
            events=times * events_in(stream.truth(_WARM_CHUNKS, last)),
            cpu_seconds=cpu_read - cpu,
            wall_seconds=wall,
            sent=sent,
            lost=sent - counted,
            wrong=wrong(place.cloudwatch, truth) if row.is_ours and times == 1 else "",
            peak_mb=peak,
            grown_mb=grown,
            ready_seconds=ready,
            died=died,
            looks=looks,
        )


def _slice(subject: Subject, sender: Sender, first: int, last: int) -> float:
    """Let these chunks gather at the broker; return the seconds it then takes to read them.

    So no sender and no broker is ever the bottleneck.
    """
    subject.pause()
    try:
        sender.send(first, last)
    finally:
        subject.resume()
    began = time.monotonic()
    return subject.wait_until_quiet(_SLICE_SECONDS) - began


def _wait_for_count(row: Row, place: Place, sent: int) -> int:
    """Return what it has counted, once that is all, or cannot become more."""
    if not row.reports:
        return 0
    seconds = _COUNT_SECONDS + INTERVAL_SECONDS * row.is_ours
    with contextlib.suppress(AssertionError):
        wait_until(lambda: row.counted(place) >= sent, seconds, "all is counted")
    return row.counted(place)


@contextlib.contextmanager
def _prepared(
    row: Row, broker: Broker, *, stream: Recorded, keep: bool, checkout: Path
) -> Iterator[tuple[Subject, Sender, Place, float]]:
    """Start the consumer and its sender; stop both at the end of the block."""
    url = broker.fresh_url()
    with tempfile.TemporaryDirectory() as folder, StrictCloudWatch() as cloudwatch:
        place = place_for(url, Path(folder), cloudwatch=cloudwatch)
        shutil.copy(_PROJECT_FILE, Path(folder) / f"{PROJECT}.py")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "EVENT_MONITOR_", "CELERY_", "FLOWER_"))
        }
        environ = {
            **inherited,
            **environ_for(cloudwatch.endpoint_url),
            "BROKER_URL": url,
            "PYTHONPATH": os.pathsep.join((str(checkout), folder)),
            "BENCH_COUNT": str(place.count),
            "BENCH_KEEP": "1" if keep else "",
        }
        log = Path(folder) / "log"
        subject = Subject(row.command(place), environ, log, checkout=checkout)
        sender = Sender(url, stream)
        try:
            wait_until(
                lambda: not subject.runs or broker.has_listener(url),
                _READY_SECONDS,
                f"{row.name} listens",
                poll_seconds=_READY_POLL_SECONDS,
            )
            if not subject.runs:
                raise RuntimeError(f"{row.name} ended at once:\n{subject.log.read_text()}")
            yield subject, sender, place, time.monotonic() - subject.started_at
        finally:
            sender.close()
            subject.stop(deadline_seconds=0)
