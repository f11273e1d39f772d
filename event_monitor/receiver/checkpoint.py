"""Checkpoint: what must be known after a crash to go on without counting anything twice.

Written in one transaction with the counts it belongs to, before their messages are acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from ..msgpack import NOT_ENCODABLE, encodable
from ..snapshot import TaskInFlight
from .sender_order import Position

__all__ = ["Checkpoint"]

log = logging.getLogger(__name__)


# The names in the file are those of the first version, so that any version reads any file.
class Checkpoint(msgspec.Struct, frozen=True, rename={"in_flight": "flights"}):
    """``digests`` of the last messages counted, oldest first; the tasks that were in flight.

    ``senders``: of each sender over SQS, which message comes next, and events it had dropped.
    """

    digests: bytes = b""
    in_flight: tuple[TaskInFlight, ...] = ()
    senders: Mapping[str, Position] = {}

    def encode(self) -> bytes:
        """Return it as bytes for the spool.

        A task that MessagePack cannot hold is left out: then its name and times will be unknown.
        """
        try:  # first all at once: there may be 100,000
            return msgspec.msgpack.encode(self)
        except NOT_ENCODABLE:
            kept = encodable(self.in_flight)
            log.warning("%d tasks in flight cannot be kept", len(self.in_flight) - len(kept))
            return msgspec.msgpack.encode(msgspec.structs.replace(self, in_flight=kept))

    @classmethod
    def decode(cls, data: bytes | None) -> Checkpoint:
        """Return what was encoded; an empty checkpoint for None.

        Also for what cannot be read, which is logged as an error.
        """
        if data is None:
            return cls()
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("the checkpoint cannot be read: %s; some events may count twice", error)
            return cls()
