"""The spool: nothing leaves it but by acknowledgement, age or size, and every loss is counted."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from event_monitor.distribution import Distribution
from event_monitor.errors import UnavailableError
from event_monitor.metrics import Metric
from event_monitor.publisher.spool import Batch, BatchId, Spool
from event_monitor.publisher.store import Store
from event_monitor.testing import FakeClock

from ...contracts.sink import NOW, count


class OpenSpool(Protocol):
    """Open a spool in the test's directory, or, for ``state_dir=""``, in memory only."""

    def __call__(
        self,
        state_dir: str | None = None,
        *,
        megabytes: float = 256,
        open_store: Callable[[str], Store] = Store.open,
    ) -> Spool: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOW)


@pytest.fixture
def open_spool(tmp_path: Path, clock: FakeClock) -> Iterator[OpenSpool]:
    opened: list[Spool] = []

    def open_one(
        state_dir: str | None = None,
        *,
        megabytes: float = 256,
        open_store: Callable[[str], Store] = Store.open,
    ) -> Spool:
        directory = str(tmp_path) if state_dir is None else state_dir
        spool = Spool(directory, megabytes=megabytes, clock=clock, open_store=open_store)
        opened.append(spool)
        spool.open()
        return spool

    yield open_one
    for spool in opened:
        spool.close()


@pytest.fixture(params=["disk", "memory"])
def spool(request: pytest.FixtureRequest, open_spool: OpenSpool) -> Spool:
    return open_spool("" if request.param == "memory" else None)


def drain(spool: Spool) -> list[tuple[Metric, ...]]:
    """Take out every batch, oldest first."""
    batches = []
    while batch := spool.oldest():
        batches.append(batch.metrics)
        spool.acknowledge(batch.id)
    return batches


def bulky(seed: int) -> tuple[Metric, ...]:
    """A batch of about 100 kB that does not compress."""
    noise = random.Random(seed)
    return tuple(
        count(value=noise.random(), TaskName=noise.randbytes(4_000).hex()) for _ in range(23)
    )


def test_batches_come_back_whole_and_in_order(spool: Spool) -> None:
    """Oldest first, every field as it went in."""
    # Given
    runtime = Metric(
        "TaskRuntime",
        "Seconds",
        NOW + 0.5,
        Distribution((0.5, 2.0), (3, 1)),
        (("Environment", "prod"), ("TaskName", "café")),
    )
    first, second = (runtime, count(value=1)), (count(value=float("inf")),)

    # When
    spool.append(first)
    spool.append(second)

    # Then
    assert drain(spool) == [first, second]
    assert len(spool) == 0


def test_the_oldest_stays_until_it_is_acknowledged(spool: Spool) -> None:
    """Looking is not taking."""
    spool.append((count(),))

    first = spool.oldest()

    assert first is not None
    assert spool.oldest() == first
    assert len(spool) == 1


def test_only_the_rest_of_a_batch_stays(spool: Spool) -> None:
    """After a partly failed send the rest keeps its place."""
    # Given
    spool.append((count(value=1), count(value=2), count(value=3)))
    spool.append((count(value=4),))
    batch = spool.oldest()
    assert batch

    # When
    spool.replace(batch.id, (count(value=3),))

    # Then
    assert spool.oldest() == Batch(batch.id, (count(value=3),))
    assert len(spool) == 2


def test_replacing_by_nothing_is_acknowledging(spool: Spool) -> None:
    """No rest, no batch."""
    spool.append((count(),))
    batch = spool.oldest()
    assert batch

    spool.replace(batch.id, ())

    assert spool.oldest() is None


def test_no_metrics_are_no_batch(spool: Spool) -> None:
    """An empty append leaves nothing to send."""
    spool.append(())

    assert spool.oldest() is None


def test_a_late_acknowledgement_hits_no_other_batch(spool: Spool) -> None:
    """Ids are not used twice, so acknowledging again does nothing."""
    spool.append((count(value=1),))
    batch = spool.oldest()
    assert batch
    spool.acknowledge(batch.id)
    spool.append((count(value=2),))

    spool.acknowledge(batch.id)

    assert len(spool) == 1


