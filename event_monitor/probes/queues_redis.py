"""Redis: the lists kombu keeps a queue in, one for each priority.

Every command takes a bounded time, and none searches for keys: the queues are known by name.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from typing import Protocol, cast

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from ..broker.protocols import Connection, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..enqueued_at import waiting_since
from ..survey import QueueDepth
from ..text import one_line
from .link import GONE, Link
from .unacked_redis import RedisHashes, Unacked, scan_unacked

__all__ = ["RedisProbe"]

log = logging.getLogger(__name__)

# Redis sends a message whole or not at all, and says of a list only how large it is about: from as
# many samples as these, of its newest messages. To let a script look into one blocks the server for
# twenty times as long (1.9 s for 100 MB).
_SAMPLES = 100
_SMALL_LIST_BYTES = 64_000_000
_LARGE_MESSAGE_BYTES = 1_000_000  # on average
_MOST_BEHIND = 10  # messages looked at in a list whose oldest waits for its eta
_MOST_REFUSED = 100  # refusals that are told apart in the log

_UNSTAMPED = (
    "its messages do not say when they were sent: call event_monitor.stamp_tasks(app) in producers "
    "and workers"
)
_LARGE_UNACKED = "they have more than 1 MB on average, too much to look into them"
_LARGE = (
    "its messages have more than 1 MB on average, too much to read one; pass large data to tasks "
    "by reference"
)
_WRONG_TYPE = "WRONGTYPE"  # the key exists, but is not what kombu keeps there
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_REFUSED = object()  # in the place of an answer that there is not


class _Waiting(msgspec.Struct, gc=False):
    """The envelope kombu's virtual transports put a message in: the part that is read here."""

    headers: dict[str, object] | None = None


_decode_waiting = msgspec.json.Decoder(_Waiting).decode


class _Pipeline(Protocol):
    """``redis.client.Pipeline``."""

    def hlen(self, name: str) -> object: ...
    def llen(self, name: str) -> object: ...
    def lindex(self, name: str, index: int) -> object: ...
    def memory_usage(self, key: str, samples: int) -> object: ...
    def lrange(self, name: str, start: int, end: int) -> object: ...
    def execute(self, raise_on_error: bool = True) -> list[object]: ...


class _Client(RedisHashes, Protocol):
    """``redis.Redis``."""

    def pipeline(self, transaction: bool = True) -> _Pipeline: ...


@dataclass(frozen=True, slots=True)
class _List:
    """The messages of one priority.

    ``since`` is when the oldest was sent, or its eta if that is later, wall clock: infinite if
    there is none, None if unknown.
    """

    key: str
    length: int | None
    since: float | None


