"""Checkpoint: what must be known after a crash to go on without counting anything twice.

Written in one transaction with the counts it belongs to, before their messages are acknowledged.
"""

from __future__ import annotations

import logging

import msgspec

from ..snapshot import TaskInFlight

__all__ = ["Checkpoint"]

log = logging.getLogger(__name__)


_UNWRITABLE = (UnicodeEncodeError, OverflowError, TypeError)  # half a surrogate pair, 2 ** 64


class Checkpoint(msgspec.Struct, frozen=True):
    """``digests`` of the last messages counted, oldest first; the tasks that were in flight."""

    digests: bytes = b""
    flights: tuple[TaskInFlight, ...] = ()

    def encode(self) -> bytes:
        """As bytes for the spool. A task that cannot be written is left out: a name is lost."""
        try:
            return msgspec.msgpack.encode(self)
        except _UNWRITABLE:
            kept = tuple(one for one in self.flights if _is_writable(one))
            log.warning("%d tasks in flight cannot be kept", len(self.flights) - len(kept))
            return msgspec.msgpack.encode(Checkpoint(self.digests, kept))

    @classmethod
    def decode(cls, data: bytes | None) -> Checkpoint:
        """The inverse; an empty one for None, and for what cannot be read, with an error."""
        if data is None:
            return cls()
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("the checkpoint cannot be read: %s; some events may count twice", error)
            return cls()


def _is_writable(flight: TaskInFlight) -> bool:
    try:
        msgspec.msgpack.encode(flight)
    except _UNWRITABLE:
        return False
    return True
