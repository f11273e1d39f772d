"""Disk: the batches in the file of a ``state_dir``, and what is done when the disk fails."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import UnavailableError
from ..metrics import Metric
from .directory_lock import DirectoryLock
from .schema import metrics_in
from .spool_file import SpoolFile
from .store import Store

__all__ = ["Disk"]

log = logging.getLogger(__name__)

# As SQLite says it:
_IO_ERROR = "disk I/O error"
_LOCKED = "locked"


class Disk:
    """A ``Store`` in a file, whose methods never raise ``sqlite3.Error``. Not thread-safe.

    While the disk fails (full, read-only, locked by another program) they do nothing and return
    None or False. The first failure is logged as an error; each later call tries again. A file
    that is damaged, or not a spool, is moved aside for a person to look at, and a new one is made;
    the metrics that were in it count as dropped.

    A file that is deleted, truncated, overwritten or replaced while it is open is an error too.
    What is in the store is then written to a new file; until that works, nothing ``is_safe``.

    ``directory_lock`` is taken before the file is opened, and again if it was lost.

    A batch that a former process was sending when it died may have arrived. ``drop_interrupted``
    drops it; otherwise it is sent again. It is counted either way.
    """

    def __init__(
        self,
        path: Path,
        directory_lock: DirectoryLock,
        *,
        drop_interrupted: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        open_store: Callable[[str], Store] = Store.open,
    ) -> None:
        self._file = SpoolFile(path, directory_lock, clock=clock, open_store=open_store)
        self._drop_interrupted = drop_interrupted
        self._failing = False
        # A batch that was refused may be in the file's log all the same: only its sync failed.
        self._may_hold_refused = False
        self._interrupted = 0
        self._dropped = 0

    @property
    def metrics(self) -> int:
        """How many metrics in the file are unsent. Also known after ``close``."""
        store = self._known
        return store.unsent if store is not None else 0

    @property
    def is_safe(self) -> bool:
        """Whether all that was appended is in the file that a successor will find."""
        return self._store is not None and not self.is_lost and not self._file.is_hidden

    @property
    def is_lost(self) -> bool:
        """Whether what was appended is not in the file that a successor will find."""
        return self._file.is_lost

    @property
    def is_unread(self) -> bool:
        """Whether nobody knows what is in the file, as it could never be opened."""
        return self._known is None and not self._file.is_cleared

    @property
    def sent_again(self) -> int:
        """How many metrics a successor sends again: the disk did not let us cross them out."""
        store = self._known
        return store.sent_again if store is not None else 0

    @property
    def _store(self) -> Store | None:
        """The store; None while it cannot be used."""
        return None if self._file.has_no_locks else self._file.store

    @property
    def _known(self) -> Store | None:
        """The store, or what is known of it while its file cannot be opened again."""
        return self._file.store or self._file.former

    def open(self) -> None:
        """Open the file, and decide on a batch that was being sent when the last process died."""
        with self._in_use():
            goes_on = self._file.former is not None
            store = self._file.open()
            if goes_on:
                return
            self._settle_interrupted(store)
            if store.unsent:
                log.info("%d unsent metrics are left from before", store.unsent)

    def append(
        self,
        metrics: tuple[Metric, ...],
        *,
        at: float,
        checkpoint: bytes | None = None,
        memory: Store,
    ) -> bool:
        """Append what is in ``memory``, then the batch with its checkpoint.

        Return whether both were taken; if not, the caller has to keep the batch. While a batch is
        handed out from ``memory``, all that is there stays there, and no checkpoint is written: it
        would say that counts are safe which are in memory only.
        """
        if self._file.store is None:
            self.open()  # it may work again
        taken = False
        with self._in_use():
            if self._store is None:
                return False
            try:
                memory.move_to(self._store)
                if checkpoint is not None and memory.metrics:
                    return False
                self._store.append(metrics, at=at, checkpoint=checkpoint)
            except sqlite3.OperationalError as error:
                self._may_hold_refused |= _IO_ERROR in str(error)
                raise
            taken = True
        if taken:
            self._may_hold_refused = False  # it is overwritten
            self._catch_up()
        if self._failing and taken and self.is_safe:
            log.info("the spool's disk works again")
            self._failing = False
        return taken

    def take(self, memory: Store) -> None:
        """Append what is in ``memory`` as far as the disk takes it, if none is handed out."""
        if self._file.store is None:
            self.open()
        with self._in_use():
            if self._store is not None:
                memory.move_to(self._store)

    def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint in the file."""
        with self._in_use():
            return self._store.checkpoint() if self._store is not None else None
        return None

    def oldest(self) -> tuple[int, tuple[Metric, ...]] | None:
        """Hand out the oldest batch: return its number and metrics, or None if there is none."""
        with self._in_use():
            if self._store is None:
                return None
            found = self._store.oldest()
            if found is None and (self._store.is_behind or self._may_hold_refused):
                self._free(self._store)
            return found
        return None

    def oldest_at(self) -> float | None:
        """Return when the oldest batch was appended; None without one, or if it cannot be read."""
        with self._in_use():
            return self._store.oldest_at() if self._store is not None else None
        return None

    def replace(self, number: int, rest: tuple[Metric, ...]) -> None:
        """Keep only ``rest`` of the batch that is handed out, in its place; none deletes it.

        If the disk refuses, this process knows it nevertheless, and the file gets it later.
        """
        if self._known is not None:
            self._known.settle(number, rest)
        self._catch_up()

    def bound(self, *, max_bytes: int) -> None:
        """Drop the oldest while there is too much."""
        with self._in_use():
            if self._store is not None:
                self._store.bound(max_bytes=max_bytes)

    def take_dropped(self) -> int:
        """Return how many metrics were dropped, for whatever reason, since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped + (self._store.take_dropped() if self._store is not None else 0)

    def take_interrupted(self) -> int:
        """Return how many batches a former process was sending when it died; each only once."""
        interrupted, self._interrupted = self._interrupted, 0
        return interrupted

    def close(self) -> None:
        """Close the file. What is in it stays there, and what was sent is not, if that works."""
        if self._store is not None and (self._store.is_behind or self._may_hold_refused):
            with self._in_use():
                store = self._store  # another one, or none, if the file was not well
                if store is not None and store.unsent:
                    store.catch_up()
                elif store is not None:
                    self._free(store)
        with self._failures_handled():
            self._file.look_after(after_use=False)
        self._file.close()

    def _catch_up(self) -> None:
        """Write into the file what the disk refused to change in it."""
        with self._in_use():
            if self._store is not None:
                self._store.catch_up()

    # -- failures ------------------------------------------------------------------------------

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Look after the file before and after; swallow the errors of the disk."""
        with self._failures_handled():
            self._file.look_after(after_use=False)
        with self._failures_handled():
            yield
        with self._failures_handled():
            self._file.look_after(after_use=True)

    @contextmanager
    def _failures_handled(self) -> Iterator[None]:
        """Swallow an error of the disk: replace a damaged file, and log all else."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if _means_damage(error):
                self._replace_file(error)
            else:
                self._fail(error)
        except (OSError, UnavailableError) as error:
            self._fail(error)

    def _fail(self, error: object) -> None:
        """Log the first failure in a row."""
        if not self._failing:
            self._failing = True
            sentence = str(error).rstrip(".")
            log.error("the spool cannot use %s: %s; going on in memory", self._file.path, sentence)

    def _free(self, store: Store) -> None:
        """Delete what was sent, and would be sent again by the next process."""
        try:
            store.catch_up()
            if not self._may_hold_refused:
                return
            reason = "the disk failed"
        except sqlite3.OperationalError as error:
            if _LOCKED in str(error):  # for a while only
                raise
            reason = str(error)
        if not self.is_safe:
            return  # another time: it may not be ours
        self._dropped += store.take_dropped()
        self._file.begin_anew()
        self._may_hold_refused = False
        log.info("all in the spool %s was sent: wrote it anew (%s)", self._file.path, reason)

    def _replace_file(self, error: Exception) -> None:
        """Move the file aside, count what was in it as dropped, and make a new one."""
        former = self._file.forget() or self._file.former
        self._file.former = None
        if former is not None:
            self._dropped += former.unsent + former.take_dropped()
        try:
            aside = self._file.move_aside()
        except OSError as refusal:
            self._fail(f"{error}; moving it aside failed: {refusal}")
            return
        log.error("the spool %s was unusable (%s); moved it to %s", self._file.path, error, aside)
        try:
            if former is None:
                self._dropped += metrics_in(aside)
            self._file.open()
        except (sqlite3.Error, UnicodeDecodeError, OSError, UnavailableError) as again:
            self._fail(again)

    def _settle_interrupted(self, store: Store) -> None:
        """Count a batch that a former process was sending when it died."""
        metrics = store.settle_interrupted(drop=self._drop_interrupted)
        if metrics is not None:
            self._interrupted += 1
            log.warning(
                "%d metrics were being sent when the last process died: they may have arrived; %s",
                metrics,
                "dropped" if self._drop_interrupted else "sending them (again)",
            )


def _means_damage(error: Exception) -> bool:
    """Return whether the file is damaged, or not ours.

    That is a plain ``DatabaseError``, or a ``UnicodeDecodeError`` for a reason that quotes what is
    damaged; a full, read-only or failing disk is an ``OperationalError``, and what is wrong with
    how we use the database a ``ProgrammingError``.
    """
    is_of_the_file = isinstance(error, (sqlite3.DatabaseError, UnicodeDecodeError))
    is_of_disk_or_use = isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError))
    return is_of_the_file and not is_of_disk_or_use
