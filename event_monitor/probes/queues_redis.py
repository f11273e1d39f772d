"""Redis: the lists kombu keeps a queue in, and its hash of messages not acknowledged.

Every command takes a bounded time, and none searches for keys: the queues are known by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from ..broker.enqueued_at import age_of
from ..broker.protocols import Connection, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..survey import QueueDepth
from .link import GONE, Link

__all__ = ["RedisProbe"]

# The hash of unacknowledged messages holds them whole, so no more of it is read in one go.
_MOST_ENTRIES = 1_000
_MOST_BYTES = 16 << 20
_MOST_SCANS = 200  # a hash that has shrunk has many empty buckets
_SCAN_BUCKETS = 5

_WRONG_TYPE = "WRONGTYPE"  # the key exists, but is not what kombu keeps there
_ROW = 3  # columns of kombu's table of bindings: routing key, pattern, queue
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Waiting(msgspec.Struct, gc=False):
    """The envelope kombu's virtual transports put a message in: the part that is read here."""

    headers: dict[str, object] | None = None


_decode_waiting = msgspec.json.Decoder(_Waiting).decode
# As kombu's QoS stores it: the message, its exchange, its routing key.
_decode_unacked = msgspec.json.Decoder(tuple[msgspec.Raw, str | None, str | None]).decode


class _Pipeline(Protocol):
    """``redis.client.Pipeline``."""

    def llen(self, name: str) -> object: ...
    def lindex(self, name: str, index: int) -> object: ...
    def execute(self, raise_on_error: bool = True) -> list[object]: ...


class _Client(Protocol):
    """``redis.Redis``, whose own types are those of its asynchronous twin, too."""

    def pipeline(self, transaction: bool = True) -> _Pipeline: ...
    def hscan(self, name: str, cursor: int, *, count: int) -> tuple[int, Mapping[bytes, bytes]]: ...
    def hlen(self, name: str) -> int: ...


class RedisProbe:
    """Reads queues on Redis, also through Sentinel. Redis does not know who consumes."""

    gone = GONE
    age_hint = (
        "its messages do not say when they were sent: call event_monitor.stamp_tasks(app) in "
        "producers and workers"
    )

    def __init__(
        self, connection: Connection, *, timeout_seconds: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._clock = clock
        limits: dict[str, object] = {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
        }
        options = connection.transport_options
        if connection.transport_cls == "sentinel":  # its nodes have settings of their own
            limits["sentinel_kwargs"] = {
                **limits,
                "retry": Retry(NoBackoff(), 0),
                **(options.get("sentinel_kwargs") or {}),
            }
        self._link = Link(
            connection,
            timeout_seconds=timeout_seconds,
            transport_options={**limits, "retry_on_timeout": False},
            lost=(RedisError, ValueError),  # kombu raises the latter for options that are wrong
        )

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Read ready and oldest of all queues in one round trip, then a part of the unacked."""
        return self._link.ask(
            lambda connection: _read(connection.default_channel, tuple(names), clock=self._clock)
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _read(channel: RedisChannel, names: tuple[str, ...], *, clock: Clock) -> tuple[QueueDepth, ...]:
    # Not kombu's own client: with a key prefix it prefixes only half of these commands.
    client = cast("_Client", redis.Redis(connection_pool=channel.pool))
    prefix, steps = channel.global_keyprefix, tuple(channel.priority_steps)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        for step in steps:
            key = prefix + channel._q_for_pri(name, step)  # noqa: SLF001  nobody else knows it
            pipeline.llen(key)
            pipeline.lindex(key, -1)  # kombu LPUSHes and BRPOPs, so the last is the oldest
    replies = _checked(pipeline.execute(raise_on_error=False))
    unacked = _read_unacked(client, channel, names) if channel.ack_emulation else None
    now = clock.wall()
    depths = []
    for name in names:
        lists = [(next(replies), next(replies)) for _ in steps]
        lengths = [length for length, _ in lists if isinstance(length, int)]
        ages = [age for _, oldest in lists if (age := _age_of(oldest, now)) is not None]
        depths.append(
            QueueDepth(
                name,
                ready=sum(lengths) if len(lengths) == len(steps) else None,
                unacked=None if unacked is None else unacked.of(name),
                oldest_seconds=max(ages, default=None),
                sampled=unacked is not None and unacked.is_sample,
            )
        )
    return tuple(depths)


def _checked(replies: list[object]) -> Iterator[object]:
    """Return the replies; None for one whose key holds something else. Raises the other errors."""
    checked = [None if _is_wrong_type(reply) else reply for reply in replies]
    for reply in checked:
        if isinstance(reply, Exception):
            raise reply
    return iter(checked)


def _is_wrong_type(reply: object) -> bool:
    return isinstance(reply, ResponseError) and str(reply).startswith(_WRONG_TYPE)


def _age_of(message: object, now: float) -> float | None:
    if not isinstance(message, bytes):
        return None
    try:
        return age_of(_decode_waiting(message).headers, now=now)
    except _UNREADABLE:
        return None


@dataclass(frozen=True, slots=True)
class _Unacked:
    """What was read of the hash of unacknowledged messages: ``read`` of its ``size`` entries."""

    by_queue: Counter[str]
    read: int
    size: int

    @property
    def is_sample(self) -> bool:
        return self.read < self.size

    def of(self, name: str) -> int | None:
        if not self.is_sample:
            return self.by_queue[name]
        return round(self.by_queue[name] * self.size / self.read) if self.read else None


def _read_unacked(
    client: _Client, channel: RedisChannel, names: tuple[str, ...]
) -> _Unacked | None:
    """Scan the hash, whose order is as good as random; None if the key holds something else."""
    key = channel.global_keyprefix + channel.unacked_key
    bindings = _Bindings(channel, names)
    by_queue: Counter[str] = Counter()
    tags: set[bytes] = set()  # a scan may return an entry twice
    cursor = size_bytes = scans = 0
    try:
        while True:
            cursor, entries = client.hscan(key, cursor, count=_SCAN_BUCKETS)
            for tag, value in entries.items():
                if tag not in tags:
                    tags.add(tag)
                    size_bytes += len(value)
                    by_queue[bindings.queue_of(value)] += 1
            scans += 1
            if cursor == 0:
                return _Unacked(by_queue, len(tags), len(tags))
            if len(tags) >= _MOST_ENTRIES or size_bytes >= _MOST_BYTES or scans >= _MOST_SCANS:
                return _Unacked(by_queue, len(tags), max(len(tags), client.hlen(key)))
    except ResponseError as error:
        if _is_wrong_type(error):
            return None
        raise


class _Bindings:
    """Finds the queue a message was taken from, by the exchange and routing key stored with it."""

    def __init__(self, channel: RedisChannel, names: tuple[str, ...]) -> None:
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
            and (row[0] == routing_key or _topic_matches(row[1], routing_key=routing_key))
        ]
        # Without a binding, or with several, the queues that are asked for are the likeliest.
        return next((queue for queue in (*queues, routing_key) if queue in self._names), "")


def _topic_matches(pattern: str, *, routing_key: str) -> bool:
    """Return whether a topic binding's pattern, a regular expression in Redis, matches."""
    try:
        return bool(pattern) and re.match(pattern, routing_key) is not None
    except re.error:
        return False
