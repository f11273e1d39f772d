"""The spool: nothing leaves it but by acknowledgement, age or size, and every loss is counted."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from event_monitor.distribution import Distribution
from event_monitor.errors import UnavailableError
from event_monitor.metrics import Metric
from event_monitor.publisher.spool import Batch, Spool
from event_monitor.testing import FakeClock

from ...contracts.sink import NOW, count

OpenSpool = Callable[..., Spool]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOW)


@pytest.fixture
def open_spool(tmp_path: Path, clock: FakeClock) -> Iterator[OpenSpool]:
    opened: list[Spool] = []

    def open_one(state_dir: str | None = None, megabytes: float = 256) -> Spool:
        directory = str(tmp_path) if state_dir is None else state_dir
        opened.append(Spool(directory, megabytes=megabytes, clock=clock))
        return opened[-1]

    yield open_one
    for spool in opened:
        spool.close()


@pytest.fixture(params=["disk", "memory"])
def spool(request: pytest.FixtureRequest, open_spool: OpenSpool) -> Spool:
    return open_spool("" if request.param == "memory" else None)


def bulky(seed: int) -> tuple[Metric, ...]:
    """A batch of about 100 kB that does not compress."""
    noise = random.Random(seed)
    return tuple(
        count(value=noise.random(), TaskName=noise.randbytes(4_000).hex())
        for _ in "12345678901234567890123"
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
    found = []
    while batch := spool.oldest():
        found.append(batch.metrics)
        spool.acknowledge(batch.id)
    assert found == [first, second]
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

    kept = []
    while batch := spool.oldest():
        kept.append(batch.metrics)
        spool.acknowledge(batch.id)
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
        f"Spool(sys.argv[1]).append((Metric('A', 'Count', {NOW}, 5.0),))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    batch = open_spool().oldest()

    assert batch is not None
    assert batch.metrics == (Metric("A", "Count", NOW, 5.0),)


def test_two_processes_cannot_share_a_spool(tmp_path: Path, open_spool: OpenSpool) -> None:
    """The second is refused with a sentence that names the first, and may follow it."""
    first = open_spool()

    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}; stop it"):
        Spool(str(tmp_path))

    first.close()
    open_spool()


def test_an_unusable_directory_is_said_at_the_start(tmp_path: Path) -> None:
    """A state_dir below a file can never work."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(UnavailableError, match=r"state_dir '.*/file/dir' cannot be used"):
        Spool(str(tmp_path / "file" / "dir"))


def text_file(path: Path) -> None:
    path.write_text("this is not a database, " * 1_000)


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE batch (id)")
    database.close()


def damaged_spool(path: Path) -> None:
    spool = Spool(str(path.parent))
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
    """A bad file costs itself: it is kept for a person, said loudly, and a new one begun."""
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
    read = 0
    while batch := spool.oldest():
        read += len(batch.metrics)
        spool.acknowledge(batch.id)
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
    """While the disk takes nothing, memory does; each metric is handed out once."""
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
    """A late shot is lost loudly."""
    spool.close()

    spool.append((count(), count()))

    assert spool.take_dropped() == 2
    assert spool.oldest() is None
