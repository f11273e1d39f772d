"""Unacked on Redis: how many messages workers hold, by queue, from kombu's one hash of them all.

The hash holds the messages whole, so no more than a part of it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ..broker.protocols import RedisChannel

__all__ = ["RedisHashes", "Unacked", "scan_unacked"]

_MOST_ENTRIES = 1_000
_MOST_BYTES = 16 << 20
_MOST_SCANS = 200  # a hash that has shrunk has many empty buckets
_SCAN_BUCKETS = 5

_ROW = 3  # columns of kombu's table of bindings: routing key, pattern, queue
_MAX_KEY = 255  # characters of a routing key, as AMQP has it
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Properties(msgspec.Struct, gc=False):
    correlation_id: str | None = None  # Celery's is the task's id


class _Message(msgspec.Struct, gc=False):
    properties: _Properties | None = None


# As kombu's QoS stores it: the message, its exchange, its routing key.
_decode_unacked = msgspec.json.Decoder(tuple[msgspec.Raw, str | None, str | None]).decode
_decode_message = msgspec.json.Decoder(_Message).decode


class RedisHashes(Protocol):
    """``redis.Redis``, whose own types are those of its asynchronous twin, too."""

    def hscan(self, name: str, cursor: int, *, count: int) -> tuple[int, Mapping[bytes, bytes]]:
        """Return the next cursor, 0 at the end, and some entries."""
        ...

    def hlen(self, name: str) -> int:
        """Return the number of entries."""
        ...


@dataclass(frozen=True, slots=True)
class Unacked:
    """What was read of the hash of unacknowledged messages: ``read`` of its ``size`` entries.

    ``ids`` are the tasks in them; None if not all are known.
    """

    by_queue: Counter[str]
    read: int
    size: int
    ids: frozenset[str] | None = None

    @property
    def is_sample(self) -> bool:
        """Return whether there are more than were read."""
        return self.read < self.size

    def of(self, name: str) -> int | None:
        """Return how many were taken from this queue; None if none was read."""
        if not self.is_sample:
            return self.by_queue[name]
        return round(self.by_queue[name] * self.size / self.read) if self.read else None


def scan_unacked(client: RedisHashes, channel: RedisChannel, names: Collection[str]) -> Unacked:
    """Scan the hash, whose order is as good as random.

    Raises redis-py's ``ResponseError`` if it may not be read, or the key holds something else.
    """
    key = channel.global_keyprefix + channel.unacked_key
    bindings = _Bindings(channel, names)
    by_queue: Counter[str] = Counter()
    tags: set[bytes] = set()  # a scan may return an entry twice
    ids: set[str | None] = set()
    cursor = size_bytes = scans = 0
    while True:
        cursor, entries = client.hscan(key, cursor, count=_SCAN_BUCKETS)
        for tag, value in entries.items():
            if tag not in tags:
                tags.add(tag)
                size_bytes += len(value)
                by_queue[bindings.queue_of(value)] += 1
                ids.add(_task_in(value))
        scans += 1
        if cursor == 0:
            known = frozenset(uuid for uuid in ids if uuid is not None)
            is_known = len(known) == len(ids)
            return Unacked(by_queue, len(tags), len(tags), known if is_known else None)
        if len(tags) >= _MOST_ENTRIES or size_bytes >= _MOST_BYTES or scans >= _MOST_SCANS:
            return Unacked(by_queue, len(tags), max(len(tags), client.hlen(key)))


def _task_in(value: bytes) -> str | None:
    """Return the id of the task in an entry; None if it cannot be found out."""
    try:
        message, _, _ = _decode_unacked(value)
        properties = _decode_message(message).properties
    except _UNREADABLE:
        return None
    return properties.correlation_id if properties is not None else None


class _Bindings:
    """Finds the queue a message was taken from, by the exchange and routing key stored with it."""

    def __init__(self, channel: RedisChannel, names: Collection[str]) -> None:
        self._channel = channel
        self._names = frozenset(names)
        self._by_exchange: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._queues: dict[tuple[str, str], str] = {}  # by exchange and routing key

    def queue_of(self, value: bytes) -> str:
        """Return the queue's name; empty if it cannot be found out."""
        try:
            _, exchange, routing_key = _decode_unacked(value)
        except _UNREADABLE:
            return ""
        route = exchange or "", routing_key or ""
        if route not in self._queues:
            self._queues[route] = self._bound(*route)
        return self._queues[route]

    def _bound(self, exchange: str, routing_key: str) -> str:
        if not exchange:
            return routing_key  # of the default exchange it is the queue's name
        if exchange not in self._by_exchange:
            self._by_exchange[exchange] = tuple(self._channel.get_table(exchange))
        queues = [
            row[2]
            for row in self._by_exchange[exchange]
            if len(row) == _ROW
            and (row[0] == routing_key or _topic_matches(row[0], routing_key=routing_key))
        ]
        # Without a binding, or with several, the queues that are asked for are the likeliest.
        return next((queue for queue in (*queues, routing_key) if queue in self._names), "")


def _topic_matches(binding: str, *, routing_key: str) -> bool:
    """Return whether a topic binding matches: ``*`` is one word, or more as in kombu, ``#`` any.

    Kombu's own regular expression stands beside it in Redis, but whoever may write there could
    have put one that takes for ever.
    """
    words = routing_key.split(".")
    if len(binding) > _MAX_KEY or len(routing_key) > _MAX_KEY:
        return False
    # After each word of the binding: which numbers of words it may have used up.
    reached = {0}
    for part in binding.split("."):
        if part == "#":
            reached = set(range(min(reached), len(words) + 1)) if reached else set()
        elif part == "*":
            reached = set(range(min(reached) + 1, len(words) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(words) and words[at] == part}
    return len(words) in reached