def test_too_old_batches_are_dropped_and_counted(spool: Spool, clock: FakeClock) -> None:
    """CloudWatch takes nothing older than two weeks; the loss has a number, given once."""
    # Given
    spool.append((count(), count()))
    clock.advance(14 * 86_400 + 1)

    # When
    spool.append((count(value=9),))

    # Then
    batch = spool.oldest()
    assert batch is not None
    assert batch.metrics == (count(value=9),)
    assert spool.take_dropped() == 2
    assert spool.take_dropped() == 0


@pytest.mark.parametrize("state_dir", ["", None])
def test_a_full_spool_drops_the_oldest_and_counts_it(
    state_dir: str | None, open_spool: OpenSpool
) -> None:
    """The bound holds, the newest is kept, and what went is counted."""
    spool = open_spool(state_dir, megabytes=0.5)

    for seed in range(10):
        spool.append(bulky(seed))

    kept = drain(spool)
    assert kept == [bulky(seed) for seed in range(10 - len(kept), 10)]
    assert 1 <= len(kept) <= 5
    assert spool.take_dropped() == 23 * (10 - len(kept))


def test_a_batch_being_sent_is_not_dropped(open_spool: OpenSpool) -> None:
    """What may arrive any moment is not counted as lost."""
    # Given
    spool = open_spool(megabytes=0.5)
    spool.append(bulky(0))
    sending = spool.oldest()
    assert sending

    # When
    for seed in range(1, 10):
        spool.append(bulky(seed))
    spool.replace(sending.id, (count(value=7),))

    # Then
    batch = spool.oldest()
    assert batch == Batch(sending.id, (count(value=7),))


def test_a_restart_finds_what_was_not_acknowledged(open_spool: OpenSpool) -> None:
    """The file outlives the process; acknowledged batches do not."""
    # Given
    before = open_spool()
    before.append((count(value=1),))
    before.append((count(value=2),))
    batch = before.oldest()
    assert batch
    before.acknowledge(batch.id)
    before.close()

    # When
    after = open_spool()

    # Then
    batch = after.oldest()
    assert batch is not None
    assert batch.metrics == (count(value=2),)
    assert len(after) == 1


def test_a_killed_process_loses_nothing(tmp_path: Path, open_spool: OpenSpool) -> None:
    """What `append` returned from survives kill -9, and the lock does not."""
    code = (
        "import os, sys\n"
        "from event_monitor.metrics import Metric\n"
        "from event_monitor.publisher.spool import Spool\n"
        "spool = Spool(sys.argv[1])\n"
        "spool.open()\n"
        f"spool.append((Metric('A', 'Count', {NOW}, 5.0),))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    batch = open_spool().oldest()

    assert batch is not None
    assert batch.metrics == (Metric("A", "Count", NOW, 5.0),)


def test_two_processes_cannot_share_a_spool(open_spool: OpenSpool) -> None:
    """The second is refused with a sentence that names the first, and may follow it."""
    first = open_spool()

    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}; stop it"):
        open_spool()

    first.close()
    open_spool()


def test_an_unusable_directory_is_refused(tmp_path: Path, open_spool: OpenSpool) -> None:
    """A state_dir below a file can never work; one sentence says so at the start."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(UnavailableError, match=r"state_dir '.*/file/dir' cannot be used"):
        open_spool(str(tmp_path / "file" / "dir"))


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
    """A bad file costs only itself: it is kept for a person, logged, and a new one begun."""
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
    spool.close()
    assert len(open_spool()) == 1


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


def fill_disk(path: Path) -> sqlite3.Connection:
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
    blocker = fill_disk(tmp_path / "spool.sqlite3")
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
    blocker = fill_disk(tmp_path / "spool.sqlite3")
    spool.replace(batch.id, (count(value=2),))
    rest = spool.oldest()
    blocker.close()

    # Then
    assert rest is not None
    assert rest.metrics == (count(value=2),)


def test_what_cannot_be_written_costs_only_itself(spool: Spool) -> None:
    """A hostile event must not stop the camera: its metric is counted, the others stay."""
    spool.append((count(value=10**30), count(value=1), count(TaskName="\udc80")))

    batch = spool.oldest()
    assert batch is not None
    assert batch.metrics == (count(value=1),)
    assert spool.take_dropped() == 2


def test_what_comes_after_the_end_is_counted(spool: Spool) -> None:
    """What a late shot holds is lost, and has a number."""
    spool.close()

    spool.append((count(), count()))

    assert spool.take_dropped() == 2
    assert spool.oldest() is None


# -- opening and closing ---------------------------------------------------------------------------


def test_making_a_spool_touches_nothing(tmp_path: Path) -> None:
    """Neither directory, file nor lock, until it is opened."""
    Spool(str(tmp_path / "state"))

    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("state_dir", ["", None])
def test_closing_is_harmless_before_opening_and_again(
    state_dir: str | None, tmp_path: Path
) -> None:
    """Whoever undoes a start that failed need not know how far it came."""
    spool = Spool(str(tmp_path) if state_dir is None else state_dir)

    spool.close()
    spool.open()
    spool.append((count(),))
    spool.close()
    spool.close()

    assert len(spool) == 1


@pytest.mark.parametrize("state_dir", ["", None])
def test_a_spool_that_is_not_open_does_nothing(
    state_dir: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is given is counted as lost."""
    spool = Spool(str(tmp_path) if state_dir is None else state_dir)

    assert spool.append((count(), count()), checkpoint=b"too early") is False
    spool.replace(BatchId("disk", 1), (count(),))
    spool.acknowledge(BatchId("memory", 1))

    assert spool.oldest() is None
    assert spool.checkpoint() is None
    assert len(spool) == 0
    assert (spool.take_dropped(), spool.take_interrupted()) == (2, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "dropped 2 metrics that came while the spool was not open"
    ]


