"""A spool whose disk fails: it costs durability, never a metric."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher.store import Store
from event_monitor.testing import FakeClock

from ...contracts.sink import count
from .conftest import OpenSpool, drain


class FillableDisk:
    """A disk that is full when the test says so."""

    def __init__(self) -> None:
        self.is_full = False

    def open_store(self, path: str) -> Store:
        disk = self

        class StoreOnDisk(Store):
            def append(
                self, metrics: tuple[Metric, ...], *, at: float, checkpoint: bytes | None = None
            ) -> None:
                if disk.is_full:
                    raise sqlite3.OperationalError("database or disk is full")
                super().append(metrics, at=at, checkpoint=checkpoint)

        return StoreOnDisk.open(path)


def block_disk(path: Path) -> sqlite3.Connection:
    """Hold the file as another program could; to write is then as impossible as on a full disk."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    return database


def test_a_disk_that_fails_costs_durability_only(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """What the disk refuses is kept in memory; each metric is handed out once."""
    # Given
    spool = open_spool()
    spool.append((count(value=1),))
    first = spool.oldest()
    assert first

    # When
    blocker = block_disk(tmp_path / "spool.sqlite3")
    spool.append((count(value=2),))
    spool.acknowledge(first.id)
    second = spool.oldest()
    blocker.close()

    # Then
    assert second is not None
    assert second.metrics == (count(value=2),)
    spool.acknowledge(second.id)
    spool.append((count(value=3),))
    third = spool.oldest()
    assert third is not None
    assert third.metrics == (count(value=3),)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_the_disk_refused_is_written_at_the_end_if_it_works_again(
    open_spool: OpenSpool,
) -> None:
    """And if not, it is known that it ends with the process."""
    # Given
    disk = FillableDisk()
    spool = open_spool(open_store=disk.open_store)
    disk.is_full = True
    spool.append((count(value=1), count(value=2)))
    assert spool.unsafe == 2

    # When
    disk.is_full = False
    spool.close()

    # Then
    assert (len(spool), spool.unsafe) == (2, 0)
    successor = open_spool(open_store=disk.open_store)
    assert drain(successor) == [(count(value=1), count(value=2))]

    # When it stays full
    disk.is_full = True
    successor.append((count(value=3),))
    successor.close()

    # Then
    assert (len(successor), successor.unsafe) == (1, 1)


def test_what_the_broker_will_send_again_is_not_written_at_the_end(open_spool: OpenSpool) -> None:
    """Without the checkpoint that was refused with it, it would count twice."""
    disk = FillableDisk()
    spool = open_spool(open_store=disk.open_store)
    disk.is_full = True
    spool.append((count(value=1),), checkpoint=b"digests")

    disk.is_full = False
    spool.close()

    assert (len(spool), spool.unsafe) == (1, 1)
    assert len(open_spool()) == 0


def test_the_rest_of_a_batch_survives_a_disk_that_fails(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """What was acknowledged is not sent again, what was not is kept in memory."""
    # Given
    spool = open_spool()
    spool.append((count(value=1), count(value=2)))
    batch = spool.oldest()
    assert batch

    # When
    blocker = block_disk(tmp_path / "spool.sqlite3")
    spool.replace(batch.id, (count(value=2),))
    rest = spool.oldest()
    blocker.close()

    # Then
    assert rest is not None
    assert rest.metrics == (count(value=2),)


@pytest.mark.parametrize("sent", [0, 1])
def test_a_batch_that_the_disk_did_not_change_is_in_one_place_only(
    sent: int, tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Once the disk takes something again it gets the rest, too; a kill then doubles nothing."""
    # Given a batch of which none or a part has arrived, while nothing can be written
    batch = (count(value=1), count(value=2))
    running = tmp_path / "running"
    spool = open_spool(str(running))
    spool.append(batch)
    with closing(block_disk(running / "spool.sqlite3")):
        for _ in range(2):
            sending = spool.oldest()
            assert sending is not None
            spool.replace(sending.id, batch[sent:])
            assert (len(spool), spool.unsafe) == (2 - sent, 0)
        spool.append((count(value=3),))

    # When the next window finds the disk at work, and the process is killed while it sends
    spool.append((count(value=4),))
    assert (len(spool), spool.unsafe) == (4 - sent, 0)
    shutil.copytree(running, tmp_path / "killed")

    # Then
    successor = open_spool(str(tmp_path / "killed"))
    assert successor.take_interrupted() == 0
    assert drain(successor) == [batch[sent:], (count(value=3),), (count(value=4),)]


def test_a_rest_is_written_while_it_is_being_sent(tmp_path: Path, open_spool: OpenSpool) -> None:
    """And a successor still learns that it may have arrived."""
    running = tmp_path / "running"
    spool = open_spool(str(running))
    spool.append((count(value=1), count(value=2)))
    with closing(block_disk(running / "spool.sqlite3")):
        sending = spool.oldest()
        assert sending is not None
        spool.replace(sending.id, (count(value=2),))
        sending = spool.oldest()
    assert sending is not None

    spool.append((count(value=3),))
    shutil.copytree(running, tmp_path / "killed")
    spool.acknowledge(sending.id)

    successor = open_spool(str(tmp_path / "killed"))
    assert successor.take_interrupted() == 1
    assert drain(successor) == [(count(value=2),), (count(value=3),)]
    assert drain(spool) == [(count(value=3),)]


def test_what_moves_from_memory_to_the_disk_gets_no_younger(
    tmp_path: Path, open_spool: OpenSpool, clock: FakeClock
) -> None:
    """It was kept in memory while the disk was full."""
    spool = open_spool()
    blocker = block_disk(tmp_path / "spool.sqlite3")
    spool.append((count(value=1),))
    clock.advance(60)
    blocker.close()
    spool.append((count(value=2),))

    assert spool.oldest_seconds() == 60


def test_a_checkpoint_is_not_written_while_counts_are_in_memory_only(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """After a crash it would make the messages of these counts pass for counted."""
    # Given counts that a full disk refused, and that are being sent
    disk = FillableDisk()
    spool = open_spool(open_store=disk.open_store)
    disk.is_full = True
    assert spool.append((count(value=1),), checkpoint=b"first") is False
    sending = spool.oldest()
    assert sending is not None

    # When the disk works again meanwhile, they stay where they are, and so does what follows
    disk.is_full = False
    assert spool.append((count(value=2),), checkpoint=b"second") is False
    assert spool.checkpoint() is None

    # Then, once the sending has ended, all of it goes to the disk with the next batch
    spool.replace(sending.id, sending.metrics)
    assert spool.append((count(value=3),), checkpoint=b"third") is True
    assert spool.checkpoint() == b"third"
    spool.close()
    with closing(Store.open(str(tmp_path / "spool.sqlite3"))) as store:
        assert store.metrics == 3
    assert drain(open_spool()) == [(count(value=1),), (count(value=2),), (count(value=3),)]


def test_a_disk_that_fails_is_logged_once_and_its_recovery_too(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """No flood in the log, and no silence either."""
    caplog.set_level("INFO", logger="event_monitor.publisher")
    disk = FillableDisk()
    spool = open_spool(open_store=disk.open_store)

    disk.is_full = True
    spool.append((count(value=1),))
    spool.append((count(value=2),))
    disk.is_full = False
    assert spool.append((count(value=3),)) is True
    assert spool.append((count(value=4),)) is True

    path = tmp_path / "spool.sqlite3"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"the spool cannot use {path}: database or disk is full; going on in memory"),
        ("INFO", "the spool's disk works again"),
    ]


def test_a_disk_that_cannot_be_opened_at_the_start_is_tried_again(open_spool: OpenSpool) -> None:
    """Until it works, everything is kept in memory."""
    refusals = 2

    def open_store(path: str) -> Store:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise sqlite3.OperationalError("unable to open database file")
        return Store.open(path)

    spool = open_spool(open_store=open_store)

    assert spool.append((count(value=1),)) is False
    assert spool.append((count(value=2),)) is True
    assert drain(spool) == [(count(value=1),), (count(value=2),)]


def test_a_batch_is_on_disk_with_its_checkpoint_or_not_at_all(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Without it, the messages of these counts would be counted again after a crash."""
    # Given a file that takes batches, but no checkpoint
    spool = open_spool()
    with closing(sqlite3.connect(tmp_path / "spool.sqlite3")) as database:
        database.execute("DROP TABLE checkpoint")

    # When
    on_disk = spool.append((count(value=1),), checkpoint=b"checkpoint")

    # Then
    assert on_disk is False
    with closing(sqlite3.connect(tmp_path / "spool.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM batch").fetchone() == (0,)
    assert drain(spool) == [(count(value=1),)]
