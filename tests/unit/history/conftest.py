"""Fixtures: a clock, and recorders whose histories are on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from event_monitor.history import FILE_NAME, Reader, Recorder
from event_monitor.settings import Settings
from event_monitor.testing import FakeClock


class OpenHistory(Protocol):
    """Make a recorder whose file is in the test's directory, and let it write once."""

    def __call__(self, **settings: Any) -> Recorder: ...


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def open_history(tmp_path: Path, clock: FakeClock) -> Iterator[OpenHistory]:
    """Return the function; what it has made is closed afterwards."""
    made: list[Recorder] = []

    def open_history(**settings: Any) -> Recorder:
        settings = {"state_dir": str(tmp_path), "history": True, **settings}
        recorder = Recorder(Settings(**settings), clock=clock)
        recorder.flush()
        made.append(recorder)
        return recorder

    yield open_history
    for recorder in made:
        recorder.close()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[[], Reader]]:
    """Return what opens the file to read, as another process would."""
    opened: list[Reader] = []

    def read() -> Reader:
        opened.append(Reader.open(tmp_path / FILE_NAME))
        return opened[-1]

    yield read
    for reader in opened:
        reader.close()
