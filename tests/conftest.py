"""Fixtures of all tests that start processes: ``broker``, ``processes``, ``client``, ``witness``.

``environ`` wants a ``cloudwatch``, which each folder of tests brings for itself.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from celery import Celery
from hypothesis import HealthCheck, settings

from .support import proj
from .support.processes import Processes
from .support.servers import SERVERS, RabbitServer, Server
from .support.witness import Witness

# On a busy machine any example may take longer than Hypothesis's 200 ms, and then not when it is
# tried again, which fails the test as unreliable.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class HasEnviron(Protocol):
    """An endpoint that processes find through their environment."""

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs to publish there, and nowhere else."""
        ...


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command line run in this process takes over our logger; put it back."""
    ours = logging.getLogger("event_monitor")
    before = (ours.handlers[:], ours.propagate, ours.level)
    yield
    ours.handlers[:], ours.propagate = before[0], before[1]
    ours.setLevel(before[2])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Return a function that returns a server by name; each is started when first asked for."""
    started: dict[str, Server] = {}

    def get(name: str) -> Server:
        if name not in started:
            started[name] = SERVERS[name](tmp_path_factory.mktemp(name))
        return started[name]

    yield get
    for running in started.values():
        running.stop()


@pytest.fixture
def rabbitmq(server: Callable[[str], Server]) -> RabbitServer:
    """Return RabbitMQ, whichever broker the test is for."""
    running = server("rabbitmq")
    assert isinstance(running, RabbitServer)
    return running


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> str:
    """Return the URL of an empty broker which the test has for itself."""
    return server(request.param).fresh_url()


@pytest.fixture
def environ(broker: str, cloudwatch: HasEnviron) -> dict[str, str]:
    """Return the environment of every process: this broker, this endpoint, nothing of ours."""
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
    """Start workers and monitors; their output is shown when the test fails."""
    started = Processes(tmp_path_factory.mktemp("processes"), environ)
    yield started
    sys.stdout.write(started.close())


@pytest.fixture
def client(environ: dict[str, str]) -> Iterator[Celery]:
    """Return the sample project as its producers see it."""
    app = proj.build(environ)
    yield app
    app.close()
    app.pool.force_close_all()  # else what waited for replies on Redis goes on waiting


@pytest.fixture
def witness(client: Celery) -> Iterator[Witness]:
    """Return a second receiver, independent of the monitor, that keeps all events from here on."""
    witness = Witness(client)
    yield witness
    witness.stop()
