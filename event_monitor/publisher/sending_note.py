"""Sending note: what is sent, and was sent, in a small file that a full disk lets us overwrite.

SQLite writes to its log for whatever it changes, and on a full disk there is no room for that.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["NOTE_SUFFIX", "Noted", "SendingNote"]

NOTE_SUFFIX = "-note"  # of the database's path

_MAGIC = b"EvMoNote"
_RECORD = struct.Struct(">8s16s 4q")  # magic, identity of the database, then as in ``Noted``
_CHECKSUM = struct.Struct(">I")  # CRC-32 of the record
_SIZE = _RECORD.size + _CHECKSUM.size  # within one sector, which is written whole or not at all
_NOTHING = -(2**63)  # instead of a number
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Noted:
    """Numbers of batches, and how many metrics are unsent.

    ``handed_out`` may have arrived. Nothing up to ``acknowledged`` is to be sent any more.
    ``newest`` is the last that was ever appended.
    """

    handed_out: int = _NOTHING
    acknowledged: int = _NOTHING
    newest: int = _NOTHING
    unsent: int = 0


class SendingNote:
    """The note beside the database at ``path``, with the identity of that database, of 16 bytes.

    What is noted for one database says nothing of another at the same path. Where no file can be
    made nothing is noted. No method raises. Not thread-safe.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}{NOTE_SUFFIX}"
        self._descriptor: int | None = None
        self._written = b""

    def read(self) -> tuple[bytes, Noted] | None:
        """Return the identity of the database that it was written for, and what it says."""
        with suppress(OSError):
            data = os.pread(self._open(), _SIZE, 0)
            record = data[: _RECORD.size]
            if len(data) == _SIZE and data == _sealed(record) and record.startswith(_MAGIC):
                _, identity, *numbers = _RECORD.unpack(record)
                return identity, Noted(*numbers)
        return None

    def write(self, identity: bytes, noted: Noted) -> bool:
        """Overwrite the note, which outlives this process; return whether that was possible."""
        numbers = (noted.handed_out, noted.acknowledged, noted.newest, noted.unsent)
        with suppress(OSError, struct.error):  # a damaged database has any number
            data = _sealed(_RECORD.pack(_MAGIC, identity, *numbers))
            descriptor = self._open()
            if data != self._written:
                self._written = b""
                os.pwrite(descriptor, data, 0)
                self._written = data
            return True
        return False

    def sync(self) -> None:
        """Let what is written outlive the system, too."""
        with suppress(OSError):
            os.fdatasync(self._open())

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            with suppress(OSError):  # a network file system may say here that it is away
                os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        """Return the file's descriptor; open it if it is not, or if it was deleted."""
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            self.close()
        if self._descriptor is None:
            self._written = b""
            descriptor = os.open(self._path, _FLAGS, 0o600)
            try:
                _make_ready(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor


def _make_ready(descriptor: int) -> None:
    """Let nobody else read the file, and give it its size while the disk has room."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError("something else is in the place of the note")
    with suppress(OSError):  # it was made by another user, or on a disk without modes
        os.fchmod(descriptor, 0o600)
    if found.st_size < _SIZE:
        os.pwrite(descriptor, bytes(_SIZE), 0)
        os.fsync(descriptor)


def _sealed(record: bytes) -> bytes:
    return record + _CHECKSUM.pack(zlib.crc32(record))
