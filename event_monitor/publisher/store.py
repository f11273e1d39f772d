"""Store: batches of metrics in one SQLite database. The spool's shelf; knows nothing of failures.

Any method may raise ``sqlite3.Error``; nothing is half done then.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from ..metrics import Metric

__all__ = ["Store"]

log = logging.getLogger(__name__)

_APPLICATION_ID = 0x45764D6F  # "EvMo" in the file's header: tells our files from others
_VERSION = 1
_COMPRESSION = 1  # of 9; metrics shrink tenfold even so, and it costs a few ms per batch
_BUSY_SECONDS = 0.2  # somebody may be looking into the file
_TOTALS = "SELECT coalesce(sum(metrics), 0), coalesce(sum(length(data)), 0) FROM batch"

_decoder = msgspec.msgpack.Decoder(tuple[Metric, ...])


class Store:
    """One table of batches, in the order they were appended. Not thread-safe.

    ``metrics`` and ``bytes`` say how much is kept; they stay readable after ``close``. Raises
    ``sqlite3.DatabaseError`` for a file that is damaged or not ours.
    """

    def __init__(self, path: str) -> None:
        self.metrics = 0
        self.bytes = 0
        self._unreadable = 0
        self._acknowledged = 0  # up to this id nothing is to be sent, even if it is still there
        # Autocommit: every statement below is a transaction of its own.
        self._db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
        )
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        run = self._db.execute
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        found = (
            run("PRAGMA application_id").fetchone()[0],
            run("PRAGMA user_version").fetchone()[0],
        )
        if tables and found != (_APPLICATION_ID, _VERSION):
            raise sqlite3.DatabaseError(f"not a spool of this version: {found}")
        damage = run("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")  # one fsync per batch; an acknowledgement must last
        if not tables:
            # AUTOINCREMENT: an id is never used again, so a late acknowledgement hits nothing else.
            self._db.executescript(
                f"""
                BEGIN;
                PRAGMA application_id = {_APPLICATION_ID};
                PRAGMA user_version = {_VERSION};
                CREATE TABLE batch (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    appended_at REAL NOT NULL,
                    metrics INTEGER NOT NULL,
                    data BLOB NOT NULL,
                    handed_out INTEGER NOT NULL DEFAULT 0
                );
                CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), data BLOB NOT NULL);
                COMMIT;
                """
            )
        self.metrics, self.bytes = run(_TOTALS).fetchone()

    def append(
        self, metrics: tuple[Metric, ...], *, now: float, checkpoint: bytes | None = None
    ) -> None:
        """Add a batch behind all others, and with it the checkpoint, in one transaction.

        ``now`` is wall-clock seconds since the epoch.
        """
        data = _pack(metrics)
        with self._transaction():
            self._db.execute(
                "INSERT INTO batch (appended_at, metrics, data) VALUES (?, ?, ?)",
                (now, len(metrics), data),
            )
            if checkpoint is not None:
                self._db.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (checkpoint,))
        self.metrics += len(metrics)
        self.bytes += len(data)

    def checkpoint(self) -> bytes | None:
        """The checkpoint that came with the latest batch that had one."""
        row = self._db.execute("SELECT data FROM checkpoint").fetchone()
        return bytes(row[0]) if row else None

    def interrupted(self) -> tuple[int, int] | None:
        """Id and number of metrics of a batch that was handed out, and nothing heard of since."""
        row = self._db.execute(
            "SELECT id, metrics FROM batch WHERE handed_out ORDER BY id LIMIT 1"
        ).fetchone()
        return (row[0], row[1]) if row else None

    def oldest(self) -> tuple[int, tuple[Metric, ...]] | None:
        """Id and metrics of the first batch. One that cannot be read is removed and counted."""
        while True:
            row = self._db.execute(
                "SELECT id, metrics, data FROM batch WHERE id > ? ORDER BY id LIMIT 1",
                (self._acknowledged,),
            ).fetchone()
            if row is None:
                return None
            try:
                metrics = _decoder.decode(zlib.decompress(row[2]))
                with suppress(sqlite3.OperationalError):  # a full disk must not stop the sending
                    self._db.execute("UPDATE batch SET handed_out = 1 WHERE id = ?", (row[0],))
                return row[0], metrics
            except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("dropped %d metrics that cannot be read back: %s", row[1], error)
                self._unreadable += row[1]
                self.acknowledge(row[0])

    def take_unreadable(self) -> int:
        """How many metrics were lost in that way since the last call."""
        unreadable, self._unreadable = self._unreadable, 0
        return unreadable

    def replace(self, batch_id: int, rest: tuple[Metric, ...]) -> None:
        """Keep only ``rest`` of a batch, in its place."""
        data = _pack(rest)
        before = self._size(batch_id)
        if before is not None:
            self._db.execute(
                "UPDATE batch SET metrics = ?, data = ?, handed_out = 0 WHERE id = ?",
                (len(rest), data, batch_id),
            )
            self.metrics += len(rest) - before[0]
            self.bytes += len(data) - before[1]

    def acknowledge(self, batch_id: int) -> None:
        """Forget a batch. It is not handed out again even if the disk refuses to delete it."""
        self._acknowledged = max(self._acknowledged, batch_id)
        self._delete("id <= ?", (self._acknowledged,))

    def drop_before(self, appended_at: float, *, keep: int | None) -> int:
        """Drop what was appended before that time, but for batch ``keep``; how many metrics."""
        return self._delete("appended_at < ? AND id IS NOT ?", (appended_at, keep))

    def drop_oldest(self, *, keep: int | None) -> int:
        """Drop the first batch, but neither ``keep`` nor the last one; how many metrics."""
        return self._delete(
            "id = (SELECT min(id) FROM batch WHERE id IS NOT ?) AND id < "
            "(SELECT max(id) FROM batch)",
            (keep,),
        )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _size(self, batch_id: int) -> tuple[int, int] | None:
        row = self._db.execute(
            "SELECT metrics, length(data) FROM batch WHERE id = ?", (batch_id,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def _delete(self, where: str, values: tuple[float | None, ...]) -> int:
        # Two statements, since RETURNING needs SQLite 3.35; the spool's lock makes them one.
        metrics, size = self._db.execute(f"{_TOTALS} WHERE {where}", values).fetchone()
        self._db.execute(f"DELETE FROM batch WHERE {where}", values)  # noqa: S608  only our own literals
        self.metrics -= metrics
        self.bytes -= size
        return int(metrics)


def _pack(metrics: tuple[Metric, ...]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(metrics), _COMPRESSION)
