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
_TOTALS = f"SELECT coalesce(sum({COUNT}), 0), coalesce(sum(length(data)), 0) FROM batch"  # noqa: S608

_decoder = msgspec.msgpack.Decoder(tuple[Metric, ...])


@dataclasses.dataclass(frozen=True, slots=True)
class _Rest:
    """What is left of a batch, and how many metrics more the database has of it."""

    number: int
    metrics: tuple[Metric, ...]
    sent: int


class Store:
    """Batches in the order they were appended, each with a number. Made by ``open``.

    Not thread-safe. Any method but ``settle`` may raise ``sqlite3.Error``; then it has changed
    nothing. ``metrics`` and ``bytes`` are the totals in the database, ``unsent`` is how many of the
    metrics are not acknowledged; all are also known after ``close``.

    The batch that ``oldest`` returned last is handed out until it is settled. Until then it is
    neither dropped nor moved, and ``settle`` ignores all others. The file records it, so that the
    process after a crash knows which batch may have arrived. A note beside the file does so where a
    full disk refuses that, and says which were acknowledged.

    What the disk refuses to change in the file is known here nevertheless, and ``catch_up`` tries
    it again: no batch is handed out with more than is left of it.

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
        self._handed_out_metrics = 0  # in the database
        # Nothing up to this number is sent, even if still there. A damaged one may be below 1.
        self._acknowledged = _BELOW_ALL_NUMBERS
        self._undeleted = 0  # metrics in what is up to there, and still there
        self._rest: _Rest | None = None  # what the disk refused to write in place of its batch
        self._noted = Noted()
        self._is_noted = False  # whether a successor reads that

    @property
    def unsent(self) -> int:
        """How many metrics are to be sent yet."""
        sent = self._rest.sent if self._rest is not None else 0
        return max(0, self.metrics - self._undeleted - sent)

    @property
    def sent_again(self) -> int:
        """How many metrics a successor sends again, as neither file nor note says they were."""
        sent = self._rest.sent if self._rest is not None else 0
        return 0 if self._is_noted else self._undeleted + sent

    @property
    def identity(self) -> bytes:
        """What tells this database, and copies of it, from all others; empty if that is unknown."""
        return self._identity

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
        if found is None:
            return None
        self._handed_out, in_file, metrics = found
        self._handed_out_metrics = in_file
        self._write_note(handed_out=self._handed_out)
        try:
            self._database.execute(
                "UPDATE batch SET handed_out = 1 WHERE id = ?", (self._handed_out,)
            )
        except sqlite3.OperationalError:  # a full disk must not stop the sending
            self._sync_note()
        return self._handed_out, metrics

    def settle(self, number: int, rest: tuple[Metric, ...]) -> None:
        """End the sending of the batch that is handed out: only ``rest`` of it is to be sent yet.

        ``catch_up`` writes that into the database.
        """
        if number != self._handed_out:
            return
        self._handed_out = None
        in_file = self._handed_out_metrics
        if rest:
            self._rest = _Rest(number, rest, sent=max(0, in_file - len(rest)))
        else:
            self._rest = None  # it was of this batch, if of any: the oldest is handed out
            self._acknowledged = max(self._acknowledged, number)
            self._undeleted += in_file
        # Of a batch a part of which was sent, a successor must know: it finds the whole.
        is_partly_sent = self._rest is not None and self._rest.sent
        self._write_note(
            handed_out=number if is_partly_sent else _BELOW_ALL_NUMBERS,
            acknowledged=self._acknowledged,
        )

    def replace(self, number: int, rest: tuple[Metric, ...]) -> None:
        """Keep only ``rest`` of the batch that is handed out, in its place; none deletes it."""
        self.settle(number, rest)
        self.catch_up()

    def catch_up(self) -> None:
        """Write into the database what was settled, and is not there yet."""
        try:
            if self._rest is not None:
                self._update(self._rest)
                self._rest = None
            if self._undeleted:
                self._delete_acknowledged()
        except sqlite3.OperationalError:
            self._sync_note()
            raise
        if self._handed_out is None:
            self._write_note(handed_out=_BELOW_ALL_NUMBERS, acknowledged=self._acknowledged)

    @property
    def is_behind(self) -> bool:
        """Whether there is anything to catch up on."""
        return self._rest is not None or bool(self._undeleted)

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
            number, _, metrics = found
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
        if self._undeleted and self.bytes > max_bytes:
            self._delete_acknowledged()
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
        """Go on for a store of which this one has opened the file, or a copy; it may be closed.

        The same batch is handed out. What is lacking counts as dropped.
        """
        self._dropped += former.take_dropped()
        if former.identity not in (b"", self.identity):  # its numbers are those of other batches
            self._dropped += former.unsent
            return
        self._handed_out = former._handed_out
        self._handed_out_metrics = former._handed_out_metrics
        self._acknowledged = former._acknowledged
        self._rest = former._rest
        lacking = max(0, former.metrics - self.metrics)
        self._undeleted = max(0, former._undeleted - lacking)  # what was sent is not lost
        self._dropped += max(0, lacking - former._undeleted)
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
            self._is_noted = self._note.write(self._identity, self._noted)

    def _sync_note(self) -> None:
        if self._note is not None:
            self._note.sync()

    # -- the batches ---------------------------------------------------------------------------

    def _oldest(self) -> tuple[int, int, tuple[Metric, ...]] | None:
        """Return the oldest batch: its number, its metrics in the database, and what is left of it.

        One that cannot be read is deleted, and counted as dropped.
        """
        while True:
            row = self._database.execute(
                f"SELECT id, {COUNT}, CAST(data AS BLOB) FROM batch "  # noqa: S608
                "WHERE id > ? ORDER BY id LIMIT 1",
                (self._acknowledged,),
            ).fetchone()
            if row is None:
                return None
            number, metrics, data = row
            if self._rest is not None and self._rest.number == number:
                return number, metrics, self._rest.metrics
            try:
                return number, metrics, _decoder.decode(zlib.decompress(data))
            except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("dropped %d metrics that cannot be read back: %s", metrics, error)
                self._dropped += metrics
                self._delete_through(number)

    def _update(self, rest: _Rest) -> None:
        data = _pack(rest.metrics)
        values = (rest.number,)
        metrics, size = self._database.execute(f"{_TOTALS} WHERE id = ?", values).fetchone()
        is_handed_out = rest.number == self._handed_out  # once more
        self._database.execute(
            "UPDATE batch SET metrics = ?, data = ?, handed_out = ? WHERE id = ?",
            (len(rest.metrics), data, is_handed_out, rest.number),
        )
        self.metrics += len(rest.metrics) - metrics
        self.bytes += len(data) - size
        if is_handed_out:
            self._handed_out_metrics = len(rest.metrics)

    def _delete_through(self, number: int) -> None:
        """Delete this batch, and those before it whose deletion the disk refused."""
        self._acknowledged = max(self._acknowledged, number)
        values = (self._acknowledged,)
        self._undeleted = self._database.execute(f"{_TOTALS} WHERE id <= ?", values).fetchone()[0]
        self._write_note(acknowledged=self._acknowledged)
        self._delete_acknowledged()

    def _delete_acknowledged(self) -> None:
        self._delete("id <= ?", (self._acknowledged,))
        self._undeleted = 0

    def _delete_oldest(self) -> int:
        """Delete the oldest batch, but neither that handed out nor the newest."""
        if self._rest is not None and self._rest.number != self._handed_out:
            self._update(self._rest)  # it may be the oldest: what was sent of it is not dropped
            self._rest = None
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
