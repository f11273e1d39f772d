"""A write-ahead log that is damaged after a kill -9: SQLite drops what comes after the damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from event_monitor.publisher.schema import metrics_in
from event_monitor.publisher.spool import Spool

from ...contracts.sink import NOW, count
from .conftest import OpenSpool, drain

PAGE, HEADER, FRAME = 4_096, 32, 24  # bytes of a page, and of what is before the frames and each


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The directory of a spool of 2, 3 and 4 metrics whose process was killed.

    ``note-before`` is its note from before the last of them.
    """
    running = Spool(str(tmp_path / "running"))
    running.open()
    for metrics in (2, 3, 4):
        shutil.copyfile(tmp_path / "running/spool.sqlite3-note", tmp_path / "running/note-before")
        running.append(tuple(count(value=metrics) for _ in range(metrics)), checkpoint=b"digests")
    left = Path(shutil.copytree(tmp_path / "running", tmp_path / "killed"))
    (left / "spool.sqlite3-shm").unlink()  # as after a power cut
    running.close()
    return left


def damage(directory: Path, position: int, change: int = 0x11) -> None:
    path = directory / "spool.sqlite3-wal"
    log = bytearray(path.read_bytes())
    log[position] ^= change
    path.write_bytes(log)


def frames_of(directory: Path) -> int:
    size = (directory / "spool.sqlite3-wal").stat().st_size
    return (size - HEADER) // (FRAME + PAGE)


def test_no_byte_of_a_log_loses_a_metric_without_a_number(
    killed: Path, tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Header, frame or page: what comes after it counts as dropped, and publishing goes on."""
    positions = [*range(0, HEADER, 3)]
    for frame in range(frames_of(killed)):
        start = HEADER + frame * (FRAME + PAGE)
        positions += [*range(start, start + FRAME, 5), start + FRAME + 500, start + FRAME + 4_000]
    for number, position in enumerate(positions):
        directory = Path(shutil.copytree(killed, tmp_path / str(number)))
        damage(directory, position)

        spool = open_spool(str(directory))
        assert spool.append((count(value=1),), checkpoint=b"new")
        given = sum(map(len, drain(spool))) - 1
        dropped = spool.take_dropped()
        spool.close()

        assert given == 9 or dropped, f"byte {position} was changed"
        assert given + dropped <= 9


def test_what_a_damaged_log_held_is_told_and_kept_for_a_person(
    killed: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """The number is exact where the damage is beside the batches; nobody else may read the copy."""
    # Given a commit of the last batch whose checksum is wrong
    last = HEADER + (frames_of(killed) - 1) * (FRAME + PAGE)
    damage(killed, last + FRAME - 1)

    # When
    spool = open_spool(str(killed))

    # Then
    assert len(spool) == 5
    assert spool.checkpoint() == b"digests"
    assert spool.take_dropped() == 4
    copy = killed / f"spool.sqlite3.corrupt-{int(NOW)}"
    assert metrics_in(copy) == 9
    assert copy.stat().st_mode & 0o777 == 0o600
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "4 metrics are lost" in message
    assert str(copy) in message


def test_a_log_of_which_nothing_can_be_read_loses_the_tables_too(
    killed: Path, open_spool: OpenSpool
) -> None:
    """A young spool has nothing but its log: new tables are made, and all counts as dropped."""
    damage(killed, HEADER - 1)

    spool = open_spool(str(killed))

    assert spool.take_dropped() == 9
    assert spool.append((count(value=1),))
    assert drain(spool) == [(count(value=1),)]


def test_a_damaged_log_counts_once(killed: Path, open_spool: OpenSpool) -> None:
    """Whoever comes next finds a sound log, though this one is killed as well."""
    damage(killed, HEADER + 3 * (FRAME + PAGE))
    spool = open_spool(str(killed))
    assert spool.take_dropped()
    second = Path(shutil.copytree(killed, killed.with_name("second")))

    assert open_spool(str(second)).take_dropped() == 0


def test_a_transaction_that_was_not_finished_is_no_damage(
    killed: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was killed in the middle of one had promised nothing."""
    path = killed / "spool.sqlite3-wal"
    log = path.read_bytes()
    last = HEADER + (frames_of(killed) - 1) * (FRAME + PAGE)
    path.write_bytes(log[: last + 1_000])
    (killed / "spool.sqlite3-note").write_bytes((killed / "note-before").read_bytes())

    spool = open_spool(str(killed))

    assert len(spool) == 5
    assert spool.take_dropped() == 0
    assert "ERROR" not in {record.levelname for record in caplog.records}
