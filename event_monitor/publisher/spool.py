"""Spool: the metrics that no sink has acknowledged yet, in order, on disk where there is one.

A batch is what was appended at once. It leaves when it is acknowledged, or when the spool is full
and it is the oldest, which is counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..clock import SYSTEM_CLOCK, Clock
from ..metrics import Metric
from ..msgpack import encodable
from .directory_lock import DirectoryLock, NoLocksError
from .disk import Disk
from .store import Store

__all__ = ["Batch", "BatchId", "Spool"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # for who only counts what is kept
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BatchId:
    """Which of the spool's two stores a batch is in, and its number there."""

    store: Literal["disk", "memory"]
    number: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What was appended at once, or what is left of it."""

    id: BatchId
    metrics: tuple[Metric, ...]


class Spool:
    """Unsent metrics, oldest first. Thread-safe; one process at a time.

    ``open`` it before use, and ``close`` it. ``state_dir`` is where ``spool.sqlite3`` lives; empty
    keeps everything in memory. A disk that fails costs durability, never a metric: what it
    refuses is kept in memory until it works again. See ``Disk`` for ``drop_interrupted``, and for
    what is done with a damaged file. ``open_store`` opens the database at a path.

    The batch that ``oldest`` returned last is being sent, and is not dropped until ``acknowledge``
    or ``replace`` is called with its id. Any other id is ignored, so a late call is harmless.
    """

    def __init__(
        self,
        state_dir: str = "",
        *,
        megabytes: float = 256,
        drop_interrupted: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        open_store: Callable[[str], Store] = Store.open,
    ) -> None:
        self._directory_lock: DirectoryLock | None = None
        self._disk: Disk | None = None
        if state_dir:
            self._directory_lock = DirectoryLock(Path(state_dir))
            self._disk = Disk(
                Path(state_dir, "spool.sqlite3"),
                self._directory_lock,
                drop_interrupted=drop_interrupted,
                clock=clock,
                open_store=open_store,
            )
        self._memory: Store | None = None  # there while the spool is open
        self._lock = threading.Lock()
        self._clock: Clock = clock
        self._max_bytes = int(megabytes * 1_000_000)
        self._dropped = 0  # besides what the two stores count
        self._left_in_memory = 0  # when it was closed
        self._has_unproven = False  # in the file: a successor may not find what is there
        self._broker_has_them = False  # still, the messages of what is in memory

    def open(self) -> None:
        """Take the directory for this process, and open what is in it.

        Raises ``UnavailableError`` when another process has it, or it cannot be written to; nothing
        is left open then.
        """
        with self._lock:
            if self._directory_lock is not None:
                with suppress(NoLocksError):  # may come back; the disk tells, and waits for it
                    self._directory_lock.take()
            try:
                self._memory = Store.open(":memory:")
                if self._disk is not None:
                    self._disk.open()
                else:
                    log.info("no state_dir is set: unsent metrics are kept in memory only")
            except BaseException:
                self._close()
                raise

    # -- the camera's side ---------------------------------------------------------------------

    def append(self, metrics: tuple[Metric, ...], *, checkpoint: bytes | None = None) -> bool:
        """Keep a batch until it is acknowledged, and the checkpoint that belongs to it.

        Both are written in one transaction, and nothing if there are no metrics. A checkpoint is
        not kept in memory. Return whether both are on disk, and all that was appended before.
        """
        kept = encodable(metrics)
        with self._lock:
            if len(kept) < len(metrics):
                self._dropped += len(metrics) - len(kept)
                log.warning("dropped %d metrics no sink could take", len(metrics) - len(kept))
            if not kept:
                return False
            if self._memory is None:
                self._dropped += len(kept)
                log.error("dropped %d metrics that came while the spool was not open", len(kept))
                return False
            return self._append(kept, checkpoint, memory=self._memory)

    def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint on disk, of this or a former process; None without one."""
        with self._lock:
            if self._memory is None or self._disk is None:
                return None
            return self._disk.checkpoint()

    def take_dropped(self) -> int:
        """Return how many metrics were lost since the last call, for whatever reason."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            for store in (self._disk, self._memory):
                if store is not None:
                    dropped += store.take_dropped()
            return dropped

    def take_interrupted(self) -> int:
        """Return how many batches a former process was sending when it died; each only once."""
        with self._lock:
            return self._disk.take_interrupted() if self._disk is not None else 0

    # -- the publisher's side ------------------------------------------------------------------

    def oldest(self) -> Batch | None:
        """Return the batch to send next; it stays until it is acknowledged or replaced."""
        with self._lock:
            if self._memory is None:
                return None
            if self._disk is not None and (found := self._disk.oldest()) is not None:
                number, metrics = found
                return Batch(BatchId("disk", number), metrics)
            if (found := self._memory.oldest()) is not None:
                number, metrics = found
                return Batch(BatchId("memory", number), metrics)
            return None

    def acknowledge(self, batch_id: BatchId) -> None:
        """Forget the batch being sent: it has arrived, or never will."""
        self.replace(batch_id, ())

    def replace(self, batch_id: BatchId, rest: tuple[Metric, ...]) -> None:
        """End the sending of a batch: only ``rest`` of it has to be sent again, if anything."""
        with self._lock:
            if self._memory is None:
                return
            if batch_id.store == "memory":
                self._memory.replace(batch_id.number, rest)
            elif self._disk is not None:
                self._disk.replace(batch_id.number, rest)

    def oldest_seconds(self) -> float:
        """Return how long ago the oldest batch was appended; 0 without one."""
        with self._lock:
            appended = (
                store.oldest_at() for store in (self._disk, self._memory) if store is not None
            )
            oldest = min((at for at in appended if at is not None), default=None)
        return 0.0 if oldest is None else max(0.0, self._clock.wall() - oldest)

    def __len__(self) -> int:
        """Return how many metrics are kept. Also known after ``close``."""
        with self._locked_soon():
            in_memory = self._left_in_memory if self._memory is None else self._memory.metrics
            return in_memory + (self._disk.metrics if self._disk is not None else 0)

    @property
    def unsafe(self) -> int:
        """How many metrics end with the process, not being on disk. Also known after ``close``."""
        with self._locked_soon():
            in_memory = self._left_in_memory if self._memory is None else self._memory.metrics
            if self._disk is None or not self._disk.is_lost:
                return in_memory
            return in_memory + self._disk.metrics

    @property
    def is_all_safe(self) -> bool:
        """Whether all that was appended is acknowledged, or on disk with its checkpoint."""
        with self._locked_soon():
            if self._memory is None or self._memory.metrics:
                return False
            return self._disk is None or not self._has_unproven or not self._disk.metrics

    @property
    def sent_again(self) -> int:
        """How many metrics that were sent a successor sends again. Also known after ``close``."""
        with self._locked_soon():
            return self._disk.sent_again if self._disk is not None else 0

    @property
    def is_unread(self) -> bool:
        """Whether nobody knows what is in the ``state_dir``. Also known after ``close``."""
        with self._locked_soon():
            return self._disk is not None and self._disk.is_unread

    def close(self) -> None:
        """Let another process have the directory. What is on disk stays there.

        What is in memory because the disk refused it is written there if it works again; not if
        it came with a checkpoint, since the broker will send its messages again.

        Calling it before ``open``, or again, does nothing; so it does while the disk hangs.
        """
        with self._locked_soon(seconds=_CLOSE_SECONDS) as is_locked:
            if is_locked:
                self._close()
            else:
                log.error("the spool is left as it is: its disk hangs")

    @contextmanager
    def _locked_soon(self, *, seconds: float = _LOOK_SECONDS) -> Iterator[bool]:
        """Take the lock, unless it takes too long: whoever has it may wait for the disk for ever.

        What is kept may be counted without it: it is off by a batch at most.
        """
        is_locked = self._lock.acquire(timeout=seconds)
        try:
            yield is_locked
        finally:
            if is_locked:
                self._lock.release()

    # -- under the lock ------------------------------------------------------------------------

    def _append(
        self, metrics: tuple[Metric, ...], checkpoint: bytes | None, *, memory: Store
    ) -> bool:
        """Append to the disk, or to ``memory`` if it refuses; then keep both within bounds."""
        at = self._clock.wall()
        if self._disk is not None and self._disk.append(
            metrics, at=at, checkpoint=checkpoint, memory=memory
        ):
            self._has_unproven = not self._disk.is_safe
        else:
            memory.append(metrics, at=at)
            self._broker_has_them = checkpoint is not None
        for store in (self._disk, memory):
            if store is not None:
                store.bound(max_bytes=self._max_bytes)
        return self._disk is not None and self._disk.is_safe and not memory.metrics

    def _close(self) -> None:
        if self._memory is not None:
            if self._disk is not None and self._memory.metrics and not self._broker_has_them:
                self._disk.take(self._memory)
            self._left_in_memory = self._memory.metrics
            self._dropped += self._memory.take_dropped()
            self._memory.close()
            self._memory = None
        if self._disk is not None:
            self._disk.close()
        if self._directory_lock is not None:
            self._directory_lock.release()
