"""Spool file: the file of the spool's store, kept where a successor will find it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ..clock import Clock
from ..errors import UnavailableError
from .directory_lock import DirectoryLock
from .file_watch import FILES, FileWatch, make_file
from .sending_note import NOTE_SUFFIX
from .store import Store
from .write_ahead_log import recover

__all__ = ["SpoolFile"]

log = logging.getLogger(__name__)


class SpoolFile:
    """A store in a file of a locked directory. Not thread-safe.

    ``store`` is None while it is not open; ``former`` is the one that was, if it was closed to be
    opened again: the next goes on for it. ``is_lost`` says that what it holds is not where a
    successor will find it; ``is_hidden``, that nobody knows, as the directory cannot be looked
    into; ``has_no_locks``, that it must not be used now. Methods raise ``sqlite3.Error``,
    ``OSError``, and ``UnavailableError`` when another process has the directory.
    """

    def __init__(
        self,
        path: Path,
        directory_lock: DirectoryLock,
        *,
        clock: Clock,
        open_store: Callable[[str], Store],
    ) -> None:
        self.path = path
        self.store: Store | None = None
        self.former: Store | None = None
        self.is_lost = False
        self.is_hidden = False
        self.has_no_locks = False
        self.is_cleared = False  # nothing that could be sent is at the path
        self._directory_lock = directory_lock
        self._clock = clock
        self._open_store = open_store
        self._watch: FileWatch | None = None  # there while the store is open
        self._checkpoint: bytes | None = None  # of a file that is deleted; in no other one yet

    def open(self) -> Store:
        """Open the store, and make directory and file if there are none."""
        self._directory_lock.take()
        lost = self._recover()
        watch = FileWatch(self.path)
        try:
            store = self._open_store(str(self.path))
            self._hand_on_checkpoint(store)
        except BaseException:
            watch.close()
            raise
        former, self.former = self.former, None
        if former is not None:
            lost = 0  # of what is missing the former knows more
            store.succeed(former)
            former.close()
        elif store.missing and not lost:
            lost = store.missing
            log.error(
                "the spool %s lacks what was written to it last: %d metrics are lost",
                self.path,
                lost,
            )
        store.note_dropped(lost)
        self.store, self._watch = store, watch
        self.is_hidden = self.has_no_locks = self.is_cleared = False
        self.is_lost = watch.change(after_use=True) is not None
        return store

    def close(self) -> None:
        """Close the store. Its totals are still known."""
        if self.store is not None:
            self.store.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def forget(self) -> Store | None:
        """Close the store, and return it; there is none then."""
        self.close()
        store, self.store = self.store, None
        return store

    def reopen(self) -> None:
        """Open the file at the path again, and go on: the descriptors may be stale.

        If it raises, the next ``open`` goes on for the store, which is closed then.
        """
        self.former = self.forget()
        self.open()

    def look_after(self, *, after_use: bool) -> None:
        """Write a new file if the present one is not any more what a successor will find.

        ``after_use``: the store was used since the last call. If it raises, the store is as it was,
        and the next call tries again; unless another process may have taken lock and file: what is
        in the file is that one's to send, and there is no store any more.
        """
        if self.store is None or self._watch is None:
            return
        if self._watch.is_stale:
            self._require_lock()
            self.reopen()
            log.warning("the spool %s was stale, and is opened again", self.path)
            return
        change = self._watch.change(after_use=after_use)
        if change is not None and not self.is_lost:
            self.is_lost = True
            log.error("%s while the spool used it: nothing in it is safe; writing it anew", change)
        if self.is_lost:
            self._write_anew(self.store)
            return
        self._require_lock()
        self.has_no_locks = True
        self._watch.require_locks()
        self.has_no_locks = False

    def _require_lock(self) -> None:
        """Raise ``UnavailableError`` unless the directory is known to be ours."""
        try:
            self._directory_lock.take()
        except UnavailableError:
            self.is_hidden = self._directory_lock.is_taken
            if not self.is_hidden:
                self.forget()
            raise
        self.is_hidden = False

    def begin_anew(self) -> None:
        """Delete the file, of which nothing but the checkpoint is wanted, and write another.

        A full disk may refuse to delete a batch, which is written to the log; never a file.
        """
        if self.store is None:
            return
        checkpoint = self.store.checkpoint()
        # First: if that is refused, nothing is forgotten. A former note would tell of losses.
        for suffix in (NOTE_SUFFIX, *FILES):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._checkpoint = checkpoint
        self.forget()
        self.is_cleared = True
        self.open()

    def _hand_on_checkpoint(self, store: Store) -> None:
        """Write the checkpoint of the file before this one, if that is not done."""
        if self._checkpoint is not None:
            try:
                if store.checkpoint() is None:
                    store.keep_checkpoint(self._checkpoint)
            except BaseException:
                store.close()
                raise
            self._checkpoint = None

    def move_aside(self) -> Path:
        """Free the path, with what is there; return where it is now, for a person to look at.

        The caller counts what is lost with it.
        """
        aside = self._files_moved_aside()
        Path(f"{self.path}{NOTE_SUFFIX}").unlink(missing_ok=True)
        self.is_cleared = True
        return aside

    def _files_moved_aside(self) -> Path:
        aside = self._aside
        is_there = self.path.exists()
        for suffix in FILES:
            file = Path(f"{self.path}{suffix}")
            if not is_there:
                file.unlink(missing_ok=True)  # a log without its database is worth nothing
            elif file.exists():
                file.replace(f"{aside}{suffix}")
        return aside

    @property
    def _aside(self) -> Path:
        """Where something damaged is left for a person to look at."""
        return Path(f"{self.path}.corrupt-{int(self._clock.wall())}")

    def _recover(self) -> int:
        """Go on from the log that a crash has left; return how many metrics are lost with it."""
        with closing(FileWatch(self.path)) as watch:
            watch.require_locks()
            if watch.damage is not None:
                raise sqlite3.DatabaseError(watch.damage)
            copy = self._aside
            lost = recover(self.path, copy=copy)
        if lost is None:
            return 0
        log.error(
            "the log of the spool %s was damaged: %d metrics are lost, and some that were sent may "
            "be sent again; all that was in it is in %s",
            self.path,
            lost,
            copy,
        )
        return lost

    def _write_anew(self, former: Store) -> None:
        """Write what is in the store into a new file, and go on there."""
        self._directory_lock.take()  # makes the directory, too
        copy = Path(f"{self.path}.new")
        Path(f"{copy}-journal").unlink(missing_ok=True)  # of one that was killed in this place
        make_file(copy)
        former.copy_to(str(copy))
        self._files_moved_aside()
        copy.replace(self.path)
        # Not later: SQLite deletes the log at that path when it closes the former.
        self.reopen()
        log.warning("wrote %d unsent metrics to a new %s", former.metrics, self.path)
