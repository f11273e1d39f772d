"""Store: batches of metrics, and one checkpoint, in one SQLite database.

It lets every error through: what to do about a full or damaged disk is decided in ``disk.py``.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import msgspec

from ..metrics import Metric
from .schema import COUNT, identity_of, newest_number, prepare, require_whole
from .sending_note import Noted, SendingNote

__all__ = ["Store"]

log = logging.getLogger(__name__)

_COMPRESSION = 1  # of 9; metrics shrink tenfold even so, and it costs a few ms per batch
_BELOW_ALL_NUMBERS = -(2**63)
_IN_MEMORY = ":memory:"
_BUSY_SECONDS = 0.2  # somebody may be looking into the file
_ABOVE_ALL_NUMBERS = 2**63 - 1
_TOTALS = f"SELECT coalesce(sum({COUNT}), 0), coalesce(sum(length(data)), 0) FROM batch"  # noqa: S608

_decoder = msgspec.msgpack.Decoder(tuple[Metric, ...])


class Store:
    """Batches in the order they were appended, each with a number. Made by ``open``.

    Not thread-safe. Any method may raise ``sqlite3.Error``; then it has changed nothing.
    ``metrics`` and ``bytes`` are the totals kept, also known after ``close``.

    The batch that ``oldest`` returned last is handed out until it is replaced. Until then it is
    neither dropped nor moved, and ``replace`` ignores all others. The file records it, so that the
    process after a crash knows which batch may have arrived. A note beside the file does so where a
    full disk refuses that, and says which were acknowledged.

    ``missing`` is how many metrics were appended, and neither acknowledged nor found at ``open``.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.metrics = 0
        self.bytes = 0
        self.missing = 0
        self._database = database
        self._note: SendingNote | None = None
        self._identity = b""
        self._dropped = 0
        self._handed_out: int | None = None
        # Nothing up to this number is sent, even if still there. A damaged one may be below 1.
        self._acknowledged = _BELOW_ALL_NUMBERS
        self._undeleted = 0  # metrics in what is up to there, and still there
        self._noted = Noted()
        # A successor sends it again, and what comes after it: its rest is in another store.
        self._withdrawn = _ABOVE_ALL_NUMBERS

    @classmethod
    def open(cls, path: str) -> Store:
        """Open the database, or make it; ``:memory:`` makes one that is not on disk.

        Raises ``sqlite3.OperationalError`` when the disk fails, and another
        ``sqlite3.DatabaseError`` for a file that is damaged or not ours.
        """
        # Autocommit: every statement below is a transaction of its own.
        database = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
        )
        try:
            is_new = prepare(database)
            store = cls(database)
            store.metrics, store.bytes = database.execute(_TOTALS).fetchone()
            if path != _IN_MEMORY:
                store._go_on_from_note(SendingNote(path), is_new=is_new)
        except BaseException:
            database.close()
            raise
        return store

    def append(
        self, metrics: tuple[Metric, ...], *, at: float, checkpoint: bytes | None = None
    ) -> None:
        """Add a batch after all others, and the checkpoint with it, in one transaction.

        ``at`` is when it was made, in wall-clock seconds since the epoch.
        """
        data = _pack(metrics)
        with self._transaction():
            inserted = self._database.execute(
                "INSERT INTO batch (appended_at, metrics, data) VALUES (?, ?, ?)",
                (at, len(metrics), data),
            )
            if checkpoint is not None:
                self.keep_checkpoint(checkpoint)
        self.metrics += len(metrics)
        self.bytes += len(data)
        self._write_note(newest=inserted.lastrowid or 0)

    def keep_checkpoint(self, checkpoint: bytes) -> None:
        """Write a checkpoint without a batch, in the place of the one before."""
        self._database.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (checkpoint,))

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint that came with the latest batch that had one."""
        row = self._database.execute("SELECT CAST(data AS BLOB) FROM checkpoint").fetchone()
        return bytes(row[0]) if row else None

    def oldest(self) -> tuple[int, tuple[Metric, ...]] | None:
        """Hand out the oldest batch: return its number and metrics, or None if there is none."""
        self._handed_out = None
        found = self._oldest()
        if found is not None:
            self._handed_out = found[0]
            self._write_note(handed_out=min(self._handed_out, self._withdrawn))
            try:
                self._database.execute(
                    "UPDATE batch SET handed_out = 1 WHERE id = ?", (self._handed_out,)
                )
            except sqlite3.OperationalError:  # a full disk must not stop the sending
                self._sync_note()
        return found

    def replace(self, number: int, rest: tuple[Metric, ...]) -> None:
        """Keep only ``rest`` of the batch that is handed out, in its place; none deletes it.

        A batch to be deleted is not handed out again, even if the disk refuses to delete it.
        """
        if number != self._handed_out:
            return
        if rest:
            self._update(number, rest)
            self._handed_out = None
            self._write_note(handed_out=_BELOW_ALL_NUMBERS)
        else:
            self._handed_out = None
            self._delete_through(number)

    def withdraw(self, number: int) -> None:
        """End the sending of a batch whose rest is kept elsewhere, by this process only.

        If the disk refuses to delete it, a successor sends all of it again.
        """
        if number != self._handed_out:
            return
        self._handed_out = None
        self._withdrawn = min(self._withdrawn, number)
        self._delete_through(number)

    def delete_acknowledged(self) -> None:
        """Delete what is not handed out any more and is still there: the disk had refused it."""
        self._delete_through(self._acknowledged)

    def oldest_at(self) -> float | None:
        """Return when the oldest batch was appended; None without one. Wall-clock seconds."""
        found: float | None = self._database.execute(
            "SELECT min(appended_at) FROM batch WHERE id > ? AND typeof(appended_at) = 'real'",
            (self._acknowledged,),
        ).fetchone()[0]
        return found

    def move_to(self, other: Store) -> None:
        """Append every batch to another store and delete it here.

        Does nothing while a batch is handed out.
        """
        while self._handed_out is None and (found := self._oldest()) is not None:
            number, metrics = found
            other.append(metrics, at=self.oldest_at() or 0.0)
            self._delete_through(number)

    def settle_interrupted(self, *, drop: bool) -> int | None:
        """Find the batch that a former process was sending when it died; drop it if asked to.

        Return the number of its metrics, or None if there is no such batch.
        """
        row = self._database.execute(
            f"SELECT id, {COUNT} FROM batch WHERE (handed_out OR id = ?) AND id > ? "  # noqa: S608
            "ORDER BY id LIMIT 1",
            (self._noted.handed_out, self._acknowledged),
        ).fetchone()
        if row is None:
            return None
        number, metrics = row
        if drop:
            self._dropped += metrics
            with suppress(sqlite3.OperationalError):  # it is not sent again all the same
                self._delete_through(number)
        return int(metrics)

    def bound(self, *, max_bytes: int) -> None:
        """Drop the oldest while there is too much; the newest is never dropped.

        Age is no reason: the wall clock may be stepped by years. What is too old for the sink is
        for the sink to refuse.
        """
        dropped = 0
        try:
            while self.bytes > max_bytes and (more := self._delete_oldest()):
                dropped += more
        finally:
            if dropped:
                self._dropped += dropped
                self._write_note()
                log.error("dropped the oldest %d unsent metrics: too many", dropped)

    def note_dropped(self, metrics: int) -> None:
        """Count metrics as dropped that were in the file, and cannot be found there."""
        self._dropped += metrics

    def take_dropped(self) -> int:
        """Return how many metrics were dropped, for whatever reason, since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def copy_to(self, path: str) -> None:
        """Write all that is in it, numbers and checkpoint too, into a new file at ``path``.

        Works as long as the database is open, though its own file may be gone. Raises
        ``sqlite3.DatabaseError`` if it was damaged; a part of the copy may be left then.
        """
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as copy:
            self._database.backup(copy)
            require_whole(copy)

    def succeed(self, former: Store) -> None:
        """Go on for a store of which this one has opened a copy; the former may be closed.

        The same batch is handed out. What the copy lacks counts as dropped.
        """
        self._handed_out = former._handed_out
        self._acknowledged = former._acknowledged
        self._undeleted = former._undeleted
        self._withdrawn = former._withdrawn
        self._dropped += former.take_dropped() + max(0, former.metrics - self.metrics)
        noted = former._noted
        self._write_note(
            handed_out=noted.handed_out, acknowledged=noted.acknowledged, newest=noted.newest
        )

    def close(self) -> None:
        """Close the database."""
        self._database.close()
        if self._note is not None:
            self._note.close()

    # -- the note ------------------------------------------------------------------------------

    def _go_on_from_note(self, note: SendingNote, *, is_new: bool) -> None:
        """Believe the note of a former process, if it is one of this database."""
        identity = identity_of(self._database)
        if identity is None:
            return
        newest = newest_number(self._database)
        found = note.read()
        if found is not None:
            noted_for, noted = found
            if noted_for == identity:
                self._forget_acknowledged(min(noted.acknowledged, newest))  # new ones are above
                self._noted = noted
                self.missing = self._missing_since(noted, newest)
            elif is_new:
                self.missing = noted.unsent
        self._note, self._identity = note, identity
        self._write_note(acknowledged=self._acknowledged, newest=newest)

    def _forget_acknowledged(self, number: int) -> None:
        """Delete what a former process could not."""
        if number == _BELOW_ALL_NUMBERS:
            return
        with suppress(sqlite3.OperationalError):  # it stays full; it is not sent again all the same
            self._delete_through(number)

    def _missing_since(self, noted: Noted, newest: int) -> int:
        """Return how many metrics the database lacks: its log was cut off, or it is an old copy."""
        if newest >= noted.newest:
            return 0
        fewest = 1 if noted.newest > noted.acknowledged else 0
        return max(fewest, noted.unsent - (self.metrics - self._undeleted))

    def _write_note(self, **changes: int) -> None:
        """Write the note with these of its numbers, and how many metrics are unsent."""
        if self._note is not None:
            unsent = max(0, self.metrics - self._undeleted)
            self._noted = dataclasses.replace(self._noted, unsent=unsent, **changes)
            self._note.write(self._identity, self._noted)

    def _sync_note(self) -> None:
        if self._note is not None:
            self._note.sync()

    # -- the batches ---------------------------------------------------------------------------

    def _oldest(self) -> tuple[int, tuple[Metric, ...]] | None:
        """Return the oldest batch. One that cannot be read is deleted, and counted as dropped."""
        while True:
            row = self._database.execute(
                f"SELECT id, {COUNT}, CAST(data AS BLOB) FROM batch "  # noqa: S608
                "WHERE id > ? ORDER BY id LIMIT 1",
                (self._acknowledged,),
            ).fetchone()
            if row is None:
                return None
            number, metrics, data = row
            try:
                return number, _decoder.decode(zlib.decompress(data))
            except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("dropped %d metrics that cannot be read back: %s", metrics, error)
                self._dropped += metrics
                self._delete_through(number)

    def _update(self, number: int, rest: tuple[Metric, ...]) -> None:
        data = _pack(rest)
        metrics, size = self._database.execute(f"{_TOTALS} WHERE id = ?", (number,)).fetchone()
        self._database.execute(
            "UPDATE batch SET metrics = ?, data = ?, handed_out = 0 WHERE id = ?",
            (len(rest), data, number),
        )
        self.metrics += len(rest) - metrics
        self.bytes += len(data) - size

    def _delete_through(self, number: int) -> None:
        """Delete this batch, and those before it whose deletion the disk refused."""
        self._acknowledged = max(self._acknowledged, number)
        values = (self._acknowledged,)
        self._undeleted = self._database.execute(f"{_TOTALS} WHERE id <= ?", values).fetchone()[0]
        withdrawn = self._withdrawn
        self._write_note(
            handed_out=withdrawn if withdrawn < _ABOVE_ALL_NUMBERS else _BELOW_ALL_NUMBERS,
            acknowledged=min(self._acknowledged, withdrawn - 1),
        )
        try:
            self._delete("id <= ?", values)
        except sqlite3.OperationalError:
            self._sync_note()
            raise
        self._undeleted, self._withdrawn = 0, _ABOVE_ALL_NUMBERS
        self._write_note(handed_out=_BELOW_ALL_NUMBERS, acknowledged=self._acknowledged)

    def _delete_oldest(self) -> int:
        """Delete the oldest batch, but neither that handed out nor the newest."""
        return self._delete(
            "id = (SELECT min(id) FROM batch WHERE id IS NOT ?) AND id < "
            "(SELECT max(id) FROM batch)",
            (self._handed_out,),
        )

    def _delete(self, where: str, values: tuple[float | None, ...]) -> int:
        """Delete those batches; return how many metrics were in them."""
        # Two statements, since RETURNING needs SQLite 3.35; the spool's lock makes them one.
        metrics, size = self._database.execute(f"{_TOTALS} WHERE {where}", values).fetchone()
        self._database.execute(f"DELETE FROM batch WHERE {where}", values)  # noqa: S608  only our own literals
        self.metrics -= metrics
        self.bytes -= size
        return int(metrics)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise


def _pack(metrics: tuple[Metric, ...]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(metrics), _COMPRESSION)
