"""Redis: the lists kombu keeps a queue in, and its hash of what workers have not acknowledged.

Every command takes a bounded time, and none looks for keys: the queues are known by name.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from ..broker.enqueued_at import age_of
from ..survey import QueueDepth
from .link import GONE, Link

__all__ = ["RedisProbe"]

# Of the unacknowledged, which hold whole messages, no more than this is read at a time.
_MOST_ENTRIES = 1_000
_MOST_BYTES = 16 << 20
_MOST_SCANS = 200  # a table that has shrunk has many empty buckets
_SCAN_BUCKETS = 5

_WRONG_TYPE = "WRONGTYPE"  # the key is there, but is no queue
_ROW = 3  # of kombu's table of bindings: routing key, pattern, queue
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Waiting(msgspec.Struct, gc=False):
    """What kombu's virtual transports wrap a message in; the part that concerns us."""

    headers: dict[str, Any] | None = None


_decode_waiting = msgspec.json.Decoder(_Waiting).decode
# As kombu's QoS stores it: the message, its exchange, its routing key.
_decode_taken = msgspec.json.Decoder(tuple[msgspec.Raw, str | None, str | None]).decode


class RedisProbe:
    """Queues on Redis, also through Sentinel. Consumers are unknown: Redis keeps none."""

    gone = GONE

    def __init__(self, connection: Any, *, timeout_seconds: float) -> None:
        times: dict[str, Any] = {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
        }
        options = connection.transport_options
        if connection.transport_cls == "sentinel":  # its nodes have settings of their own
            times["sentinel_kwargs"] = {
                **times,
                "retry": Retry(NoBackoff(), 0),
                **(options.get("sentinel_kwargs") or {}),
            }
        self._link = Link(
            connection,
            timeout_seconds=timeout_seconds,
            transport_options={**times, "retry_on_timeout": False},
            lost=(RedisError, ValueError),  # the latter is kombu's for options that are wrong
        )

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Ready and oldest of all queues in one round trip, then a bounded look at the rest."""
        return self._link.ask(lambda connection: _read(connection.default_channel, tuple(names)))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _read(channel: Any, names: tuple[str, ...]) -> tuple[QueueDepth, ...]:
    # Not kombu's own client: with a key prefix it prefixes only half of these commands.
    client = redis.Redis(connection_pool=channel.pool)
    prefix, steps = channel.global_keyprefix, tuple(channel.priority_steps)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        for step in steps:
            key = prefix + channel._q_for_pri(name, step)  # noqa: SLF001  nobody else knows it
            pipeline.llen(key)
            pipeline.lindex(key, -1)  # kombu LPUSHes and BRPOPs, so the last is the oldest
    replies = iter([_checked(reply) for reply in pipeline.execute(raise_on_error=False)])
    taken = _taken(client, channel, names) if channel.ack_emulation else None
    now = time.time()
    depths = []
    for name in names:
        lists = [(next(replies), next(replies)) for _ in steps]
        lengths = [length for length, _ in lists]
        ages = [age for _, tail in lists if (age := _age_of(tail, now)) is not None]
        depths.append(
            QueueDepth(
                name,
                ready=None if None in lengths else sum(lengths),
                unacked=None if taken is None else taken.of(name),
                oldest_seconds=max(ages, default=None),
                sampled=taken is not None and taken.sampled,
            )
        )
    return tuple(depths)


def _checked(reply: Any) -> Any:
    """The reply to one command of many; None if the key holds something that is no queue."""
    if isinstance(reply, ResponseError) and str(reply).startswith(_WRONG_TYPE):
        return None
    if isinstance(reply, Exception):
        raise reply
    return reply


def _age_of(message: bytes | None, now: float) -> float | None:
    if message is None:
        return None
    try:
        return age_of(_decode_waiting(message).headers, now=now)
    except _UNREADABLE:
        return None


@dataclass(frozen=True, slots=True)
class _Taken:
    """What was seen of the hash of unacknowledged messages: ``seen`` of its ``size`` entries."""

    counts: Counter[str]
    seen: int
    size: int

    @property
    def sampled(self) -> bool:
        return self.seen < self.size

    def of(self, name: str) -> int | None:
        if not self.sampled:
            return self.counts[name]
        return round(self.counts[name] * self.size / self.seen) if self.seen else None


def _taken(client: Any, channel: Any, names: tuple[str, ...]) -> _Taken | None:
    """Scan the hash, whose order is as good as random; None if the key holds something else."""
    key = channel.global_keyprefix + channel.unacked_key
    finder = _Finder(channel, names)
    counts: Counter[str] = Counter()
    tags: set[bytes] = set()  # a scan may show an entry twice
    cursor = size_bytes = scans = 0
    try:
        while True:
            cursor, entries = client.hscan(key, cursor, count=_SCAN_BUCKETS)
            for tag, value in entries.items():
                if tag not in tags:
                    tags.add(tag)
                    size_bytes += len(value)
                    counts[finder.queue_of(value)] += 1
            scans += 1
            if cursor == 0:
                return _Taken(counts, len(tags), len(tags))
            if len(tags) >= _MOST_ENTRIES or size_bytes >= _MOST_BYTES or scans >= _MOST_SCANS:
                return _Taken(counts, len(tags), max(len(tags), client.hlen(key)))
    except ResponseError as error:
        return _checked(error)  # type: ignore[no-any-return]  # None, or it raises


class _Finder:
    """Tells which queue a message was taken from: its envelope has exchange and routing key."""

    def __init__(self, channel: Any, names: tuple[str, ...]) -> None:
        self._channel = channel
        self._names = frozenset(names)
        self._bindings: dict[str, list[tuple[str, ...]]] = {}
        self._known: dict[tuple[str, str], str] = {}

    def queue_of(self, value: bytes) -> str:
        """The queue's name; empty if it cannot be told."""
        try:
            _, exchange, routing_key = _decode_taken(value)
        except _UNREADABLE:
            return ""
        way = exchange or "", routing_key or ""
        if way not in self._known:
            self._known[way] = self._bound(*way)
        return self._known[way]

    def _bound(self, exchange: str, routing_key: str) -> str:
        if not exchange:
            return routing_key  # of the default exchange it is the queue's name
        if exchange not in self._bindings:
            self._bindings[exchange] = self._channel.get_table(exchange)
        queues = [
            row[2]
            for row in self._bindings[exchange]
            if len(row) == _ROW and (row[0] == routing_key or _matches(row[1], routing_key))
        ]
        # Without a binding, or with several, the queues that are asked for are the likeliest.
        return next((one for one in (*queues, routing_key) if one in self._names), "")


def _matches(pattern: str, routing_key: str) -> bool:
    """A topic binding's pattern is stored as a regular expression."""
    try:
        return bool(pattern) and re.match(pattern, routing_key) is not None
    except re.error:
        return False
