"""Directory lock: one process at a time uses a ``state_dir``."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import UnavailableError

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """A lock on a directory, from ``take`` to ``release`` or the end of the process.

    Not thread-safe. The lock is an ``flock`` on ``spool.lock``, which holds the owner's pid for a
    person to read; the kernel frees it however the process ends, so the file itself may stay.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Make the directory if need be, and lock it.

        Raises ``UnavailableError`` when another process has it, or it cannot be written to.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that a full disk fails when the pid is written, not when it is closed.
            file = (self._directory / "spool.lock").open("ab+", buffering=0)
        except OSError as error:
            raise UnavailableError(
                f"state_dir {str(self._directory)!r} cannot be used: {error.strerror}; "
                "name a directory this user may write to."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().decode("ascii", "replace").strip() or "unknown"
            file.close()
            raise UnavailableError(
                f"state_dir {str(self._directory)!r} is in use by process {owner}; "
                "stop it, or give this one a directory of its own."
            ) from error
        self._file = file
        with suppress(OSError):  # on a full disk the pid is missing, but the lock holds
            file.truncate(0)
            file.write(str(os.getpid()).encode())

    def release(self) -> None:
        """Let another process take the directory. Does nothing if it was not taken."""
        if self._file is not None:
            self._file.close()
            self._file = None
