"""Disk: the batches in the file of a ``state_dir``, and what is done when the disk fails."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..clock import SYSTEM_CLOCK, Clock
from ..metrics import Metric
from .store import Store

__all__ = ["Disk"]

log = logging.getLogger(__name__)


class Disk:
    """A ``Store`` in a file, whose methods never raise ``sqlite3.Error``. Not thread-safe.

    While the disk fails (full, read-only, locked by another program) they do nothing and return
    None or False. The first failure is logged as an error; each later call tries again. A file
    that is damaged, or not a spool, is moved aside for a person to look at, and a new one is made;
    the metrics that were in it count as dropped.

    A batch that a former process was sending when it died may have arrived. ``drop_interrupted``
    drops it; otherwise it is sent again. It is counted either way.
    """

    def __init__(
        self,
        path: Path,
        *,
        drop_interrupted: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        open_store: Callable[[str], Store] = Store.open,
    ) -> None:
        self._path = path
        self._drop_interrupted = drop_interrupted
        self._clock: Clock = clock
        self._open_store = open_store
        self._store: Store | None = None  # None while it cannot be opened
        self._failing = False
        self._interrupted = 0
        self._dropped = 0

    @property
    def metrics(self) -> int:
        """How many metrics are in the file. Also known after ``close``."""
        return self._store.metrics if self._store is not None else 0

    def open(self) -> None:
        """Open the file, and decide on a batch that was being sent when the last process died."""
        with self._failures_handled():
            store = self._store = self._open_store(str(self._path))
            self._settle_interrupted(store)
            if store.metrics:
                log.info("%d unsent metrics are left from before", store.metrics)

    def append(
        self,
        metrics: tuple[Metric, ...],
        *,
        now: float,
        checkpoint: bytes | None = None,
        memory: Store,
    ) -> bool:
        """Append what is in ``memory``, then the batch with its checkpoint.

        Return whether the batch and its checkpoint are on disk; if not, the caller has to keep the
        batch. While a batch is handed out from ``memory``, all that is there stays there, and no
        checkpoint is written: it would say that counts are safe which are in memory only.
        """
        if self._store is None:
            self.open()  # it may work again
        if self._store is None:
            return False
        with self._failures_handled():
            memory.move_to(self._store, now=now)
            if checkpoint is not None and memory.metrics:
                return False
            self._store.append(metrics, now=now, checkpoint=checkpoint)
            if self._failing:
                log.info("the spool's disk works again")
                self._failing = False
            return True
        return False

    def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint in the file."""
        with self._failures_handled():
            return self._store.checkpoint() if self._store is not None else None
        return None

    def oldest(self) -> tuple[int, tuple[Metric, ...]] | None:
        """Hand out the oldest batch: return its number and metrics, or None if there is none."""
        with self._failures_handled():
            return self._store.oldest() if self._store is not None else None
        return None

    def replace(self, number: int, rest: tuple[Metric, ...]) -> bool:
        """Keep only ``rest`` of the batch that is handed out, in its place; none deletes it.

        If the disk refuses, the batch is not handed out again by this process, and if there is a
        rest False is returned: the caller has to keep it.
        """
        with self._failures_handled():
            if self._store is not None:
                self._store.replace(number, rest)
            return True
        with self._failures_handled():
            if self._store is not None:
                self._store.replace(number, ())
        return not rest

    def bound(self, *, max_bytes: int) -> None:
        """Drop the oldest while there is too much."""
        with self._failures_handled():
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
        """Close the file. What is in it stays there."""
        if self._store is not None:
            self._store.close()

    # -- failures ------------------------------------------------------------------------------

    @contextmanager
    def _failures_handled(self) -> Iterator[None]:
        """Swallow an error of SQLite: replace a damaged file, and log all else."""
        try:
            yield
        except sqlite3.Error as error:
            if _means_damage(error):
                self._replace_file(error)
            else:
                self._fail(error)

    def _fail(self, error: object) -> None:
        """Log the first failure in a row."""
        if not self._failing:
            self._failing = True
            log.error("the spool cannot use %s: %s; going on in memory", self._path, error)

    def _replace_file(self, error: sqlite3.Error) -> None:
        """Move the file aside, count what was in it as dropped, and make a new one."""
        if self._store is not None:
            self._dropped += self._store.metrics + self._store.take_dropped()
            self._store.close()
            self._store = None
        aside = f"{self._path}.corrupt-{int(self._clock.wall())}"
        try:
            for suffix in ("", "-wal", "-shm"):
                file = Path(f"{self._path}{suffix}")
                if file.exists():
                    file.replace(aside + suffix)
        except OSError as refusal:
            self._fail(f"{error}; moving it to {aside} failed: {refusal}")
            return
        log.error("the spool %s was unusable (%s); moved it to %s", self._path, error, aside)
        try:
            self._store = self._open_store(str(self._path))
        except sqlite3.Error as again:
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


def _means_damage(error: sqlite3.Error) -> bool:
    """Return whether the file is damaged, or not ours.

    That is a plain ``DatabaseError``; a full, read-only or failing disk an ``OperationalError``.
    """
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError
    )
