"""Subscription: what the receiver asks of each way to read the event exchange.

A subscription is opened once, read until its broker is gone, and thrown away; connecting again is
the receiver's business. Each notices by itself, within ten seconds, that its broker is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ..broker.connections import shown
from ..broker.protocols import Connection, Errors
from ..errors import InvalidEvent
from ..snapshot import AckToken

__all__ = [
    "CONNECT_SECONDS",
    "QUIET_SECONDS",
    "SILENT_SECONDS",
    "OnBroker",
    "OnInvalid",
    "Reading",
    "Subscription",
]

OnInvalid = Callable[[InvalidEvent], None]

QUIET_SECONDS = 3.0  # a broker that has sent nothing for so long is asked for an answer
SILENT_SECONDS = 8.0  # a broker that has sent nothing for so long, not even the answer, is gone
CONNECT_SECONDS = 5.0  # also how long any single answer may take while connecting


class Reading(msgspec.Struct, frozen=True):
    """The bodies of some messages, in order, and the token to acknowledge them if they need one."""

    bodies: Sequence[bytes] = ()
    ack_token: AckToken | None = None


class OnBroker:
    """What is the same of all subscriptions to a broker's event exchange."""

    connection: Connection
    echoes = True
    is_leading = True
    is_behind = False
    is_shared: bool | None = False

    @property
    def shown(self) -> str:
        """Return the broker's URL as it may be printed."""
        return shown(self.connection)


class Subscription(Protocol):
    """The contract of every subscription. Not thread-safe.

    ``gone`` are the exceptions that mean that its broker cannot be reached, or not any more.
    ``echoes``: an event that we send ourselves comes back through it.
    """

    gone: Errors
    connection: Connection  # its own, a clone of the one it was made after
    echoes: bool

    @property
    def shown(self) -> str:
        """Return where events come from, as it may be printed."""
        ...

    @property
    def is_leading(self) -> bool:
        """Whether it is for us to read; else another monitor does. A broker does not say: True."""
        ...

    @property
    def is_shared(self) -> bool | None:
        """Whether somebody else takes a part of the messages: what we miss is not lost.

        None while messages are missing, and it is not known yet.
        """
        ...

    @property
    def is_behind(self) -> bool:
        """Whether what was sent a while ago waits to be read, so that silence proves nothing."""
        ...

    @property
    def queue_length(self) -> int | None:
        """Return how many messages wait at the broker for us; None where that is not known."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether nothing more comes before something is acknowledged."""
        ...

    def open(self) -> None:
        """Connect and subscribe: events sent after this returns are received."""
        ...

    def read(self, timeout_seconds: float) -> Reading:
        """Return all messages that have arrived; wait for the first no longer than the timeout."""
        ...

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Acknowledge the token's messages, and all before them.

        With ``last``, return only when the broker has taken note; nothing can be read afterwards.
        """
        ...

    def close(self) -> None:
        """Close, without waiting for a broker that may not answer. Never raises."""
        ...
