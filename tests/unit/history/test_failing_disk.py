"""A disk that is full or broken, and a file that is no history: it costs history only."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from event_monitor.errors import UnavailableError
from event_monitor.history import FILE_NAME, Reader
from event_monitor.history.schema import VERSION
from event_monitor.snapshot import TaskCounts
from event_monitor.testing import FakeClock

from .conftest import OpenHistory
from .making import ended, shot

Read = Callable[[], Reader]


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: then a write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


def test_a_full_disk_is_told_once_and_counts_stay_exact(
    open_history: OpenHistory, read: Read, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """What it refused is written when there is room again."""
    caplog.set_level("INFO")
    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.flush()

    with full_disk((tmp_path / FILE_NAME).stat().st_size + 1):
        for number in range(3):
            history.on_tasks([ended(f"v{number}-{n}", "failed") for n in range(600)])
            history.on_snapshot(shot(tasks={"shop.pay": TaskCounts(failed=600)}))
            history.flush()
        assert levels(caplog) == ["ERROR"]
    history.flush()

    assert levels(caplog) == ["ERROR", "INFO"]
    assert [group.count for group in read().failures()] == [1_801]
    assert [(kept.ended, kept.kept) for kept in read().kept()] == [(1_801, 1_801)]
    assert sum(p.failed for p in read().task_points(60, since=0, until=2e9)) == 1_800


def test_what_a_broken_disk_does_not_take_is_bounded(
    open_history: OpenHistory, read: Read, clock: FakeClock, tmp_path: Path
) -> None:
    """Rows go first; counts are exact."""
    history = open_history()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        for second in range(6):
            clock.advance(100)
            history.on_tasks([ended(f"{second}-{number}", "failed") for number in range(2_500)])
            history.flush()
    history.flush()
    (kept,) = read().kept()
    assert (kept.ended, kept.kept) == (15_000, 5_000)
    assert read().failures()[0].count == 15_000


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\1" * 5_000]
)
def test_a_damaged_file_is_moved_aside(
    content: bytes,
    open_history: OpenHistory,
    read: Read,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With one line in the log; a new one begins, and a person can look into the old one."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(UnavailableError, match="is damaged"):
        read()

    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.flush()

    assert len(read().runs().runs) == 1
    assert levels(caplog) == ["ERROR"]
    (aside,) = tmp_path.glob(f"{FILE_NAME}.corrupt-*")
    assert aside.read_bytes() == content


def test_a_file_that_is_damaged_while_it_is_used_is_replaced(
    open_history: OpenHistory, read: Read, tmp_path: Path
) -> None:
    """At the latest when it is opened again."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(1_000)])
    history.flush()
    history.close()
    path = tmp_path / FILE_NAME
    damaged = bytearray(path.read_bytes())
    damaged[8_192 : len(damaged) // 2] = b"\xa5" * (len(damaged) // 2 - 8_192)
    path.write_bytes(damaged)

    again = open_history()
    again.on_tasks([ended("fresh", "failed")])
    again.flush()

    assert [run.id for run in read().runs().runs] == ["fresh"]


def test_a_file_of_a_later_version_is_said_to_be_one(
    open_history: OpenHistory, read: Read, tmp_path: Path
) -> None:
    """It is moved aside, not changed, and whoever reads it is told."""
    history = open_history()
    history.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")

    with pytest.raises(UnavailableError, match="was written by a later version"):
        read()
    open_history().flush()
    assert read().runs().runs == ()
    assert len(list(tmp_path.glob(f"{FILE_NAME}.corrupt-*"))) == 1


def test_a_file_that_is_deleted_begins_anew(
    open_history: OpenHistory, read: Read, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the counts of what is new."""
    history = open_history()
    (tmp_path / FILE_NAME).unlink()
    history.on_tasks([ended("u1", "failed")])
    history.flush()

    assert [run.id for run in read().runs().runs] == ["u1"]
    assert levels(caplog) == ["WARNING"]


def test_a_link_in_the_place_of_the_file_is_not_followed(
    open_history: OpenHistory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where others may write, it could lead anywhere."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / FILE_NAME).symlink_to(victim)

    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.flush()

    assert victim.read_text() == "precious"
    assert levels(caplog) == ["ERROR"]


def test_a_directory_that_is_missing_is_told_once(
    open_history: OpenHistory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the monitor goes on."""
    history = open_history(state_dir=str(tmp_path / "gone"))
    history.on_tasks([ended("u1", "failed")])
    history.flush()
    assert levels(caplog) == ["ERROR"]
    os.mkdir(tmp_path / "gone")  # noqa: PTH102
    history.flush()
    with Reader.open(tmp_path / "gone" / FILE_NAME) as reader:
        assert len(reader.runs().runs) == 1
