"""Spool: the metrics that no sink has acknowledged yet, in order, on disk where there is one.

A batch is what was appended at once. It leaves when it is acknowledged, when it is too old for
CloudWatch, or when the spool is full and it is the oldest; the last two are counted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import UnavailableError
from ..metrics import Metric
from ..sinks.cloudwatch_limits import MAX_AGE_SECONDS
from .store import Store, storable

__all__ = ["Batch", "Spool"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was appended at once, or what is left of it. ``id`` is never used twice."""

    id: int
    metrics: tuple[Metric, ...]


class Spool:
    """Unsent metrics, oldest first. Thread-safe; one process at a time.

    ``state_dir`` is where ``spool.sqlite3`` lives; empty keeps everything in memory. A disk that
    fails (full, read-only) costs durability, never a metric: what it does not take stays in
    memory. A damaged or foreign file is moved aside. Both are logged as errors.
    ``drop_interrupted`` drops a batch that a former process was sending when it died, since it
    may have arrived; else it is sent again. It is counted either way.
    Raises ``UnavailableError`` when another process has the spool, or the directory is unusable.
    """

    def __init__(
        self,
        state_dir: str = "",
        *,
        megabytes: float = 256,
        drop_interrupted: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._owner = _own(Path(state_dir)) if state_dir else None
        self._lock = threading.Lock()
        self._clock: Clock = clock
        self._max_bytes = int(megabytes * 1_000_000)
        self._memory = Store(":memory:")
        self._disk: Store | None = None
        self._path = Path(state_dir, "spool.sqlite3")
        self._held: int | None = None  # being sent: neither acknowledged nor to be dropped
        self._dropped = 0
        self._interrupted = 0
        self._drop_interrupted = drop_interrupted
        self._disk_fails = False
        self._closed = False
        if state_dir:
            self._open_disk()
        else:
            log.info("no state_dir is set: unsent metrics are kept in memory only")

    # -- the camera's side ---------------------------------------------------------------------

    def append(self, metrics: tuple[Metric, ...], *, checkpoint: bytes | None = None) -> bool:
        """Keep a batch until it is acknowledged, and the checkpoint that belongs to it.

        Both in one transaction; no batch for no metrics. In memory a checkpoint is not kept.
        Returns whether they are on disk, and all that was appended before as well.
        """
        kept = storable(metrics)
        with self._lock:
            if len(kept) < len(metrics):
                self._dropped += len(metrics) - len(kept)
                log.warning("dropped %d metrics no sink could take", len(metrics) - len(kept))
                metrics = kept
            if not metrics:
                return False
            if self._closed:
                self._dropped += len(metrics)
                log.error("dropped %d metrics that came after the end", len(metrics))
                return False
            now = self._clock.wall()
            on_disk = self._append(metrics, now, checkpoint)
            self._bound(now)
            return on_disk

    def take_dropped(self) -> int:
        """How many metrics were pushed out, or could not be read back, since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def take_interrupted(self) -> int:
        """How many batches a former process was sending when it died, since the last call."""
        with self._lock:
            interrupted, self._interrupted = self._interrupted, 0
            return interrupted

    def checkpoint(self) -> bytes | None:
        """What the last process that kept one was sure of; None if there is nothing."""
        with self._lock:
            try:
                return self._disk.checkpoint() if self._disk else None
            except sqlite3.Error as error:
                self._disk_failed(error)
                return None

    # -- the publisher's side ------------------------------------------------------------------

    def oldest(self) -> Batch | None:
        """The batch to send next; it stays where it is until its send is over."""
        with self._lock:
            self._held = None
            if self._closed:
                return None
            for sign, store in ((1, self._disk), (-1, self._memory)):
                if store is None:
                    continue
                try:
                    found = store.oldest()
                    self._dropped += store.take_unreadable()
                except sqlite3.Error as error:
                    self._disk_failed(error)
                    continue
                if found:
                    self._held = sign * found[0]
                    return Batch(self._held, found[1])
            return None

    def acknowledge(self, batch_id: int) -> None:
        """The batch has arrived, or never will: forget it."""
        with self._lock:
            if not self._closed:
                self._forget(batch_id)

    def replace(self, batch_id: int, rest: tuple[Metric, ...]) -> None:
        """Its send is over; only ``rest`` of the batch has to be sent again."""
        with self._lock:
            if self._closed:
                return
            store = self._store_of(batch_id)
            if not rest:
                self._forget(batch_id)
            elif store is not None:
                try:
                    store.replace(abs(batch_id), rest)
                except sqlite3.Error as error:
                    self._disk_failed(error)
                    self._forget(batch_id)
                    self._memory.append(rest, now=self._clock.wall())
            self._held = None

    def __len__(self) -> int:
        """How many metrics are kept. Also known after ``close``."""
        return self._memory.metrics + (self._disk.metrics if self._disk else 0)

    def close(self) -> None:
        """Let another process have the spool. What is on disk stays there."""
        with self._lock:
            self._closed = True
            for store in (self._disk, self._memory):
                if store:
                    store.close()
            if self._owner:
                self._owner.close()

    # -- under the lock ------------------------------------------------------------------------

    def _append(self, metrics: tuple[Metric, ...], now: float, checkpoint: bytes | None) -> bool:
        if self._disk is None and self._owner is not None:
            self._open_disk()  # it may be well again
        if self._disk:
            try:
                self._move_to(self._disk, now)
                if checkpoint is not None and self._memory.metrics:
                    # It would say that what is in memory only need not be sent to us again.
                    self._memory.append(metrics, now=now)
                    return False
                self._disk.append(metrics, now=now, checkpoint=checkpoint)
            except sqlite3.Error as error:
                self._disk_failed(error)
            else:
                if self._disk_fails:
                    log.info("the spool's disk works again")
                    self._disk_fails = False
                return not self._memory.metrics
        self._memory.append(metrics, now=now)
        return False

    def _move_to(self, disk: Store, now: float) -> None:
        """What a failing disk did not take follows, except what is being sent from memory."""
        while (found := self._memory.oldest()) is not None and found[0] != self._held_in(-1):
            disk.append(found[1], now=now)
            self._memory.acknowledge(found[0])

    def _bound(self, now: float) -> None:
        """Drop what is too old, then the oldest while there is too much; never the newest."""
        for sign, store in ((1, self._disk), (-1, self._memory)):
            if store is None:
                continue
            keep, dropped = self._held_in(sign), 0
            try:
                dropped = store.drop_before(now - MAX_AGE_SECONDS, keep=keep)
                while store.bytes > self._max_bytes:
                    oldest = store.drop_oldest(keep=keep)
                    dropped += oldest
                    if not oldest:
                        break
            except sqlite3.Error as error:
                self._disk_failed(error)
            if dropped:
                self._dropped += dropped
                log.error("dropped the oldest %d unsent metrics: too old, or too many", dropped)

    def _store_of(self, batch_id: int) -> Store | None:
        """Where the batch being sent is; None if it is gone, its file moved aside meanwhile."""
        if batch_id != self._held:
            return None
        return self._disk if batch_id > 0 else self._memory

    def _held_in(self, sign: int) -> int | None:
        return abs(self._held) if self._held is not None and self._held * sign > 0 else None

    def _forget(self, batch_id: int) -> None:
        store = self._store_of(batch_id)
        if store is None:
            return
        try:
            store.acknowledge(abs(batch_id))
        except sqlite3.Error as error:
            self._disk_failed(error)

    def _disk_failed(self, error: sqlite3.Error) -> None:
        # Damage is a plain DatabaseError; a full, read-only or failing disk an OperationalError.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            if self._disk:
                self._dropped += self._disk.metrics
                self._disk.close()
            if self._held is not None and self._held > 0:
                self._held = None  # ids begin again in a new file
            self._move_aside(error)
        elif not self._disk_fails:
            self._disk_fails = True
            log.error("the spool cannot use %s: %s; going on in memory", self._path, error)

    def _open_disk(self) -> None:
        try:
            self._disk = Store(str(self._path))
        except sqlite3.OperationalError as error:
            self._disk_failed(error)
        except sqlite3.DatabaseError as error:
            self._move_aside(error)
        else:
            self._settle_interrupted(self._disk)
            if self._disk.metrics:
                log.info("%d unsent metrics are left from before", self._disk.metrics)

    def _settle_interrupted(self, disk: Store) -> None:
        """Decide on a batch that was being sent when the process before us died."""
        interrupted = disk.interrupted()
        if interrupted is None:
            return
        self._interrupted += 1
        if self._drop_interrupted:
            disk.acknowledge(interrupted[0])
            self._dropped += interrupted[1]
        log.warning(
            "%d metrics were being sent when the last process died: they may have arrived; %s",
            interrupted[1],
            "dropped" if self._drop_interrupted else "sending them (again)",
        )

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Start a new file; the old one is kept for a person to look at."""
        self._disk = None
        aside = f"{self._path}.corrupt-{int(self._clock.wall())}"
        try:
            for suffix in ("", "-wal", "-shm"):
                found = Path(f"{self._path}{suffix}")
                if found.exists():
                    found.replace(aside + suffix)
            self._disk = Store(str(self._path))
        except (OSError, sqlite3.Error) as again:
            log.error("the spool cannot use %s: %s; going on in memory", self._path, again)
        log.error("the spool %s was unusable (%s); moved it to %s", self._path, error, aside)


def _own(directory: Path) -> TextIO:
    """Take the directory for this process, until the file is closed or the process ends."""
    path = directory / "spool.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise UnavailableError(
            f"state_dir {str(directory)!r} cannot be used: {error.strerror}; "
            "name a directory this user may write to."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise UnavailableError(
            f"state_dir {str(directory)!r} is in use by process {owner}; "
            "stop it, or give this one a directory of its own."
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
