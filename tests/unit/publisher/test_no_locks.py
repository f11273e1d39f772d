"""A file system that gives no locks, such as NFS without its lock service."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from event_monitor.publisher.store import Store

from ...contracts.sink import count
from .conftest import OpenSpool, drain

ONE, TWO, THREE = (count(value=1),), (count(value=2),), (count(value=3),)
SENTENCE = (
    "the spool cannot use {}: its file system gives no locks (No locks available); NFS has a "
    "service for them, which may not run; going on in memory"
)


class Locks:
    """The locks of all file systems, until ``gone``."""

    def __init__(self) -> None:
        self.gone = False

    def unless_gone(self, lock: Callable[..., None]) -> Callable[..., None]:
        def locked(*arguments: object) -> None:
            if self.gone:
                raise OSError(errno.ENOLCK, "No locks available")
            lock(*arguments)

        return locked


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Locks:
    locks = Locks()
    for name in ("lockf", "flock"):
        monkeypatch.setattr(fcntl, name, locks.unless_gone(getattr(fcntl, name)))
    return locks


class CountingStore(Store):
    """Counts how often its database is used."""

    uses = 0

    @classmethod
    def counted(cls, path: str) -> Store:
        store = cls.open(path)
        assert isinstance(store, cls)
        store._database.set_trace_callback(lambda _statement: cls._count())
        return store

    @classmethod
    def _count(cls) -> None:
        cls.uses += 1


def test_without_locks_the_spool_goes_on_in_memory(
    locks: Locks, tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite is not asked: it waits ten seconds each time, and a graceful stop with it."""
    # Given
    spool = open_spool(open_store=CountingStore.counted)
    spool.append(ONE)
    sending = spool.oldest()
    assert sending is not None
    locks.gone = True
    CountingStore.uses = 0

    # When
    spool.acknowledge(sending.id)
    assert not spool.append(TWO)
    assert not spool.append(THREE)
    batch = spool.oldest()

    # Then
    assert CountingStore.uses == 0
    assert batch is not None
    assert batch.metrics == TWO
    assert (len(spool), spool.unsafe) == (2, 2)
    assert [record.getMessage() for record in caplog.records] == [
        SENTENCE.format(tmp_path / "spool.sqlite3")
    ]

    # When there are locks again
    spool.replace(batch.id, batch.metrics)
    locks.gone = False
    assert spool.append((count(value=4),))

    # Then
    assert drain(spool) == [TWO, THREE, (count(value=4),)]
    assert spool.take_dropped() == 0


def test_what_is_in_the_file_waits_for_locks(locks: Locks, open_spool: OpenSpool) -> None:
    """It counts as unsent, and is not lost with the process."""
    spool = open_spool()
    spool.append(ONE)
    locks.gone = True

    assert spool.oldest() is None
    spool.close()
    assert (len(spool), spool.unsafe) == (1, 0)

    locks.gone = False
    assert drain(open_spool()) == [ONE]


def test_a_start_without_locks_is_no_start_beside_another_process(
    locks: Locks, tmp_path: Path, open_spool: OpenSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows whether there is another: the files are not touched until there are locks."""
    # Given
    former = open_spool()
    former.append(ONE)
    former.close()
    locks.gone = True

    # When
    spool = open_spool()
    spool.append(TWO)

    # Then
    assert [record.getMessage() for record in caplog.records] == [
        SENTENCE.format(tmp_path / "spool.sqlite3")
    ]
    assert spool.is_unread
    locks.gone = False
    spool.append(THREE)
    assert not spool.is_unread
    assert drain(spool) == [ONE, TWO, THREE]


def test_other_errors_of_a_lock_are_left_to_the_database(
    monkeypatch: pytest.MonkeyPatch, open_spool: OpenSpool
) -> None:
    """Such as a byte that another program has locked."""

    def refuse(*_arguments: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    spool = open_spool()
    monkeypatch.setattr(fcntl, "lockf", refuse)

    assert spool.append(ONE)
