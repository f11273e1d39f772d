"""A kill while the disk refuses every change: the note beside the file knows what was sent."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from event_monitor.publisher.spool import Spool

from ...contracts.sink import count
from .conftest import OpenSpool, drain
from .test_failing_disk import block_disk

ONE, TWO, THREE = (count(value=1),), (count(value=2),), (count(value=3),)
PAGE, HEADER, FRAME = 4_096, 32, 24  # bytes in the log: of a page, and of what is before frames


@pytest.fixture
def spool(open_spool: OpenSpool, tmp_path: Path) -> Spool:
    """A spool of three batches."""
    spool = open_spool(str(tmp_path / "running"))
    for batch in (ONE, TWO, THREE):
        spool.append(batch, checkpoint=b"digests")
    return spool


@pytest.fixture
def kill(tmp_path: Path) -> Callable[[], Path]:
    """Return a function that returns the directory as a kill would leave it now."""

    def kill() -> Path:
        directory = tmp_path / "killed"
        shutil.copytree(tmp_path / "running", directory)
        (directory / "spool.sqlite3-shm").unlink()
        return directory

    return kill


def test_a_batch_that_was_being_sent_is_counted_by_the_successor(
    spool: Spool, kill: Callable[[], Path], tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Though the disk had no room to write that into the database."""
    # Given
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        assert spool.oldest() is not None
        directory = kill()

    # When
    successor = open_spool(str(directory))

    # Then
    assert successor.take_interrupted() == 1
    assert drain(successor) == [ONE, TWO, THREE]
    assert successor.take_dropped() == 0


