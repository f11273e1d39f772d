"""Line output: standard output or a file, written to without waiting for its reader for ever."""

from __future__ import annotations

import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from ..clock import Clock
from ..text import one_line

__all__ = ["AppendedFile", "Output", "StandardOutput", "write_until"]

# A pipe that is ready takes as much at once; more could block, since the descriptor is not made
# non-blocking: it may be that of stderr too, or of our parent's terminal.
_CHUNK = select.PIPE_BUF
_CROWDED_SECONDS = 0.01


def write_until(
    descriptor: int, data: bytes, *, deadline: float, clock: Clock
) -> tuple[int, str | None]:
    """Write until all is taken, the deadline (monotonic seconds) is over, or it fails.

    Returns how many bytes were taken, and why not all of them; None if they were.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    written = 0
    while written < len(data):
        seconds = deadline - clock.monotonic()
        try:
            if seconds <= 0 or not poll.poll(seconds * 1_000):
                return written, "its reader did not take everything in time"
            written += os.write(descriptor, data[written : written + _CHUNK])
        except BlockingIOError:  # somebody else made it non-blocking, and filled it up
            clock.sleep(_CROWDED_SECONDS)
        except OSError as error:
            return written, one_line(error.strerror or error)
    return written, None


class Output(Protocol):
    """Where lines go. ``name`` is for sentences."""

    name: str

    def open(self) -> tuple[int, bool]:
        """Return the descriptor, and whether what was written last is gone; ``OSError``."""
        ...

    def problem(self) -> str | None:
        """Return why it cannot be written to, None if it can. Leaves no trace."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class StandardOutput:
    """The process's own standard output; ``stream`` is None where it was closed at the start."""

    name = "standard output"

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def open(self) -> tuple[int, bool]:
        """Return its descriptor."""
        if self._stream is None or self._stream.closed:
            # Its number may belong to another file by now, such as the spool.
            raise OSError("it is closed")
        return self._stream.fileno(), False

    def problem(self) -> str | None:
        """Return whether it is closed, or nobody reads it."""
        try:
            descriptor, _ = self.open()
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            events = dict(poll.poll(0)).get(descriptor, 0)
        except OSError as error:
            return one_line(error)
        gone = events & (select.POLLERR | select.POLLHUP | select.POLLNVAL)
        return "nobody reads it" if gone else None

    def close(self) -> None:
        """Do nothing: it is not ours."""


class AppendedFile:
    """A file that lines are appended to; it is made if it is not there, and again if it is moved.

    A predecessor's unfinished last line is ended first.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = Path(path)
        self._descriptor: int | None = None

    def open(self) -> tuple[int, bool]:
        """Return the descriptor of the file that has the name now."""
        if self._descriptor is not None:
            if self._has_the_name(self._descriptor):
                return self._descriptor, _is_truncated(self._descriptor)
            self.close()
        # Non-blocking for a FIFO: without a reader, opening it would wait for one.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o644)
        try:
            if self._ends_in_mid_line():
                os.write(descriptor, b"\n")
        except OSError:  # a full disk: nothing may be appended to that line, now or later
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor, True

    def problem(self) -> str | None:
        """Return whether the file, or its folder, cannot be written to."""
        if self._path.is_dir():
            return "it is a directory"
        place = self._path if self._path.exists() else self._path.parent
        if not place.exists():
            return f"there is no directory {place}"
        return None if os.access(place, os.W_OK) else f"this user may not write to {place}"

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _has_the_name(self, descriptor: int) -> bool:
        """Return whether log rotation has left the file where it was."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except OSError:
            return False

    def _ends_in_mid_line(self) -> bool:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or not status.st_size:
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except OSError:  # it may be written to, not read
            return False


def _is_truncated(descriptor: int) -> bool:
    """Return whether what was written to the file last is gone, as after ``copytruncate``."""
    try:
        return os.fstat(descriptor).st_size < os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:  # a pipe
        return False
