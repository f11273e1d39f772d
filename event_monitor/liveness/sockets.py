"""Sockets: notes where no file can be written: a socket of Linux that is in no file system.

Every user of the network namespace may bind and connect such a socket, so the kernel is asked who
is at the other end.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from ..clock import Clock
from .notes import NOTE_BYTES, decoded, name_of, own_name

__all__ = ["NoteSocket", "find_sockets", "read_sockets"]

_WAITING = 8  # connections that may wait for their answer
_SECONDS = 2.0  # for the whole of all answers
_TICK_SECONDS = 0.02  # until those are tried again whose monitor is busy
_MOST = 100  # sockets that are looked into
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
    """Return (owner, name) of those that match a glob such as ``event-monitor-1000/alive*``.

    They are a hundred at most, our own user's first: anybody may bind thousands.
    """
    try:
        table = _TABLE.read_text(errors="replace")
    except OSError:
        return ()
    found = {match for match in _ABSTRACT.findall(table) if fnmatchcase("/".join(match), pattern)}
    return tuple(sorted(found, key=lambda match: (match[0] != own_name(), match))[:_MOST])


def read_sockets(
    found: Iterable[tuple[str, str]], *, clock: Clock
) -> dict[tuple[str, str], dict[str, object]]:
    """Return the notes of those who answer, and whom we believe, within one deadline for all."""
    deadline = clock.monotonic() + _SECONDS
    notes: dict[tuple[str, str], dict[str, object]] = {}
    with ExitStack() as calls:
        waiting = [calls.enter_context(closing(_Call(*match))) for match in found]
        while waiting and clock.monotonic() < deadline:
            for call in tuple(waiting):
                try:
                    call.go_on()
                except BlockingIOError:  # later
                    continue
                except OSError:
                    waiting.remove(call)
                else:
                    notes[call.owner, call.name] = decoded(call.data)
                    waiting.remove(call)
            connected = [call.socket for call in waiting if call.is_connected]
            select.select(connected, (), (), _TICK_SECONDS if waiting else 0.0)
    return notes


class _Call:
    """One socket that is asked for its note."""

    def __init__(self, owner: str, name: str) -> None:
        self.owner, self.name, self.data = owner, name, b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.is_connected = False

    def go_on(self) -> None:
        """Read the note to its end. Raises ``OSError`` if we get none, or believe none.

        Raises ``BlockingIOError`` if it has to be called again.
        """
        if not self.is_connected:
            self.socket.connect(f"\0{self.owner}/{self.name}")
            self.is_connected = True
            found = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            uid = _CREDENTIALS.unpack(found)[1]
            if os.geteuid() not in (0, uid) or self.owner != name_of(uid):
                raise PermissionError("it is a stranger's, or under another's name")
        while len(self.data) < NOTE_BYTES:
            chunk = self.socket.recv(NOTE_BYTES)
            if not chunk:
                return
            self.data += chunk
        raise OSError("it is too long for a note")

    def close(self) -> None:
        self.socket.close()
