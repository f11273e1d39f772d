"""A ``state_dir`` that cannot be looked into for a while: no permission, a network file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from event_monitor.errors import UnavailableError
from event_monitor.publisher.spool import Spool

from ...contracts.sink import count
from .conftest import OpenSpool, bulky, drain

ONE, TWO, THREE = (count(value=1),), (count(value=2),), (count(value=3),)

Hide = Callable[[], None]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def hide(state_dir: Path) -> Hide:
    """Return a function after which each look at the directory is an error other than "no such"."""

    def hide() -> None:
        state_dir.rename(state_dir.with_name("hidden"))
        state_dir.symlink_to(state_dir)  # a loop

    return hide


@pytest.fixture
def show(state_dir: Path) -> Hide:
    """Return a function that ends it."""

    def show() -> None:
        state_dir.unlink()
        state_dir.with_name("hidden").rename(state_dir)

    return show


def test_what_is_in_the_file_still_counts_as_unsent(
    state_dir: Path, open_spool: OpenSpool, hide: Hide
) -> None:
    """Else the end of the process would say that everything is sent."""
    spool = open_spool(str(state_dir))
    spool.append(ONE)
    hide()

    spool.append(TWO)
    spool.close()

    assert len(spool) == 2


def test_nothing_is_safe_meanwhile(
    state_dir: Path, open_spool: OpenSpool, hide: Hide, show: Hide
) -> None:
    """Nobody knows whether a successor will find it; afterwards it is known."""
    spool = open_spool(str(state_dir))
    hide()

    assert not spool.append(ONE, checkpoint=b"first")

    show()
    assert spool.append(TWO, checkpoint=b"second")
    assert drain(spool) == [ONE, TWO]


def test_the_batch_that_is_being_sent_is_not_counted_as_interrupted(
    state_dir: Path, open_spool: OpenSpool, hide: Hide, show: Hide
) -> None:
    """This process knows what became of it."""
    spool = open_spool(str(state_dir))
    spool.append(ONE)
    batch = spool.oldest()
    assert batch is not None
    hide()
    spool.append(TWO)

    spool.acknowledge(batch.id)

    show()
    spool.append(THREE)
    assert drain(spool) == [TWO, THREE]
    assert spool.take_interrupted() == 0
    assert spool.take_dropped() == 0


def test_what_we_wrote_meanwhile_is_not_taken_for_somebody_elses(
    state_dir: Path, open_spool: OpenSpool, hide: Hide, show: Hide
) -> None:
    """The file may have a new header then, and its log another beginning."""
    spool = open_spool(str(state_dir))
    hide()
    batches = [bulky(seed) for seed in range(60)]  # SQLite begins its log anew
    for batch in batches:
        spool.append(batch)
    show()

    assert spool.append(ONE)

    assert drain(spool) == [*batches, ONE]
    assert not list(state_dir.glob("*.corrupt-*"))


def test_no_other_process_gets_the_directory(
    state_dir: Path, open_spool: OpenSpool, hide: Hide, show: Hide
) -> None:
    """It may see it where we do not; the lock holds."""
    spool = open_spool(str(state_dir))
    spool.append(ONE)
    hide()
    spool.append(TWO)
    show()

    with pytest.raises(UnavailableError, match="is in use by process"):
        Spool(str(state_dir)).open()


def test_what_is_open_and_stale_is_opened_again(
    state_dir: Path,
    open_spool: OpenSpool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server of a network file system has restarted; what is at the path is the same."""
    # Given a batch of which a part was sent, and that is being sent again
    spool = open_spool(str(state_dir))
    spool.append((*ONE, *TWO), checkpoint=b"digests")
    batch = spool.oldest()
    assert batch is not None
    spool.replace(batch.id, TWO)
    batch = spool.oldest()
    assert batch is not None

    # When all that is open becomes stale
    stale, look = {path.name for path in Path("/proc/self/fd").iterdir()}, os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        if str(descriptor) in stale:
            stale.discard(str(descriptor))
            raise OSError(errno.ESTALE, "Stale file handle")
        return look(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fstat)
        assert spool.append(THREE)

    assert caplog.messages == [
        f"the spool {state_dir}/spool.sqlite3 was stale, and is opened again"
    ]

    # Then this process knows what became of it
    spool.acknowledge(batch.id)
    assert spool.checkpoint() == b"digests"
    assert drain(spool) == [THREE]
    assert spool.take_interrupted() == 0
    assert spool.take_dropped() == 0
