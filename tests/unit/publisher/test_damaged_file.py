"""A spool whose file is damaged, or not ours: it is moved aside, and what it held is counted."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from event_monitor.publisher.spool import Spool
from event_monitor.publisher.store import Store

from ...contracts.sink import NOW, count
from .conftest import OpenSpool, bulky, drain


def text_file(path: Path) -> None:
    path.write_text("this is not a database, " * 1_000)


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE batch (id)")
    database.close()


def damaged_spool(path: Path) -> None:
    spool = Spool(str(path.parent))
    spool.open()
    for seed in range(5):
        spool.append(bulky(seed))
    spool.close()
    pages = bytearray(path.read_bytes())
    pages[4_096:40_960] = os.urandom(36_864)
    path.write_bytes(pages)


def truncated_spool(path: Path) -> None:
    damaged_spool(path)
    path.write_bytes(path.read_bytes()[:10_000])


@pytest.mark.parametrize("make", [text_file, foreign_database, damaged_spool, truncated_spool])
def test_an_unusable_file_is_moved_aside(
    make: Callable[[Path], None],
    tmp_path: Path,
    open_spool: OpenSpool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is kept for a person, logged, and counted if it was a spool; a new one is made."""
    # Given
    path = tmp_path / "spool.sqlite3"
    make(path)
    before = path.read_bytes()

    # When
    spool = open_spool()
    spool.append((count(),))

    # Then
    aside = tmp_path / f"spool.sqlite3.corrupt-{int(NOW)}"
    assert aside.read_bytes() == before
    assert "ERROR" in {record.levelname for record in caplog.records}
    was_ours = make in (damaged_spool, truncated_spool)
    assert bool(spool.take_dropped()) is was_ours
    spool.close()
    assert len(open_spool()) == 1


