"""Directory lock: one process at a time uses a ``state_dir``, and only its user looks into it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import UnavailableError

__all__ = ["WITHOUT_LOCKS", "DirectoryLock", "NoLocksError"]

log = logging.getLogger(__name__)

# No links: where others may write, one could lead to a file that is ours and is none of theirs.
_LOCK_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
#: Errors that say of a file system that it gives no locks to anybody.
WITHOUT_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))
_OTHERS = stat.S_IRWXG | stat.S_IRWXO  # group and others
_NOTES = ("alive", "beat", "schedules", "worker-")
# How the names in it begin.
_OURS = ("spool.", "history.", *_NOTES, *(f".{name}" for name in _NOTES))


class NoLocksError(UnavailableError):
    """The file system gives no locks now, so that nobody knows who else uses its files."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"its file system gives no locks ({error.strerror}); NFS has a service for them, which "
            "may not run"
        )


class DirectoryLock:
    """A lock on a directory, from ``take`` to ``release`` or the end of the process.

    Not thread-safe. The lock is an ``flock`` on ``spool.lock``, which holds the owner's pid for a
    person to read; the kernel frees it however the process ends, so the file itself may stay.

    A directory that it makes has mode 0700, and so has one in which there is nothing but ours.
    Any other is left as it is, with a warning if others may look in: it may be anything. So is one
    of another user: in a container that runs as root, a mounted directory mostly is.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "spool.lock"
        self._file: BinaryIO | None = None
        self._warned = False

    def take(self) -> None:
        """Make the directory if need be, and lock it. Does nothing while it is locked.

        A lock whose file was deleted locks nothing, and is taken again. Raises
        ``UnavailableError`` when another process has it, or it cannot be written to; also where
        the directory cannot be looked into now, though the lock is kept then (``is_taken``).
        """
        try:
            if self._is_held():
                return
        except OSError as error:
            raise self._unusable(error) from error
        self.release()
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            # Unbuffered, so that a full disk fails when the pid is written, not when it is closed.
            file = os.fdopen(self._opened(), "ab+", buffering=0)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                file.close()
                raise NoLocksError(error) from error
            file.seek(0)
            pid = file.read(20).decode("ascii", "replace").strip()
            uid = _owner(Path("/proc", pid)) if pid.isdigit() else None
            if uid is None:  # it runs in another container, perhaps
                uid = os.fstat(file.fileno()).st_uid
            file.close()
            of_user = "" if uid == os.geteuid() else f" of {_user(uid)}"
            raise UnavailableError(
                f"state_dir {str(self._directory)!r} is in use by process "
                f"{pid or 'unknown'}{of_user}; stop it, or give this one a directory of its own, "
                "as a standby needs."
            ) from error
        self._file = file
        with suppress(OSError):  # on a full disk the pid is missing, but the lock holds
            os.fchmod(file.fileno(), 0o600)
            file.truncate(0)
            file.write(str(os.getpid()).encode())

    def release(self) -> None:
        """Let another process take the directory. Does nothing if it was not taken."""
        if self._file is not None:
            with suppress(OSError):  # a network file system may say here that it is away
                self._file.close()
            self._file = None

    @property
    def is_taken(self) -> bool:
        """Whether we hold a lock; ``take`` says whether it still is the directory's."""
        return self._file is not None

    def _is_held(self) -> bool:
        """Return whether we hold a lock on the file that another process would try to lock.

        Raises ``OSError`` where that cannot be known: no permission, or a network file system.
        """
        if self._file is None:
            return False
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), found)
        except OSError:  # ours is stale, as after the server of a network file system restarted
            return False

    def _opened(self) -> int:
        descriptor = os.open(self._path, _LOCK_FLAGS, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "its spool.lock is no file")
        return descriptor

    def _close_to_others(self) -> None:
        found = self._directory.stat()
        is_ours = found.st_uid == os.geteuid()
        if is_ours and not found.st_mode & _OTHERS:
            return
        # A sticky one, such as /tmp, is there for all users.
        is_closable = is_ours and not found.st_mode & stat.S_ISVTX
        if is_closable and all(path.name.startswith(_OURS) for path in self._directory.iterdir()):
            self._directory.chmod(0o700)
        elif not self._warned:
            self._warned = True
            log.warning(
                "other users may look into the state_dir %r%s; give it mode 0700 and the owner %s",
                str(self._directory),
                ""
                if is_ours
                else f" and change what is in it, as it belongs to {_user(found.st_uid)}",
                _user(os.geteuid()),
            )

    def _unusable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"state_dir {str(self._directory)!r} cannot be used: {error.strerror}"
            f"{self._whose(error)}; name a directory this user may write to."
        )

    def _whose(self, error: OSError) -> str:
        """Return whose it is that we may not use; empty if that is not what is wrong."""
        if isinstance(error, PermissionError):
            for what, path in (("its spool.lock", self._path), ("it", self._directory)):
                uid = _owner(path)
                if uid is not None and uid != os.geteuid():
                    return f", since {what} belongs to {_user(uid)}"
        return ""


def _owner(path: Path) -> int | None:
    """Return the owner's uid; None if there is no such file, or none that can be seen."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _user(uid: int) -> str:
    """Return a user as people know him."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
