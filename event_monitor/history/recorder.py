"""Recorder: gathers what ended and every snapshot; writes once a second, in a thread of its own.

A disk that is full or broken costs history only: it is logged once, and what could not be written
is tried again, within bounds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import UnavailableError
from ..settings import Settings
from ..snapshot import UNKNOWN, EndedTask, Snapshot
from ..text import one_line
from .access import group_id, let_group_in, let_group_read
from .batch import Batch, GroupKey, Row, group_of
from .file import FILE_NAME
from .reader import Reader
from .sampling import Budget, SuccessSampler
from .schema import LaterVersionError
from .store import Store

__all__ = ["Recorder"]

log = logging.getLogger(__name__)

_WRITE_SECONDS = 1.0
_THOROUGH_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0  # a stop does not wait longer for the disk
_MOST_MEGABYTES_IN_MEMORY = 16
_MAX_KINDS = 10_000
_FAILED = ("failed", "rejected", "orphaned")
_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")


class Recorder:
    """The history of one monitor, from ``open`` to ``close``. Making one opens nothing.

    Raises ``SettingsError`` for a ``state_group`` that does not exist.

    ``weigh`` and ``on_tasks`` are for the receiving thread, ``on_snapshot`` for the one that takes
    the shot; neither waits for the disk nor raises. ``reader`` may be called from any, after
    ``open``; so may ``flush``, which writes what there is at once.

    With a ``state_dir`` whoever opens this holds its lock.
    """

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._path = Path(settings.state_dir, FILE_NAME) if settings.state_dir else None
        self._group = group_id(settings.state_group)
        megabytes = settings.history_megabytes
        if self._path is None:
            megabytes = min(megabytes, _MOST_MEGABYTES_IN_MEMORY)
        self._max_bytes = megabytes * 1_000_000
        self._sampler = SuccessSampler()
        self.weigh = self._sampler.weigh
        self._budgets = {
            "succeeded": Budget(per_second=30, burst=300),
            "retried": Budget(per_second=20, burst=500),
            "revoked": Budget(per_second=20, burst=500),
        } | dict.fromkeys(_FAILED, Budget(per_second=20, burst=2_000))
        self._kinds: set[tuple[str, GroupKey]] = set()  # of which there is a row
        self._batch = Batch()
        self._gather_lock = threading.Lock()  # held for moments: a batch is filled, or replaced
        self._store: Store | None = None
        self._file: os.stat_result  # of the store, while it is open
        self._store_lock = threading.RLock()  # one write at a time; in memory, a read, too
        self._failing = False
        self._adapted_at = self._thorough_at = clock.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- in ------------------------------------------------------------------------------------

    def on_tasks(self, tasks: Sequence[EndedTask]) -> None:
        """Gather runs that ended: count each, and keep those for which there is room."""
        now, at = self._clock.monotonic(), self._clock.wall()
        with self._gather_lock:
            batch = self._batch
            for task in tasks:
                state: str = task.how
                key = group_of(task)
                if state != "succeeded" or task.retries:
                    batch.ended[state] += 1
                if state == "failed":
                    batch.count_failure(task, key, at=at)
                if self._is_first(state, key) or self._budgets[state].allows(now):
                    batch.add_row(Row(at, task, state))

    def on_all_tasks(self, tasks: Sequence[EndedTask]) -> None:
        """Do the same where nobody has chosen among those that succeeded yet."""
        weighed = (
            task
            if task.how != "succeeded" or task.retries
            else task._replace(weight=self.weigh(task.id, task.name or UNKNOWN, task.runtime))
            for task in tasks
        )
        self.on_tasks([task for task in weighed if task.weight])

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Gather the series and incidents of a snapshot, and the tasks that were orphaned."""
        now, at = self._clock.monotonic(), self._clock.wall()
        slim = replace(snapshot, in_flight=(), ack_tokens=())
        with self._gather_lock:
            self._batch.add_snapshot(slim)
            for loss in snapshot.losses:
                self._batch.ended["orphaned"] += len(loss.orphans)
                for orphan in loss.orphans:
                    if not self._budgets["orphaned"].allows(now):
                        break
                    task = EndedTask(
                        id=orphan.uuid,
                        name=orphan.name,
                        how="failed",
                        ended=at,
                        worker=loss.hostname,
                        root=orphan.root,
                        parent=orphan.parent,
                    )
                    self._batch.add_row(Row(at, task, "orphaned"))

    def _is_first(self, state: str, key: GroupKey) -> bool:
        """Return whether nothing like this was kept yet."""
        kind = state, key
        if kind in self._kinds or len(self._kinds) >= _MAX_KINDS:
            return False
        self._kinds.add(kind)
        return True

    # -- the writer ----------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to write. A disk that cannot be used is logged, and tried again."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, unless the disk hangs."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_PATIENCE_SECONDS)
            if thread.is_alive():
                log.error("the history's disk hangs; what was not written is lost")
                return
        with self._store_lock:
            self._close_store()

    def reader(self) -> Reader:
        """Return what reads the history. Raises ``UnavailableError`` while there is none."""
        if self._path is not None:
            return Reader.open(self._path)
        with self._store_lock:
            if self._store is None:
                raise UnavailableError("the history is not open.")
            return Reader(self._store.database, lock=self._store_lock)

    def flush(self) -> None:
        """Write what was gathered, and let go of what is old."""
        with self._store_lock:
            self._adapt()
            with self._gather_lock:
                batch, self._batch = self._batch, Batch()
            batch.ended["succeeded"] += self._sampler.take_count()
            self._write(batch)

    def _run(self) -> None:
        self.flush()
        is_over = False
        while not is_over:
            is_over = self._stop.wait(_WRITE_SECONDS)
            self.flush()

    def _adapt(self) -> None:
        now = self._clock.monotonic()
        self._sampler.adapt(now - self._adapted_at)
        self._adapted_at = now

    def _write(self, batch: Batch) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        is_thorough = now - self._thorough_at >= _THOROUGH_SECONDS
        if is_thorough:
            self._thorough_at = now
            self._sampler.relax()
        try:
            self._look_after()
            store = self._store or self._opened()
            store.let_go(now=wall, thoroughly=is_thorough)
            if batch:
                store.write(batch, now=wall)
        except Exception as error:
            if not _is_of_the_disk(error):  # whatever is in this batch, the next one is another
                log.exception("a part of the history could not be written and is lost")
                return
            self._fail(error)
            with self._gather_lock:
                batch.put_before(self._batch)
                self._batch = batch
        else:
            if self._failing:
                self._failing = False
                log.info("the history is written again")

    def _look_after(self) -> None:
        """Begin a new file if the present one is not any more where readers look for it."""
        if self._path is None or self._store is None:
            return
        try:
            is_there = os.path.samestat(self._path.stat(), self._file)
        except FileNotFoundError:
            is_there = False
        if not is_there:
            log.warning("the history %s was deleted or replaced; it begins anew", self._path)
            self._close_store()

    def _opened(self) -> Store:
        """Open the store; a file that is damaged, or of a later version, is moved aside."""
        if self._path is None:
            self._store = Store.open(":memory:", self._settings, max_bytes=self._max_bytes)
            return self._store
        try:
            self._store = self._open_file(self._path)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            aside = self._move_aside(self._path)
            log.error("the history was unusable (%s); moved it to %s", one_line(error), aside)
            self._store = self._open_file(self._path)
        return self._store

    def _open_file(self, path: Path) -> Store:
        # Its log and its shared memory get the same mode from SQLite. A link is not followed.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
        try:
            let_group_read(descriptor, self._group)
            self._file = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        let_group_in(path.parent, self._group)
        return Store.open(str(path), self._settings, max_bytes=self._max_bytes)

    def _move_aside(self, path: Path) -> Path:
        aside = Path(f"{path}.corrupt-{int(self._clock.wall())}")
        for suffix in _OF_A_DATABASE:
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
        return aside

    def _fail(self, error: Exception) -> None:
        """Log the first failure in a row; damage is met by a new file at the next write."""
        if not self._failing:
            self._failing = True
            where = self._path or "memory"
            log.error("the history in %s cannot be written: %s", where, one_line(error))
        if not isinstance(error, sqlite3.OperationalError | OSError):
            self._close_store()

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(sqlite3.Error):
                store.close()


def _is_of_the_disk(error: Exception) -> bool:
    """Return whether it says that the disk fails, or that the file is damaged.

    The other errors of SQLite are about what was to be written.
    """
    return isinstance(error, OSError | sqlite3.OperationalError) or type(error) in (
        sqlite3.DatabaseError,
        LaterVersionError,
    )
