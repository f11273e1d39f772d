"""Fixtures: ``cloudwatch``, ``proxy``, ``proxied``, ``worker``, ``start_monitor``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from ..integration.processes import LISTENS, PROJECT, Process, Processes
from .endpoint import Endpoint
from .proxy import Proxy
from .synthetic import SyntheticWorker

HERE = os.path.dirname(__file__)  # noqa: PTH120 - compared with a string, many times
WAYS = {
    "run": ["event-monitor", "run", "-A", PROJECT],
    "celery-events": [
        *("celery", "-A", PROJECT, "events"),
        *("-c", "event_monitor.CloudWatchCam", "-l", "INFO"),
    ],
}


class StartMonitor(Protocol):
    """``start_monitor("run", interval=1)``: settings are passed as environment variables."""

    def __call__(
        self,
        way: str = "run",
        *,
        until: str | None = LISTENS,
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> Process:
        """Start it; return when it has said ``until``."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an integration test."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def cloudwatch() -> Iterator[Endpoint]:
    """A strict CloudWatch endpoint, empty and well."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def proxy(broker: str) -> Iterator[Proxy]:
    """A way to the broker that can be broken."""
    with Proxy(urlsplit(broker).port or 0) as proxy:
        yield proxy


@pytest.fixture
def proxied(broker: str, proxy: Proxy) -> dict[str, str]:
    """The environment of a process that takes that way."""
    return {"BROKER_URL": broker.replace(f":{urlsplit(broker).port}/", f":{proxy.port}/")}


@pytest.fixture
def make_worker(broker: str) -> Iterator[Callable[..., SyntheticWorker]]:
    """Makes synthetic workers on this broker."""
    made: list[SyntheticWorker] = []

    def make(hostname: str = "w1@synthetic") -> SyntheticWorker:
        made.append(SyntheticWorker(broker, hostname))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def worker(make_worker: Callable[..., SyntheticWorker]) -> SyntheticWorker:
    """A synthetic worker, online."""
    return make_worker()


@pytest.fixture
def start_monitor(processes: Processes) -> StartMonitor:
    """Starts a monitor, with an interval of one second unless told otherwise."""

    def start(
        way: str = "run",
        *,
        until: str | None = LISTENS,
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> Process:
        chosen = {"interval": 1, **settings}
        variables = {f"EVENT_MONITOR_{key.upper()}": str(value) for key, value in chosen.items()}
        process = processes.start(WAYS[way], {**variables, **(environ or {})})
        if until is not None:
            process.wait_for_output(until)
        return process

    return start