def test_what_can_still_be_counted_in_a_damaged_file_is_dropped(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Damage beyond the batches, such as in an index, hides none of them."""
    # Given
    spool = open_spool()
    spool.append((count(), count()))
    spool.append((count(),))
    spool.close()
    path = tmp_path / "spool.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")  # as a later version may write it
    database.close()

    # When
    spool = open_spool()

    # Then
    assert spool.take_dropped() == 3
    assert len(spool) == 0


def test_the_spool_of_a_later_version_is_left_aside_for_it(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is whole: moved back, that version sends what is in it."""
    spool = open_spool()
    spool.append((count(value=2),))
    spool.close()
    path, aside = tmp_path / "spool.sqlite3", tmp_path / f"spool.sqlite3.corrupt-{int(NOW)}"

    def set_version(path: Path, version: int) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA user_version = {version}")

    set_version(path, 2)

    spool = open_spool()
    spool.append((count(value=3),))
    spool.close()

    assert caplog.messages[0] == (
        f"the spool {path} was unusable (a later version of event-monitor wrote it, in format 2; "
        f"this one knows 1); moved it to {aside}"
    )
    aside.replace(path)
    set_version(path, 1)  # as it is for that version
    assert drain(open_spool()) == [(count(value=2),)]


def test_a_batch_that_cannot_be_read_back_is_counted(tmp_path: Path, open_spool: OpenSpool) -> None:
    """One unreadable row does not stop the ones behind it."""
    # Given
    spool = open_spool()
    spool.append((count(), count(), count()))
    spool.append((count(value=2),))
    spool.close()
    with sqlite3.connect(tmp_path / "spool.sqlite3") as database:
        database.execute("UPDATE batch SET data = x'00' WHERE id = 1")
    database.close()

    # When
    spool = open_spool()
    batch = spool.oldest()

    # Then
    assert batch is not None
    assert batch.metrics == (count(value=2),)
    assert spool.take_dropped() == 3
    assert len(spool) == 1


def spool_of_three(path: Path) -> bytes:
    """Write a spool of batches with 2, 3 and 4 metrics and a checkpoint; return its file."""
    spool = Spool(str(path.parent))
    spool.open()
    for metrics in (2, 3, 4):
        spool.append(tuple(count(value=metrics) for _ in range(metrics)), checkpoint=b"digests")
    spool.close()
    return path.read_bytes()


def exercised(spool: Spool) -> tuple[int, int]:
    """Use all of an open spool; return how many metrics it gave back, and how many it counts."""
    spool.checkpoint()
    spool.append((count(value=1),), checkpoint=b"new")
    assert len(spool) >= 1
    batches = drain(spool)
    assert batches[-1] == (count(value=1),)
    assert len(spool) == 0
    return sum(map(len, batches[:-1])), spool.take_dropped()


def test_no_byte_that_changes_loses_a_metric_without_a_number(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Wherever it is: what the file held is handed out, or some of it is counted as dropped."""
    path = tmp_path / "spool.sqlite3"
    whole = spool_of_three(path)
    used = [position for position, byte in enumerate(whole) if byte]
    # SQLite takes a file with other bytes there for one of a later version, and leaves it alone.
    versions = {18, 19, 47}
    for position in sorted({*used[::4], *versions}):
        for change in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= change
            path.write_bytes(damaged)

            spool = open_spool()
            given, dropped = exercised(spool)
            spool.close()

            assert given == 9 or dropped, f"byte {position} was changed by {change:#x}"
            for file in tmp_path.iterdir():
                file.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE batch SET metrics = 3.5 WHERE id = 2",
        "UPDATE batch SET metrics = -4 WHERE id = 2",
        "UPDATE batch SET metrics = 9223372036854775807",
        "UPDATE batch SET data = 5 WHERE id = 2",
        "UPDATE batch SET data = CAST(x'ff80' AS TEXT) WHERE id = 2",
        "UPDATE batch SET id = 0 WHERE id = 1",
        "UPDATE checkpoint SET data = -4",
        "ALTER TABLE batch RENAME COLUMN id TO hd",
    ],
)
def test_a_value_that_cannot_be_stops_nothing(
    damage: str, tmp_path: Path, open_spool: OpenSpool
) -> None:
    """SQLite takes any value in any column, and finds nothing wrong with it."""
    path = tmp_path / "spool.sqlite3"
    spool_of_three(path)
    with sqlite3.connect(path) as database:
        database.execute(damage)
    database.close()

    given, dropped = exercised(open_spool())

    assert given + dropped >= 7
    assert given == 9 or dropped or "metrics" in damage


def test_a_damaged_text_that_the_reason_quotes_is_damage_too(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """Python cannot decode the reason then, and raises something else than SQLite does."""
    path = tmp_path / "spool.sqlite3"
    path.write_bytes(spool_of_three(path).replace(b"CREATE TABLE batch", b"CREATE T\xe3BLE batch"))

    given, dropped = exercised(open_spool())

    assert (given, dropped) == (0, 1)
    assert "was unusable" in caplog.text
    assert list(tmp_path.glob("spool.sqlite3.corrupt-*"))


def test_damage_while_running_is_survived_and_counted(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Of what was on a damaged disk, each metric was read back or counted as lost."""
    # Given
    spool = open_spool()
    for seed in range(60):  # beyond SQLite's log and cache, so that the file itself is read
        spool.append(bulky(seed))
    path = tmp_path / "spool.sqlite3"
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 4_000_000)

    # When
    spool.append((count(value=1),))
    read = sum(len(metrics) for metrics in drain(spool))
    spool.append((count(value=2),))

    # Then
    last = spool.oldest()
    assert last is not None
    assert last.metrics == (count(value=2),)
    assert read + spool.take_dropped() == 23 * 60 + 1
    assert list(tmp_path.glob("spool.sqlite3.corrupt-*"))


def test_a_bad_file_that_cannot_be_moved_aside_is_left_alone(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and everything is kept in memory."""
    # Given
    text_file(tmp_path / "spool.sqlite3")
    before = (tmp_path / "spool.sqlite3").read_bytes()
    (tmp_path / f"spool.sqlite3.corrupt-{int(NOW)}" / "in the way").mkdir(parents=True)

    # When
    spool = open_spool()
    spool.append((count(value=1),))
    spool.append((count(value=2),))

    # Then
    assert drain(spool) == [(count(value=1),), (count(value=2),)]
    assert (tmp_path / "spool.sqlite3").read_bytes() == before
    (message,) = [record.getMessage() for record in caplog.records]
    assert "file is not a database; moving it aside failed" in message
    assert message.endswith("going on in memory")


def test_a_late_answer_hits_nothing_in_a_new_file(tmp_path: Path, open_spool: OpenSpool) -> None:
    """Numbers begin again there; what was being sent is already counted as lost."""

    # Given a batch being sent when the file is found to be damaged
    class Damaged(Store):
        def checkpoint(self) -> bytes | None:
            raise sqlite3.DatabaseError("database disk image is malformed")

    opened: list[type[Store]] = []

    def open_store(path: str) -> Store:
        opened.append(Store if opened else Damaged)
        return opened[-1].open(path)

    spool = open_spool(open_store=open_store)
    spool.append((count(value=1), count(value=1)))
    sending = spool.oldest()
    assert sending is not None
    assert spool.checkpoint() is None
    assert spool.take_dropped() == 2

    # When
    spool.append((count(value=2),))
    spool.replace(sending.id, (count(value=1),))

    # Then
    assert drain(spool) == [(count(value=2),)]
    assert list(tmp_path.glob("spool.sqlite3.corrupt-*"))