def test_a_failed_opening_lets_the_directory_go(open_spool: OpenSpool) -> None:
    """A bug in a later step must not keep the next try out."""

    def broken(path: str) -> Store:
        raise ZeroDivisionError(path)

    with pytest.raises(ZeroDivisionError):
        open_spool(open_store=broken)

    open_spool()


def test_the_lock_names_its_owner(tmp_path: Path, open_spool: OpenSpool) -> None:
    """Whatever a former owner has left in the file."""
    (tmp_path / "spool.lock").write_text("123456789")

    open_spool()

    assert (tmp_path / "spool.lock").read_text() == str(os.getpid())


# -- ids -------------------------------------------------------------------------------------------


def test_a_batch_says_where_it_is(open_spool: OpenSpool) -> None:
    """Both stores number from 1, so the number alone would not do."""
    on_disk, in_memory = open_spool(), open_spool("")
    on_disk.append((count(),))
    in_memory.append((count(),))

    assert on_disk.oldest() == Batch(BatchId("disk", 1), (count(),))
    assert in_memory.oldest() == Batch(BatchId("memory", 1), (count(),))


def test_only_the_batch_being_sent_can_be_acknowledged(spool: Spool) -> None:
    """Neither one that is next, nor one of the other store, nor one that never was."""
    spool.append((count(value=1),))
    spool.append((count(value=2),))
    batch = spool.oldest()
    assert batch
    other = BatchId("memory" if batch.id.store == "disk" else "disk", batch.id.number)

    for batch_id in (BatchId(batch.id.store, 2), BatchId(batch.id.store, 3), other):
        spool.acknowledge(batch_id)
        spool.replace(batch_id, (count(value=9),))

    assert drain(spool) == [(count(value=1),), (count(value=2),)]


# -- a disk that fails -----------------------------------------------------------------------------


class FillableDisk:
    """A disk that is full when the test says so."""

    def __init__(self) -> None:
        self.is_full = False

    def open_store(self, path: str) -> Store:
        disk = self

        class StoreOnDisk(Store):
            def append(
                self, metrics: tuple[Metric, ...], *, now: float, checkpoint: bytes | None = None
            ) -> None:
                if disk.is_full:
                    raise sqlite3.OperationalError("database or disk is full")
                super().append(metrics, now=now, checkpoint=checkpoint)

        return StoreOnDisk.open(path)


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

    assert [
        (record.levelname, record.getMessage().partition(" /")[0]) for record in caplog.records
    ] == [
        ("ERROR", "the spool cannot use"),
        ("INFO", "the spool's disk works again"),
    ]


def test_a_disk_that_cannot_be_opened_at_the_start_is_tried_again(open_spool: OpenSpool) -> None:
    """Until then memory does; nothing is lost."""
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


def test_a_bad_file_that_cannot_be_moved_aside_is_left_alone(
    tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and memory does."""
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
    assert "file is not a database; moving it to" in message
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
