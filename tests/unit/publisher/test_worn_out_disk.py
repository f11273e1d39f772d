"""A disk on which nothing can be changed any more: what was sent must not be sent again."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher.store import Store

from ...contracts.sink import count
from .conftest import OpenSpool, drain

ONE, TWO = (count(value=1),), (count(value=2),)


class WornOutDisk:
    """A disk that refuses to delete, from when the test says so."""

    def __init__(self) -> None:
        self.is_worn_out = False

    def open_store(self, path: str) -> Store:
        disk = self

        class StoreOnDisk(Store):
            def _delete(self, where: str, values: tuple[float | None, ...]) -> int:
                if disk.is_worn_out:
                    raise sqlite3.OperationalError("disk I/O error")
                return super()._delete(where, values)

        return StoreOnDisk.open(path)


@pytest.fixture
def worn_out(monkeypatch: pytest.MonkeyPatch) -> WornOutDisk:
    """A disk that takes no note either, once it is worn out."""
    disk, write = WornOutDisk(), os.pwrite

    def write_unless_worn_out(descriptor: int, data: bytes, offset: int) -> int:
        if disk.is_worn_out:
            raise OSError(errno.EIO, "Input/output error")
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", write_unless_worn_out)
    return disk


def test_what_was_sent_goes_with_its_file(worn_out: WornOutDisk, open_spool: OpenSpool) -> None:
    """A directory may lose a file where none can be changed."""
    spool = open_spool(open_store=worn_out.open_store)
    spool.append(ONE, checkpoint=b"digests")
    worn_out.is_worn_out = True

    assert drain(spool) == [ONE]

    assert (len(spool), spool.sent_again) == (0, 0)
    assert spool.checkpoint() == b"digests"
    spool.close()
    assert drain(open_spool()) == []


def test_a_file_that_is_gone_holds_nothing_from_before(open_spool: OpenSpool) -> None:
    """Though no other can be made in its place."""
    disk, are_openings_over = WornOutDisk(), False

    def open_store(path: str) -> Store:
        if are_openings_over:
            raise sqlite3.OperationalError("disk I/O error")
        return disk.open_store(path)

    spool = open_spool(open_store=open_store)
    spool.append(ONE)
    disk.is_worn_out = are_openings_over = True

    assert drain(spool) == [ONE]
    assert not spool.append(TWO)
    assert (len(spool), spool.unsafe, spool.sent_again) == (1, 1, 0)
    assert not spool.is_unread


def test_what_the_next_process_will_send_again_is_known_at_the_end(
    worn_out: WornOutDisk, open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even a file can be deleted. It is not unsent."""
    # Given
    spool = open_spool(open_store=worn_out.open_store)
    spool.append((*ONE, *TWO))
    worn_out.is_worn_out = True
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)

        # When
        assert drain(spool) == [(*ONE, *TWO)]
        spool.close()

    # Then
    assert (len(spool), spool.unsafe, spool.sent_again) == (0, 0, 2)
    assert drain(open_spool()) == [(*ONE, *TWO)]


def test_what_could_not_be_deleted_is_deleted_at_the_end(
    worn_out: WornOutDisk, open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk works again then."""
    spool = open_spool(open_store=worn_out.open_store)
    spool.append(ONE)
    worn_out.is_worn_out = True
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        drain(spool)
    worn_out.is_worn_out = False

    spool.close()

    assert spool.sent_again == 0
    assert drain(open_spool()) == []


def test_what_was_written_though_the_disk_refused_it_is_not_sent_again(
    open_spool: OpenSpool,
) -> None:
    """So it is where only the sync fails: the log has all, and a successor would read it."""
    refused = 0

    class StoreOnDisk(Store):
        def append(
            self, metrics: tuple[Metric, ...], *, at: float, checkpoint: bytes | None = None
        ) -> None:
            nonlocal refused
            super().append(metrics, at=at, checkpoint=checkpoint)
            if metrics == TWO and not refused:
                refused += 1
                self.metrics -= len(metrics)  # as it is where nothing was written
                self._acknowledged = 1  # this process does not see it
                raise sqlite3.OperationalError("disk I/O error")

    spool = open_spool(open_store=StoreOnDisk.open)
    assert not spool.append(TWO)

    assert drain(spool) == [TWO]
    spool.close()
    assert drain(open_spool()) == []


def refuse(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("is_taken", [False, True], ids=["deleted", "taken over"])
def test_a_file_that_goes_at_the_end_is_not_taken_for_a_damaged_one(
    worn_out: WornOutDisk, open_spool: OpenSpool, tmp_path: Path, *, is_taken: bool
) -> None:
    """It is noticed as what was sent is deleted at last, and by then another file is in use."""
    spool = open_spool(str(tmp_path), open_store=worn_out.open_store)
    spool.append(ONE)
    spool.append(TWO)
    worn_out.is_worn_out = True
    batch = spool.oldest()
    assert batch is not None
    spool.acknowledge(batch.id)
    worn_out.is_worn_out = False

    successor = None
    if is_taken:
        (tmp_path / "spool.lock").unlink()
        successor = open_spool(str(tmp_path))
    else:
        (tmp_path / "spool.sqlite3").unlink()
    spool.close()

    assert not list(tmp_path.glob("*.corrupt*"))
    assert drain(successor or open_spool(str(tmp_path)))[-1] == TWO


def test_a_part_that_was_sent_is_told_too(worn_out: WornOutDisk, open_spool: OpenSpool) -> None:
    """The file holds all of its batch still, and nothing says what of it has arrived."""

    class NoUpdates(Store):
        def _update(self, *_arguments: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    spool = open_spool(open_store=NoUpdates.open)
    worn_out.is_worn_out = True
    spool.append((*ONE, *TWO))
    batch = spool.oldest()
    assert batch is not None
    spool.replace(batch.id, TWO)

    assert (len(spool), spool.sent_again) == (1, 1)


def test_a_checkpoint_outlives_a_file_that_cannot_be_made_anew_at_once(
    worn_out: WornOutDisk, open_spool: OpenSpool
) -> None:
    """What was counted is in no other place."""
    refused: list[str] = []

    def open_store(path: str) -> Store:
        if worn_out.is_worn_out:
            refused.append(path)
            raise sqlite3.OperationalError("unable to open database file")
        return worn_out.open_store(path)

    spool = open_spool(open_store=open_store)
    spool.append(ONE, checkpoint=b"digests")
    worn_out.is_worn_out = True
    assert drain(spool) == [ONE]
    assert refused

    worn_out.is_worn_out = False
    spool.append(TWO)
    assert (spool.checkpoint(), drain(spool)) == (b"digests", [TWO])