def test_what_was_acknowledged_is_not_sent_again(
    spool: Spool, kill: Callable[[], Path], tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Though the disk had no room to delete it."""
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        for _ in range(2):
            sent = spool.oldest()
            assert sent is not None
            spool.acknowledge(sent.id)
        directory = kill()

    successor = open_spool(str(directory))

    assert (successor.take_interrupted(), len(successor)) == (0, 1)
    assert drain(successor) == [THREE]
    assert successor.take_dropped() == 0


def test_a_rest_that_was_in_memory_only_is_sent_again_with_all_of_its_batch(
    kill: Callable[[], Path], tmp_path: Path, open_spool: OpenSpool
) -> None:
    """It may count twice, which is counted, rather than be lost."""
    spool = open_spool(str(tmp_path / "running"))
    for batch in ((*ONE, *TWO), THREE):
        spool.append(batch)
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        sent = spool.oldest()
        assert sent is not None
        spool.replace(sent.id, TWO)
        directory = kill()

    successor = open_spool(str(directory))

    assert successor.take_interrupted() == 1
    assert drain(successor) == [(*ONE, *TWO), THREE]


def test_a_batch_of_which_nothing_arrived_is_sent_once_by_the_successor(
    spool: Spool, kill: Callable[[], Path], tmp_path: Path, open_spool: OpenSpool
) -> None:
    """It was never in memory as well, and what was sent after it is not sent again."""
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        for _ in range(3):
            refused = spool.oldest()
            assert refused is not None
            spool.replace(refused.id, refused.metrics)
        assert len(spool) == 3
        sent = spool.oldest()
        assert sent is not None
        spool.acknowledge(sent.id)
        directory = kill()

    successor = open_spool(str(directory))

    assert successor.take_interrupted() == 0
    assert drain(successor) == [TWO, THREE]


def test_once_the_disk_works_again_the_note_says_so(
    spool: Spool, kill: Callable[[], Path], tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Nothing is under way between two sends."""
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        sent = spool.oldest()
        assert sent is not None
        spool.replace(sent.id, sent.metrics)
    assert spool.append((count(value=4),))
    first = spool.oldest()
    assert first is not None
    spool.acknowledge(first.id)

    successor = open_spool(str(kill()))

    assert successor.take_interrupted() == 0
    assert drain(successor) == [TWO, THREE, (count(value=4),)]


def cut_commits(directory: Path, commits: int) -> None:
    """Cut the last transactions off the log, exactly."""
    path = directory / "spool.sqlite3-wal"
    log = path.read_bytes()
    starts = range(HEADER, len(log), FRAME + PAGE)
    ends = [
        start + FRAME + PAGE for start in starts if struct.unpack_from(">I", log, start + 4) != (0,)
    ]
    path.write_bytes(log[: ends[-1 - commits]])


def test_a_log_that_was_cut_between_two_transactions_is_noticed(
    spool: Spool,
    kill: Callable[[], Path],
    open_spool: OpenSpool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For SQLite it is whole. What comes anew is not taken for something that was sent."""
    # Given that the first was sent, and the last two are cut off
    sent = spool.oldest()
    assert sent is not None
    directory = kill()
    cut_commits(directory, 3)  # the other one: that the first is being sent

    # When
    successor = open_spool(str(directory))

    # Then
    assert successor.take_dropped() == 2
    assert "lacks what was written to it last: 2 metrics are lost" in caplog.text
    assert successor.take_interrupted() == 1
    assert successor.append(TWO)
    assert drain(successor) == [ONE, TWO]
    successor.close()
    assert open_spool(str(directory)).take_dropped() == 0


def test_what_was_sent_is_not_missed(
    spool: Spool, kill: Callable[[], Path], open_spool: OpenSpool
) -> None:
    """Nor sent again; and a number that is used again is that of another batch."""
    # Given that all was sent, and that only the first of it is left
    assert len(drain(spool)) == 3
    directory = kill()
    cut_commits(directory, 8)

    # When
    successor = open_spool(str(directory))

    # Then
    assert successor.take_dropped() == 0
    assert successor.append(TWO)
    assert drain(successor) == [TWO]


def test_a_database_that_was_deleted_while_nobody_used_it_is_missed(
    spool: Spool, open_spool: OpenSpool, tmp_path: Path
) -> None:
    """Once; and its note says nothing of the next one."""
    sent = spool.oldest()
    assert sent is not None
    spool.acknowledge(sent.id)
    spool.close()
    (tmp_path / "running/spool.sqlite3").unlink()

    successor = open_spool(str(tmp_path / "running"))

    assert (successor.take_dropped(), successor.take_interrupted()) == (2, 0)
    assert successor.append(ONE)
    assert drain(successor) == [ONE]
    assert successor.take_dropped() == 0


def test_the_note_of_another_database_says_nothing(
    spool: Spool, open_spool: OpenSpool, tmp_path: Path
) -> None:
    """Its numbers are those of other batches."""
    other = open_spool(str(tmp_path / "other"))
    for _ in range(3):
        other.append(ONE)
    drain(other)
    for each in (spool, other):
        each.close()
    note = "spool.sqlite3-note"
    shutil.copyfile(tmp_path / "other" / note, tmp_path / "running" / note)

    successor = open_spool(str(tmp_path / "running"))

    assert drain(successor) == [ONE, TWO, THREE]
    assert (successor.take_dropped(), successor.take_interrupted()) == (0, 0)


def test_no_byte_of_a_note_loses_or_doubles_anything(
    spool: Spool, kill: Callable[[], Path], open_spool: OpenSpool, tmp_path: Path
) -> None:
    """A damaged one is none; the database has the same as long as there was room on the disk."""
    sent = spool.oldest()
    assert sent is not None
    spool.acknowledge(sent.id)
    assert spool.oldest() is not None
    directory = kill()
    note = (directory / "spool.sqlite3-note").read_bytes()
    damaged = [note[:at] + bytes((note[at] ^ 0x81,)) + note[at + 1 :] for at in range(len(note))]
    for number, data in enumerate([b"", note[:-1], *damaged]):
        copy = Path(shutil.copytree(directory, tmp_path / str(number)))
        (copy / "spool.sqlite3-note").write_bytes(data)

        successor = open_spool(str(copy))

        assert (successor.take_dropped(), successor.take_interrupted()) == (0, 1)
        assert drain(successor) == [TWO, THREE]
        successor.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_something_else_in_the_place_of_the_note_stops_nothing(
    make: Callable[[Path], None], open_spool: OpenSpool, tmp_path: Path
) -> None:
    """It is a second line only."""
    make(tmp_path / "spool.sqlite3-note")
    spool = open_spool()

    assert spool.append(ONE)
    assert drain(spool) == [ONE]


def test_a_note_that_is_deleted_meanwhile_is_written_anew(
    spool: Spool, kill: Callable[[], Path], open_spool: OpenSpool, tmp_path: Path
) -> None:
    """As somebody who cleans up would do it."""
    (tmp_path / "running/spool.sqlite3-note").unlink()
    with closing(block_disk(tmp_path / "running/spool.sqlite3")):
        assert spool.oldest() is not None
        directory = kill()

    assert open_spool(str(directory)).take_interrupted() == 1
