"""File watch: whether the files of an open database are still those that a successor will find.

SQLite holds them open, and writes on into a file that was deleted or replaced without a word.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .directory_lock import WITHOUT_LOCKS, NoLocksError

__all__ = ["FILES", "FileWatch", "make_file"]

FILES = ("", "-wal", "-shm")  # of one database, by what follows its path
# In WAL mode the first changes at a checkpoint only, the second when the log begins anew: both
# only while we write ourselves. The third is memory that is shared; to open it would break locks.
_HEADERS = {"": 100, "-wal": 32}  # bytes, of the file formats
# SQLite takes a file with more there for one of a later version: it refuses to write the one, to
# read the other, and says so as if the disk had failed.
_SQLITE = b"SQLite format 3\0"
_FORMATS = ((slice(18, 19), 2), (slice(19, 20), 2), (slice(44, 48), 4))  # the highest there are
_OPENED_BY_SQLITE = (*FILES, "-journal")  # the last as a crash may have left it, before WAL mode
_OUR_BYTE = 2**40  # SQLite locks some hundred bytes from 2**30 on
# Not to wait at a pipe that was put in a file's place since.
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class _Look:
    """One file as it was found: which one it is, how long it is, and how it begins."""

    device: int
    inode: int
    size: int
    head: bytes = b""


class FileWatch:
    """The files of one database, compared with what they were after our own last use of them.

    Make it before the database is opened, and close it after that is closed: to close any
    descriptor of a file drops all locks that this process has on it. It makes the file if there
    is none; nobody else may read it. Not thread-safe. Raises ``OSError``, also where one of the
    files is something else: SQLite would follow a link, and wait for ever at a pipe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        for suffix in _OPENED_BY_SQLITE:
            _require_file(Path(f"{path}{suffix}"))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o600)
        try:
            with suppress(OSError):  # it was made by another user, or on a disk without modes
                os.fchmod(self._descriptor, 0o600)
            self._unseen: set[str] = set()  # at the last look, which failed
            self._seen: dict[str, _Look | None] = {suffix: self._look(suffix) for suffix in FILES}
        except BaseException:
            self.close()
            raise

    @property
    def damage(self) -> str | None:
        """What is wrong with the files that SQLite would not tell, such as "it is empty"."""
        database, log = self._seen[""], self._seen["-wal"]
        if database is None:
            return None
        if not database.size:  # it would delete the log, and all that is in it
            return "it is empty, and its log is not" if log is not None and log.size > 0 else None
        if database.head.startswith(_SQLITE) and any(
            int.from_bytes(database.head[place], "big") > highest for place, highest in _FORMATS
        ):
            return "its header names a format that does not exist"
        return None

    def change(self, *, after_use: bool) -> str | None:
        """Return what was done to the files behind our back, such as "is gone"; None if nothing.

        ``after_use``: we have used the database since the last call, so that it may have grown.
        """
        for suffix, before in self._seen.items():
            try:
                now = self._look(suffix)
            except OSError:  # such as a lack of descriptors: the next look may tell
                self._unseen.add(suffix)
                continue
            self._seen[suffix] = now
            may_differ = after_use or suffix in self._unseen
            self._unseen.discard(suffix)
            if before is None:
                continue
            file = f"{self._path}{suffix}"
            if now is None:
                return f"{file} is gone"
            if (now.device, now.inode) != (before.device, before.inode):
                return f"{file} was replaced"
            if suffix in _HEADERS and now.size < before.size:
                return f"{file} was truncated"
            if now.head != before.head and not may_differ:
                return f"{file} was overwritten"
        return None

    @property
    def is_stale(self) -> bool:
        """Whether what we hold open is not there any more for the server of the file system.

        What is at the path may be the same all the same, as after that server has restarted.
        """
        try:
            os.fstat(self._descriptor)
        except OSError as error:
            return error.errno == errno.ESTALE
        return False

    def require_locks(self) -> None:
        """Raise ``NoLocksError`` where the file system gives no locks.

        SQLite would take that for a lock of somebody else, and wait ten seconds at each use. The
        byte that is locked here is none that it locks.
        """
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _OUR_BYTE)
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _OUR_BYTE)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                raise NoLocksError(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # a network file system may say here that it is away
            os.close(self._descriptor)

    def _look(self, suffix: str) -> _Look | None:
        """Return how the file is now; None if there is none. Raises ``OSError``."""
        file = Path(f"{self._path}{suffix}")
        try:
            found = file.stat()
            head = self._head(file, suffix)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _Look(found.st_dev, found.st_ino, found.st_size, head)

    def _head(self, file: Path, suffix: str) -> bytes:
        if suffix == "":
            return os.pread(self._descriptor, _HEADERS[suffix], 0)
        if suffix in _HEADERS:
            with os.fdopen(os.open(file, _READ_FLAGS), "rb", buffering=0) as opened:
                return opened.read(_HEADERS[suffix]) or b""
        return b""


def make_file(path: Path) -> None:
    """Make an empty file that only this user may read, in place of what is there."""
    path.unlink(missing_ok=True)
    # Nobody else can have put a link there meanwhile.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _require_file(path: Path) -> None:
    """Raise ``OSError`` if there is something that is no file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is no file")
