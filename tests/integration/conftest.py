"""Fixtures: ``cloudwatch``, the endpoint that ``environ`` makes known; the others are shared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.verdicts import Verdicts
from ..support.witness import Witness

HERE = os.path.dirname(__file__)  # noqa: PTH120 - compared with a string, many times


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an integration test."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def _endpoint() -> Iterator[CloudWatch]:
    """Return the endpoint of all tests, made once: its web server takes a second."""
    cloudwatch = CloudWatch()
    yield cloudwatch
    cloudwatch.stop()


@pytest.fixture
def cloudwatch(_endpoint: CloudWatch) -> CloudWatch:
    """Return an empty CloudWatch endpoint."""
    _endpoint.begin()
    return _endpoint


@pytest.fixture
def verdicts(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    tmp_path: Path,
) -> Verdicts:
    """Return what starts an impatient monitor and lively workers, and knows the verdicts."""
    return Verdicts(processes, client, witness, cloudwatch, tmp_path)
