"""Opening and closing a spool: one process at a time has its directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from event_monitor.errors import UnavailableError
from event_monitor.metrics import Metric
from event_monitor.publisher.spool import BatchId, Spool
from event_monitor.publisher.store import Store

from ...contracts.sink import NOW, count
from .conftest import OpenSpool


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


def test_a_failed_opening_releases_the_directory(open_spool: OpenSpool) -> None:
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
