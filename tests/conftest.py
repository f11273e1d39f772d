"""Fixtures of all tests that start processes: ``broker``, ``processes``, ``client``, ``witness``.

``environ`` wants a ``cloudwatch``, which each folder of tests brings for itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from .support import proj
from .support.processes import Processes
from .support.servers import SERVERS, Server
from .support.witness import Witness


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """The server of that kind, started when first asked for."""
    started: dict[str, Server] = {}

    def get(kind: str) -> Server:
        if kind not in started:
            started[kind] = SERVERS[kind](tmp_path_factory.mktemp(kind))
        return started[kind]

    yield get
    for one in started.values():
        one.stop()


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> str:
    """The URL of an empty broker which the test has for itself."""
    return server(request.param).fresh_url()


@pytest.fixture
def environ(broker: str, cloudwatch: Any) -> dict[str, str]:
    """The environment of every process: this broker, this endpoint, no settings of the desk."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "EVENT_MONITOR_", "CELERY_", "COV_"))
    }
    return {**inherited, **cloudwatch.environ, "BROKER_URL": broker, "TZ": "UTC"}


@pytest.fixture
def processes(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    """Starts workers and monitors; what they said is shown when the test fails."""
    started = Processes(tmp_path_factory.mktemp("processes"), environ)
    yield started
    sys.stdout.write(started.close())


@pytest.fixture
def client(environ: dict[str, str]) -> Iterator[Celery]:
    """The sample project as its producers see it."""
    app = proj.build(environ)
    yield app
    app.close()


@pytest.fixture
def witness(client: Celery) -> Iterator[Witness]:
    """A second listener, independent of the monitor, that hears all from here on."""
    witness = Witness(client)
    yield witness
    witness.stop()
