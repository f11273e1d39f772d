"""Fixtures of the command line's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_monitor.settings import options


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, no variables of the desk, and logging as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    for variable in (
        *("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"),
        *("CELERY_APP", "EVENT_MONITOR_APP", "EVENT_MONITOR_BROKER", "EVENT_MONITOR_LOG_LEVEL"),
        *(option.environ for option in options()),
    ):
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone too
        monkeypatch.delenv(variable)
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield tmp_path
    root.handlers[:] = handlers
