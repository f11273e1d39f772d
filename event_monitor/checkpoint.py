"""Checkpoint: what must be known after a crash to go on without counting anything twice.

Written in one transaction with the counts it belongs to, before their messages are acknowledged.
"""

from __future__ import annotations

import logging

import msgspec

from .snapshot import TaskInFlight

__all__ = ["Checkpoint"]

log = logging.getLogger(__name__)


class Checkpoint(msgspec.Struct, frozen=True):
    """``digests`` of the last messages counted, oldest first; the tasks that were in flight."""

    digests: bytes = b""
    flights: tuple[TaskInFlight, ...] = ()

    def encode(self) -> bytes:
        """As bytes for the spool."""
        return msgspec.msgpack.encode(self)

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
