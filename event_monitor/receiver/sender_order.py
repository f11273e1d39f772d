"""Sender order: messages of many senders, each sender's in the order it sent them. Pure.

A standard SQS queue hands out messages in nearly any order, and some of them twice; the state needs
those of one worker as it sent them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from ..over_sqs.wire import Header

__all__ = ["HOLD_SECONDS", "MAX_SENDERS", "Delivery", "Position", "SenderOrder"]

HOLD_SECONDS = 25.0  # for a message that others of its sender overtook; nearly always under one
# Who is met at its thirtieth message has sent for minutes before we came: those are not awaited.
_OLD_SEQ, _MEET_SECONDS = 30, 5.0
_LONGEST_SECONDS = 400.0  # though requests fail again and again, so that more may come back yet
MAX_HELD_BYTES = 64_000_000
MAX_SENDERS = 20_000  # remembered, the latest; also in each checkpoint, at 25 bytes each
_FORGET_SECONDS = 3_600.0  # after a sender's last message: a worker sends several a minute
_OVERHEAD_BYTES = 1_000  # of a message that is held, beside its body

T = TypeVar("T")


class Position(NamedTuple):
    """How far a sender was read: which message comes next, and how many events it had dropped."""

    next_seq: int
    dropped: int


class Delivery(NamedTuple, Generic[T]):
    """A message whose turn it is, the sender's position after it, and events dropped before it."""

    item: T
    sender: str
    position: Position
    dropped: int


class _Held(NamedTuple, Generic[T]):
    """A message that waits for the one before it."""

    header: Header
    item: T
    size: int
    at: float  # it came


@dataclass(slots=True)
class _Sender(Generic[T]):
    position: Position | None  # None: we came later than its first message
    seen_at: float
    held: dict[int, _Held[T]] = field(default_factory=dict)  # by seq, in the order of arrival


class SenderOrder(Generic[T]):
    """Holds a message until all before it have come, or are given up. Not thread-safe.

    Times are seconds of one clock that never steps back. ``positions`` is where earlier readers of
    the queue got to.
    """

    def __init__(
        self,
        positions: Mapping[str, Position] | None = None,
        *,
        now: float,
        max_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._senders: dict[str, _Sender[T]] = {  # who sent last is last
            name: _Sender(Position(*position), now) for name, position in (positions or {}).items()
        }
        self._waiting: dict[str, _Sender[T]] = {}  # those of whom messages are held
        self._not_before = self._at_least = now
        self._missing = 0
        self.held_bytes = 0

    def wait_until(self, at: float, *, at_least: float) -> None:
        """Give up no message before then: those that are missing may not have come yet.

        But for those that others have waited for very long; these are given up ``at_least`` then.
        """
        self._not_before = max(self._not_before, at)
        self._at_least = max(self._at_least, at_least)

    def waits_since(self, now: float) -> float:
        """Return when the message came that has been held longest; ``now`` if none is."""
        return min(map(_waits_since, self._waiting.values()), default=now)

    def held(self, header: Header) -> T | None:
        """Return the message of that sender and number, if it is held."""
        sender = self._waiting.get(header.sender)
        held = None if sender is None else sender.held.get(header.seq)
        return None if held is None else held.item

    def add(self, header: Header, item: T, *, size: int, now: float) -> list[Delivery[T]] | None:
        """Take a message; return those whose turn it is now. None: it was here before."""
        name, seq = header.sender, header.seq
        sender = self._senders.pop(name, None) or _Sender[T](None, now)
        self._senders[name] = sender
        sender.seen_at = now
        next_seq = 0 if sender.position is None else sender.position.next_seq
        if seq < next_seq or seq in sender.held:
            return None
        if seq > next_seq:
            size += _OVERHEAD_BYTES
            sender.held[seq] = _Held(header, item, size, now)
            self.held_bytes += size
            self._waiting[name] = sender
            return []
        deliveries = [_delivered(sender, header, item)]
        if sender.held:
            self._release(name, sender, deliveries)
        return deliveries

    def expire(self, now: float, *, hold_seconds: float = HOLD_SECONDS) -> list[Delivery[T]]:
        """Give up what others have waited for long enough; return what waited for it.

        Also while more bytes are held than may be: then whatever was waited for longest.
        """
        deliveries: list[Delivery[T]] = []
        for name, sender in tuple(self._waiting.items()):
            while sender.held and now >= self._due_at(sender, hold_seconds):
                self._give_up(name, sender, deliveries)
        while self.held_bytes > self._max_bytes:
            name = min(self._waiting, key=lambda one: _waits_since(self._waiting[one]))
            self._give_up(name, self._waiting[name], deliveries)
        self._forget(now)
        return deliveries

    def take_missing(self) -> int:
        """Return how many messages were given up since the last call."""
        missing, self._missing = self._missing, 0
        return missing

    def positions(self) -> dict[str, Position]:
        """Return how far each sender was read; who sent last is last."""
        return {
            name: sender.position
            for name, sender in self._senders.items()
            if sender.position is not None
        }

    def take_held(self) -> list[T]:
        """Return all that is held, and forget all senders."""
        items = [held.item for sender in self._waiting.values() for held in sender.held.values()]
        self._senders, self._waiting, self.held_bytes = {}, {}, 0
        return items

    def _due_at(self, sender: _Sender[T], hold_seconds: float) -> float:
        """Return when to go on without what is missing."""
        if (
            sender.position is None
            and hold_seconds <= HOLD_SECONDS
            and min(sender.held) >= _OLD_SEQ
        ):
            hold_seconds = _MEET_SECONDS
        since = _waits_since(sender)
        not_before = max(min(self._not_before, since + _LONGEST_SECONDS), self._at_least)
        return max(since + hold_seconds, not_before)

    def _give_up(self, name: str, sender: _Sender[T], deliveries: list[Delivery[T]]) -> None:
        """Go on with the earliest message that is held."""
        first = min(sender.held)
        if sender.position is not None:  # else somebody before us may have had them
            self._missing += first - sender.position.next_seq
        dropped = None if sender.position is None else sender.position.dropped
        sender.position = Position(
            first, sender.held[first].header.dropped if dropped is None else dropped
        )
        self._release(name, sender, deliveries)

    def _release(self, name: str, sender: _Sender[T], deliveries: list[Delivery[T]]) -> None:
        while sender.position is not None:
            held = sender.held.pop(sender.position.next_seq, None)
            if held is None:
                break
            self.held_bytes -= held.size
            deliveries.append(_delivered(sender, held.header, held.item))
        if not sender.held:
            self._waiting.pop(name, None)

    def _forget(self, now: float) -> None:
        while self._senders:
            name, sender = next(iter(self._senders.items()))
            is_old = now - sender.seen_at >= _FORGET_SECONDS
            if sender.held or not (is_old or len(self._senders) > MAX_SENDERS):
                return
            del self._senders[name]


def _delivered(sender: _Sender[T], header: Header, item: T) -> Delivery[T]:
    """Note that it is this message's turn."""
    before = 0 if sender.position is None else sender.position.dropped
    sender.position = Position(header.seq + 1, max(before, header.dropped))
    return Delivery(item, header.sender, sender.position, max(0, header.dropped - before))


def _waits_since(sender: _Sender[T]) -> float:
    return next(iter(sender.held.values())).at
