"""Fixtures: ``cloudwatch``, ``mount``, ``proxy``, ``proxied``, ``worker``, ``start_monitor``."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, PROJECT, Process, Processes
from ..support.proxy import Proxy
from ..support.synthetic import SyntheticWorker

HERE = os.path.dirname(__file__)  # noqa: PTH120 - compared with a string, many times
WAYS = {
    "run": ["event-monitor", "run", "-A", PROJECT],
    "celery-events": [
        *("celery", "-A", PROJECT, "events"),
        *("-c", "event_monitor.CloudWatchCam", "-l", "INFO"),
    ],
}


Mount = Callable[[str], Path]


class MakeWorker(Protocol):
    """``make_worker("w2@synthetic")``: each is closed at the end of the test."""

    def __call__(self, hostname: str = "w1@synthetic") -> SyntheticWorker:
        """Return a synthetic worker, online."""
        ...


class StartMonitor(Protocol):
    """``start_monitor("run", interval=1)``: settings are passed as environment variables."""

    def __call__(
        self,
        way: str = "run",
        *,
        until: str | None = LISTENS,
        environ: dict[str, str] | None = None,
        **settings: object,
    ) -> Process:
        """Start it; return when it has written ``until``."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an integration test."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def cloudwatch() -> Iterator[Endpoint]:
    """Return a strict CloudWatch endpoint, empty and well."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def proxy(broker: str) -> Iterator[Proxy]:
    """Return a way to the broker that can be broken."""
    with Proxy(urlsplit(broker).port or 0) as proxy:
        yield proxy


@pytest.fixture
def proxied(broker: str, proxy: Proxy) -> dict[str, str]:
    """Return the environment of a process that takes that way."""
    return {"BROKER_URL": broker.replace(f":{urlsplit(broker).port}/", f":{proxy.port}/")}


@pytest.fixture
def make_worker(broker: str) -> Iterator[MakeWorker]:
    """Return a function that makes synthetic workers on this broker."""
    made: list[SyntheticWorker] = []

    def make(hostname: str = "w1@synthetic") -> SyntheticWorker:
        made.append(SyntheticWorker(broker, hostname))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def worker(make_worker: MakeWorker) -> SyntheticWorker:
    """Return a synthetic worker, online."""
    return make_worker()


@pytest.fixture
def start_monitor(processes: Processes) -> StartMonitor:
    """Return a function that starts a monitor, by default with an interval of one second."""

    def start(
        way: str = "run",
        *,
        until: str | None = LISTENS,
        environ: dict[str, str] | None = None,
        **settings: object,
    ) -> Process:
        chosen = {"interval": 1, **settings}
        variables = {f"EVENT_MONITOR_{key.upper()}": str(value) for key, value in chosen.items()}
        process = processes.start(WAYS[way], {**variables, **(environ or {})})
        if until is not None:
            process.wait_for_output(until)
        return process

    return start


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return a function that mounts a file system in memory, with its options; needs root."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        folder = tmp_path / "mounted"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mount does not work here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write to the file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017  a full disk is what we want
