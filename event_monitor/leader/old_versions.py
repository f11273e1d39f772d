"""Old versions: notices monitors that know no lock, by how they ask the workers.

Such a monitor says nothing of itself. But every interval it asks all workers for the same six
things at once, which nobody else does; this version's questions say whose they are.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated

import msgspec

from ..broker.control import SENDER_HEADER
from ..clock import SYSTEM_CLOCK, Clock

__all__ = ["OldVersions"]

_ROUND = frozenset({"active", "active_queues", "reserved", "revoked", "scheduled", "stats"})
_INTERVAL_SECONDS = 60.0  # of such a monitor, by default
_LONGEST_SECONDS = 600.0  # between two rounds that are taken for one monitor's
_MOST_BYTES = 4_096  # of such a question
_MOST_ROUNDS = 20  # under way: anybody who may send commands can send these


class _ReplyTo(msgspec.Struct, frozen=True):
    routing_key: Annotated[str, msgspec.Meta(max_length=255)] = ""


class _Command(msgspec.Struct, frozen=True):
    method: str
    reply_to: _ReplyTo | None = None
    destination: list[str] | None = None


_decode = msgspec.json.Decoder(_Command).decode


class OldVersions:
    """Gets each command that is sent to the workers. Thread-safe.

    One round may be that of a ``status`` or ``check``, which ends; two are a monitor's.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rounds: dict[tuple[str, float], set[str]] = {}  # who asks, until when → for what
        self._seen_at: tuple[float, ...] = ()  # the last two

    def note_command(self, body: bytes | str, headers: Mapping[str, object]) -> None:
        """Take note of one command, whoever sent it and whatever is in it."""
        expires = headers.get("expires")
        if SENDER_HEADER in headers or not isinstance(expires, int | float):
            return
        if expires <= 0 or len(body) > _MOST_BYTES:  # those versions let their questions expire
            return
        try:
            command = _decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if command.method not in _ROUND or command.reply_to is None or command.destination:
            return
        key = command.reply_to.routing_key, expires
        with self._lock:
            asked = self._rounds.setdefault(key, set())
            asked.add(command.method)
            if len(self._rounds) > _MOST_ROUNDS:
                self._rounds.pop(next(iter(self._rounds)))
            if asked == _ROUND:
                self._rounds.pop(key, None)
                self._seen_at = (*self._seen_at[-1:], self._clock.monotonic())

    @property
    def are_here(self) -> bool:
        """Return whether a monitor of such a version asked, and not long ago."""
        with self._lock:
            first_at, *rest = self._seen_at or (0.0,)
            if not rest or rest[0] - first_at >= _LONGEST_SECONDS:
                return False
            interval = max(rest[0] - first_at, _INTERVAL_SECONDS)
            return self._clock.monotonic() - rest[0] < 2 * interval
