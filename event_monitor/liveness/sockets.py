"""Sockets: notes where no file can be written: a socket of Linux that is in no file system.

Every user of the network namespace may bind and connect such a socket, so the kernel is asked who
is at the other end.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from ..clock import Clock
from .notes import NOTE_BYTES, decoded, name_of, own_name

__all__ = ["NoteSocket", "find_sockets", "read_socket"]

_WAITING = 8  # connections that may wait for their answer
_SECONDS = 2.0  # for the whole of an answer
_PAUSE_SECONDS = 1.0  # after an error, when there are too many open files for one
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_TABLE = Path("/proc/net/unix")
_ABSTRACT = re.compile(r" @(event-monitor-\d+)/(\S+)$", re.MULTILINE)


class NoteSocket:
    """Answers everyone who connects with the note that was shown last, in a thread of its own.

    Making it raises ``OSError`` where there are no such sockets, or somebody has taken the name.
    """

    def __init__(self, name: str) -> None:
        self._note = b""
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(f"\0{own_name()}/{name}")
            self._socket.listen(_WAITING)
            threading.Thread(target=self._serve, name="liveness", daemon=True).start()
        except OSError:
            self._socket.close()
            raise
        except RuntimeError as error:
            self._socket.close()
            raise OSError(f"the system has no more threads now: {error}") from error

    def show(self, note: bytes) -> None:
        """Answer with this note from now on."""
        self._note = note

    def close(self) -> None:
        """Answer no more."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread up
        self._socket.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                self._closed.wait(_PAUSE_SECONDS)
                continue
            with connection, suppress(OSError):
                connection.setblocking(False)  # a note fits into what the kernel keeps for it
                connection.sendall(self._note)


def find_sockets(pattern: str) -> tuple[tuple[str, str], ...]:
    """Return (owner, name) of those that match a glob such as ``event-monitor-1000/alive*``."""
    try:
        table = _TABLE.read_text(errors="replace")
    except OSError:
        return ()
    found = {match for match in _ABSTRACT.findall(table) if fnmatchcase("/".join(match), pattern)}
    return tuple(sorted(found))


def read_socket(owner: str, name: str, *, clock: Clock) -> dict[str, object]:
    """Return the note; an empty one if nobody answers, or one whom we do not believe."""
    deadline = clock.monotonic() + _SECONDS
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(f"\0{owner}/{name}")
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            uid = _CREDENTIALS.unpack(found)[1]
            if os.geteuid() not in (0, uid) or owner != name_of(uid):
                return {}  # a stranger's, or under another's name
            while len(data) < NOTE_BYTES:
                connection.settimeout(max(0.001, deadline - clock.monotonic()))
                chunk = connection.recv(NOTE_BYTES)
                if not chunk:
                    return decoded(data)
                data += chunk
    except OSError:
        pass
    return {}
