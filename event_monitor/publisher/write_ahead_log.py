"""Write-ahead log: what SQLite leaves out of a damaged one after a crash, without a word.

It reads its log up to the first frame that is damaged, and goes on as if the rest, transactions
that were committed, had never been. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .file_watch import make_file
from .schema import batches_in

__all__ = ["recover"]

_HEADER = struct.Struct(">6I 2I")  # magic, version, page size, sequence, two salts; a checksum
_FRAME = struct.Struct(">2I 2I 2I")  # page, pages after a commit, else 0; two salts; a checksum
_CHECKED_BYTES = {_HEADER: 24, _FRAME: 8}  # of each; of a frame its page, too
_PAGE_SIZE = slice(16, 18)  # of the database's header
_VERSIONS = slice(18, 20)  # the same: which versions may write and read it; 1 has no log
_PAGE_BYTES = (512, 65_536)  # the last is too big for its two bytes, where it is 1


@dataclass(frozen=True, slots=True)
class _Frame:
    """A page as a transaction wrote it. ``position`` is that of its bytes in the log.

    ``is_whole``: so are all before it.
    """

    page: int
    position: int
    is_commit: bool
    salts: tuple[int, int]
    is_whole: bool


def recover(path: Path, *, copy: Path) -> int | None:
    """Return None if SQLite will read all of the log of the database at ``path``.

    Otherwise write a ``copy`` of the database with all that is in the log, for a person; let SQLite
    write into the database what it reads of it, and end the log. Return how many metrics only the
    copy has; 1 at least. Raises ``sqlite3.Error`` and ``OSError``.
    """
    log = Path(f"{path}-wal")
    frames = _committed(path, log)
    if not frames or frames[-1].is_whole:
        return None
    make_file(copy)
    shutil.copyfile(path, copy)
    _write_pages(copy, log, frames)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = batches_in(path)
    return max(1, sum(metrics for batch, metrics in batches_in(copy).items() if batch not in kept))


def _committed(path: Path, log: Path) -> list[_Frame]:
    """Return the frames up to the last commit, as the log may be damaged anywhere.

    Frames of an earlier log, which this one has not overwritten yet, have other salts.
    """
    size = _page_bytes(path)
    if not size or not log.exists():
        return []
    frames: list[_Frame] = []
    with log.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return []
        magic, *_, salt, other_salt, check, other_check = _HEADER.unpack(header)
        order, checks = ">" if magic & 1 else "<", (check, other_check)
        salts: tuple[int, int] | None = (salt, other_salt)
        is_whole = _checksum(order, header[: _CHECKED_BYTES[_HEADER]]) == checks
        if not is_whole:
            salts = None
        while len(frame := file.read(_FRAME.size + size)) == _FRAME.size + size:
            page, pages, salt, other_salt, *found = _FRAME.unpack_from(frame)
            salts = salts or (salt, other_salt)
            if is_whole:
                checked = frame[: _CHECKED_BYTES[_FRAME]] + frame[_FRAME.size :]
                checks = _checksum(order, checked, checks)
                is_whole = checks == tuple(found) and salts == (salt, other_salt)
            position = file.tell() - size
            frames.append(_Frame(page, position, pages > 0, (salt, other_salt), is_whole))
    # One salt is enough: the other may be what is damaged.
    commits = (
        number
        for number, frame in enumerate(frames, start=1)
        if frame.is_commit and salts and (frame.salts[0] == salts[0] or frame.salts[1] == salts[1])
    )
    return frames[: max(commits, default=0)]


def _checksum(order: str, data: bytes, begin: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return SQLite's checksum of the data, which goes on from that of what comes before."""
    first, second = begin
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _page_bytes(path: Path) -> int:
    """Return how long a page is; 0 if the database is damaged there."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(_PAGE_SIZE.stop)[_PAGE_SIZE], "big")
    smallest, biggest = _PAGE_BYTES
    size = biggest if size == 1 else size
    return size if size >= smallest and not size & (size - 1) else 0


def _write_pages(path: Path, log: Path, frames: list[_Frame]) -> None:
    """Write the pages of these frames into a database, which has no log then."""
    size = _page_bytes(path)
    most = path.stat().st_size // size + len(frames)
    with log.open("rb") as source, path.open("r+b") as target:
        for frame in frames:
            if not 0 < frame.page <= most:  # damaged itself
                continue
            source.seek(frame.position)
            target.seek((frame.page - 1) * size)
            target.write(source.read(size))
        target.seek(_VERSIONS.start)
        target.write(b"\1\1")