class RedisProbe:
    """Reads queues on Redis, also through Sentinel. Redis does not know who consumes.

    An access control list may allow some keys only. What is refused is logged once, and costs no
    more than itself. Where messages are large on average none is read: age and unacknowledged are
    unknown then.
    """

    gone = GONE
    age_hint = _UNSTAMPED

    def __init__(
        self, connection: Connection, *, timeout_seconds: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._clock = clock
        self._large_is_told = False
        self._refused: set[str] = set()  # as far as the log knows
        self.refusal: Exception | None = None
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
        """Read ready and oldest of all queues in two round trips, then a part of the unacked."""
        return self._link.ask(
            lambda connection: self._read(connection.default_channel, tuple(names))
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _read(self, channel: RedisChannel, names: tuple[str, ...]) -> tuple[QueueDepth, ...]:
        # Not kombu's own client: with a key prefix it prefixes only half of these commands.
        client = cast("_Client", redis.Redis(connection_pool=channel.pool))
        lists = self._read_lists(client, channel, names)
        unacked = self._read_unacked(client, channel, names) if channel.ack_emulation else None
        now = self._clock.wall()
        return tuple(
            QueueDepth(
                name,
                ready=_ready(lists[name]),
                unacked=None if unacked is None else unacked.of(name),
                oldest_seconds=_age(lists[name], now),
                sampled=unacked is not None and unacked.is_sample,
                unacked_ids=None if unacked is None else unacked.ids,
            )
            for name in names
        )

    def _read_lists(
        self, client: _Client, channel: RedisChannel, names: tuple[str, ...]
    ) -> dict[str, list[_List]]:
        """Return the lists of each queue."""
        queues = [
            (name, channel.global_keyprefix + channel._q_for_pri(name, step))  # noqa: SLF001  nobody else knows it
            for name in names
            for step in channel.priority_steps
        ]
        pipeline = client.pipeline(transaction=False)
        for _, key in queues:
            pipeline.llen(key)
            pipeline.memory_usage(key, samples=_SAMPLES)
        replies = pipeline.execute(raise_on_error=False)
        lengths = [self._checked(reply) for reply in replies[::2]]
        large = {
            key
            for (_, key), length, size in zip(queues, lengths, replies[1::2], strict=True)
            if _is_large(length, size)
        }
        self.age_hint = _LARGE if large else _UNSTAMPED
        since: dict[str, float | None] = dict.fromkeys(large)
        readable = [
            key
            for (_, key), length in zip(queues, lengths, strict=True)
            if length and key not in large
        ]
        for key in readable:
            pipeline.lindex(key, -1)  # kombu LPUSHes and BRPOPs, so the last is the oldest
        for key, reply in zip(readable, pipeline.execute(raise_on_error=False), strict=True):
            oldest = self._checked(reply)
            since[key] = inf if oldest is None else _since(oldest)
        now = self._clock.wall()
        lists: dict[str, list[_List]] = {name: [] for name in names}
        for (name, key), length in zip(queues, lengths, strict=True):
            lists[name].append(
                _List(key, length if isinstance(length, int) else None, since.get(key, inf))
            )
        hidden = [found for found in chain(*lists.values()) if _hides_others(found, now)]
        if hidden:
            behind = self._read_behind(client, hidden, now)
            for found in lists.values():
                found[:] = [behind.get(each.key, each) for each in found]
        return lists

    def _read_behind(self, client: _Client, hidden: list[_List], now: float) -> Mapping[str, _List]:
        """Look a little further in lists whose oldest message waits for its eta."""
        pipeline = client.pipeline(transaction=False)
        for found in hidden:
            pipeline.lrange(found.key, -_MOST_BEHIND, -1)
        replies = pipeline.execute(raise_on_error=False)
        return {
            found.key: replace(found, since=_oldest(self._checked(reply), found, now))
            for found, reply in zip(hidden, replies, strict=True)
        }

    def _read_unacked(
        self, client: _Client, channel: RedisChannel, names: tuple[str, ...]
    ) -> Unacked | None:
        """Return what is unacknowledged; None if that may not be read, or is something else.

        As none of it is read where it is large; that is logged once.
        """
        key = channel.global_keyprefix + channel.unacked_key
        pipeline = client.pipeline(transaction=False)
        pipeline.hlen(key)
        pipeline.memory_usage(key, samples=_SAMPLES)
        length, size = pipeline.execute(raise_on_error=False)
        if _is_large(length, size):
            if not self._large_is_told:
                self._large_is_told = True
                log.warning("how many messages are unacknowledged is unknown: %s", _LARGE_UNACKED)
            return None
        try:
            return scan_unacked(client, channel, names)
        except ResponseError as error:
            self._checked(error)  # raises it if it means something else
            return None

    def _checked(self, reply: object) -> object:
        """Return the reply, or ``_REFUSED`` for no permission, or a key that holds something else.

        Raises the other errors.
        """
        if isinstance(reply, NoPermissionError):
            self.refusal, reason = reply, one_line(reply)
            if reason not in self._refused and len(self._refused) < _MOST_REFUSED:
                self._refused.add(reason)
                log.warning("a part of the queues is unknown: %s", reason)
            return _REFUSED
        if isinstance(reply, ResponseError) and str(reply).startswith(_WRONG_TYPE):
            return _REFUSED
        if isinstance(reply, Exception):
            raise reply
        return reply


def _is_large(length: object, size: object) -> bool:
    """Return whether a message of a key of that many, and that many bytes, may be too large."""
    if not (isinstance(length, int) and isinstance(size, int) and length):
        return False  # as where MEMORY USAGE is not allowed
    return size > _SMALL_LIST_BYTES and size > length * _LARGE_MESSAGE_BYTES


def _since(message: object) -> float | None:
    if not isinstance(message, bytes):
        return None
    try:
        return waiting_since(_decode_waiting(message).headers)
    except _UNREADABLE:
        return None


def _hides_others(found: _List, now: float) -> bool:
    """Return whether the oldest message waits for its eta, and others stand behind it."""
    return found.since is not None and now < found.since < inf and found.length != 1


def _oldest(messages: object, found: _List, now: float) -> float | None:
    """Return since when the oldest of the last messages waits; None if that is unknown."""
    times = [_since(message) for message in messages] if isinstance(messages, list) else []
    known = [since for since in times if since is not None]
    if not known or len(known) < len(times):
        return None
    is_all = found.length is not None and found.length <= len(times)
    oldest = min(known)
    return oldest if oldest <= now or is_all else None


def _ready(lists: Iterable[_List]) -> int | None:
    """Return the messages of all priorities; None if one of the lists is unknown."""
    ready = 0
    for found in lists:
        if found.length is None:
            return None
        ready += found.length
    return ready


def _age(lists: Iterable[_List], now: float) -> float | None:
    """Return how old the oldest message is; None if one list may hold an older one, or no list any.

    Messages that wait for their eta have no age yet.
    """
    oldest = inf
    for found in lists:
        if found.since is None:
            return None
        oldest = min(oldest, found.since)
    return None if oldest == inf else max(0.0, now - oldest)
