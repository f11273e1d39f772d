"""A spool whose file is deleted, truncated, overwritten or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from event_monitor.publisher.spool import Spool

from ...contracts.sink import count
from .conftest import OpenSpool, bulky, drain

ONE, TWO, THREE = (count(value=1),), (count(value=2),), (count(value=3),)


def delete_all(path: Path) -> None:
    for file in path.parent.glob("spool.sqlite3*"):
        file.unlink()


def delete_database(path: Path) -> None:
    path.unlink()


def delete_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def delete_shared_memory(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def delete_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def move_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def empty_database(path: Path) -> None:
    os.truncate(path, 0)


def empty_log(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


def overwrite_database(path: Path) -> None:
    path.write_bytes(b"something else altogether\n" * 1_000)


def replace_database(path: Path) -> None:
    other = path.with_name("other")
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE precious (data)")
    other.replace(path)


HARM = [
    delete_all,
    delete_database,
    delete_log,
    delete_shared_memory,
    delete_directory,
    move_directory,
    empty_database,
    empty_log,
    overwrite_database,
    replace_database,
]

Successor = Callable[[], Spool]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def successor(state_dir: Path, tmp_path: Path, open_spool: OpenSpool) -> Successor:
    """Open what the next process would find, if this one were killed now."""

    def open_copy() -> Spool:
        found = tmp_path / "found"
        shutil.copytree(state_dir, found)
        return open_spool(str(found))

    return open_copy


@pytest.mark.parametrize("harm", HARM)
def test_what_was_kept_is_written_to_a_new_file(
    harm: Callable[[Path], None],
    state_dir: Path,
    open_spool: OpenSpool,
    successor: Successor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is lost, an ERROR tells, and what is safe is in the file that a successor finds."""
    # Given
    spool = open_spool(str(state_dir))
    assert spool.append(ONE, checkpoint=b"first")

    # When
    harm(state_dir / "spool.sqlite3")
    is_safe = spool.append(TWO, checkpoint=b"second")

    # Then
    assert is_safe
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "nothing in it is safe" in caplog.text
    after = successor()
    assert after.checkpoint() == b"second"
    assert drain(after) == [ONE, TWO]
    assert drain(spool) == [ONE, TWO]
    assert (spool.take_dropped(), after.take_dropped()) == (0, 0)


def test_the_batch_that_is_being_sent_is_sent_once(
    state_dir: Path, open_spool: OpenSpool, successor: Successor
) -> None:
    """Its acknowledgement comes when it is in the new file already."""
    spool = open_spool(str(state_dir))
    spool.append(ONE)
    spool.append(TWO)
    sending = spool.oldest()
    assert sending is not None

    delete_all(state_dir / "spool.sqlite3")
    assert spool.append(THREE)
    spool.acknowledge(sending.id)

    assert drain(successor()) == [TWO, THREE]
    assert drain(spool) == [TWO, THREE]


def test_the_publisher_notices_it_too(
    state_dir: Path, open_spool: OpenSpool, successor: Successor
) -> None:
    """Between two shots it is the only one that uses the file."""
    spool = open_spool(str(state_dir))
    spool.append(ONE)

    delete_directory(state_dir / "spool.sqlite3")
    spool.oldest()

    assert drain(successor()) == [ONE]


def test_nothing_is_safe_until_a_new_file_can_be_written(
    state_dir: Path,
    open_spool: OpenSpool,
    successor: Successor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is sent from memory, in order, and logged once."""
    # Given something else where the directory was
    caplog.set_level("INFO", logger="event_monitor.publisher")
    spool = open_spool(str(state_dir))
    assert spool.append(ONE, checkpoint=b"first")
    delete_directory(state_dir / "spool.sqlite3")
    state_dir.write_text("in the way")

    # When, then
    assert not spool.append(TWO, checkpoint=b"second")
    first = spool.oldest()
    assert first is not None
    assert first.metrics == ONE
    spool.acknowledge(first.id)
    assert not spool.append(THREE, checkpoint=b"third")

    # When
    state_dir.unlink()
    assert spool.append(ONE, checkpoint=b"fourth")

    # Then
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING", "INFO"]
    after = successor()
    assert after.checkpoint() == b"fourth"
    assert drain(after) == [TWO, THREE, ONE]


def test_what_a_truncated_file_has_lost_counts_as_dropped(
    state_dir: Path, open_spool: OpenSpool
) -> None:
    """Each metric is handed out, or counted."""
    # Given more than SQLite's log and cache hold
    spool = open_spool(str(state_dir))
    for seed in range(60):
        spool.append(bulky(seed))
    path = state_dir / "spool.sqlite3"

    # When
    os.truncate(path, 8_192)
    assert spool.append(ONE)

    # Then
    read = sum(len(metrics) for metrics in drain(spool))
    assert read + spool.take_dropped() == 23 * 60 + 1
    assert read >= 1
    assert list(state_dir.glob("spool.sqlite3.corrupt-*"))


def test_a_directory_that_another_process_has_taken_meanwhile_is_left_to_it(
    state_dir: Path, open_spool: OpenSpool
) -> None:
    """Two never write into one file."""
    first = open_spool(str(state_dir))
    first.append(ONE)
    delete_directory(state_dir / "spool.sqlite3")
    second = open_spool(str(state_dir))
    second.append(TWO)

    assert not first.append(THREE)

    assert drain(first) == [ONE, THREE]
    assert drain(second) == [TWO]


def test_a_lock_whose_file_was_deleted_is_taken_again(
    state_dir: Path, open_spool: OpenSpool
) -> None:
    """Else a second process could share the directory."""
    spool = open_spool(str(state_dir))
    (state_dir / "spool.lock").unlink()
    assert spool.append(ONE)

    assert (state_dir / "spool.lock").read_text() == str(os.getpid())


def test_a_file_that_another_process_has_taken_with_the_lock_is_left_to_it(
    state_dir: Path, open_spool: OpenSpool
) -> None:
    """It sends what it finds there; the first goes on in memory."""
    first = open_spool(str(state_dir))
    first.append(ONE)
    (state_dir / "spool.lock").unlink()
    second = open_spool(str(state_dir))

    assert not first.append(TWO)

    assert drain(first) == [TWO]
    assert drain(second) == [ONE]
    assert first.take_dropped() == 0


@pytest.mark.parametrize("harm", [delete_database, empty_database])
def test_a_file_that_was_emptied_while_nobody_ran_counts_as_lost(
    harm: Callable[[Path], None],
    state_dir: Path,
    open_spool: OpenSpool,
    successor: Successor,
    tmp_path: Path,
) -> None:
    """SQLite would take it for new and delete the log beside it without a word."""
    # Given a process that was killed
    spool = open_spool(str(state_dir))
    spool.append(ONE)
    harm(state_dir / "spool.sqlite3")

    # When
    after = successor()

    # Then
    assert after.take_dropped() >= 1
    assert list((tmp_path / "found").glob("spool.sqlite3.corrupt-*-wal"))
    assert after.append(TWO)
