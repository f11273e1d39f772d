"""Redis lease: a key with a time to live, as redis-py's ``Lock`` keeps it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import LockError, ReadOnlyError, RedisError, ResponseError
from redis.lock import Lock
from redis.retry import Retry

from ..broker.connections import connect
from ..broker.protocols import Connection, RedisChannel
from ..text import one_line
from .holder import Holder
from .lease import ANSWER_SECONDS, LeaseRefusedError
from .overhearing import Overhear

__all__ = ["RedisLease"]

_LIVES_SECONDS = 10.0

T = TypeVar("T")


class RedisLease:
    """A key of the broker's database; see ``Lease``. Its value says which process holds it.

    A holder that was killed on this machine is succeeded at once.
    """

    renew_seconds = 3.0
    safe_seconds = _LIVES_SECONDS * 2 / 3
    grace_seconds = 0.0  # nobody has it before the holder's `safe_seconds` are over

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        holder: Holder,
        overhear: Overhear | None = None,
    ) -> None:
        limits: dict[str, object] = {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": ANSWER_SECONDS,
            "socket_keepalive": True,
            "max_connections": 4,  # whatever the app's is: what is overheard has one of its own
        }
        options = connection.transport_options
        if connection.transport_cls == "sentinel":  # its nodes have settings of their own
            limits["sentinel_kwargs"] = {
                **limits,
                "retry": Retry(NoBackoff(), 0),
                **(options.get("sentinel_kwargs") or {}),
            }
        self.name = name
        self._source = connection.clone(
            connect_timeout=ANSWER_SECONDS,
            transport_options={**options, **limits, "retry_on_timeout": False},
        )
        self._me = holder
        self._overhear = overhear
        self._take_commands: Callable[[], None] | None = None
        self._other: Holder | None = None
        self._connection: Connection | None = None
        self._lock: Any = None  # redis-py's, whose types are wrong for a token of one's own

    def acquire(self) -> bool:
        """Take the key unless it is there; return whether it is ours."""
        return self._ask(self._acquire)

    def renew(self) -> bool:
        """Let the key live on; return whether it is still ours."""
        return self._ask(self._renew)

    def holder(self) -> str:
        """Return which process had it when we last could not have it."""
        return "" if self._other is None else str(self._other)

    def release(self) -> None:
        """Delete the key if it is ours, and close the connection."""
        with suppress(Exception):  # then it ends with its time to live
            if self._lock is not None and self._lock.local.token is not None:
                self._lock.release()
        self._close()

    def _acquire(self) -> bool:
        if self._is_held():  # read first: a Redis whose memory is full refuses to write
            return False
        token = self._me.encode()
        if self._other == self._me:  # it was taken, and the answer was lost
            self._lock.local.token = token.encode()
        elif not self._lock.acquire(blocking=False, token=token):
            return False
        return self._prove()

    def _prove(self) -> bool:
        """Renew a key that was just taken, and give it up where that is not allowed.

        It would end, and be ours again, and we would stand by in between, for ourselves.
        """
        try:
            return self._renew()
        except ResponseError:
            self._lock.local.token = None
            with suppress(ResponseError):  # then it ends with its time to live
                self._lock.redis.delete(self._lock.name)
            raise

    def _is_held(self) -> bool:
        """Return whether another has it; what would stay for ever gets an end, if nobody renews it.

        Such as what a person wrote there, or a key that was copied without its time to live.
        """
        client, name = self._lock.redis, self._lock.name
        found = client.get(name)
        self._other = Holder.decode(found)
        if found is None or self._other == self._me:
            return False
        if self._other is not None and self._other.has_ended():
            with suppress(LockError):  # another was quicker
                self._lock.do_release(found)
            return False
        with suppress(ResponseError):  # it may be for us to read only
            if client.pttl(name) == -1:
                client.pexpire(name, int(_LIVES_SECONDS * 1_000))
        return True

    def _renew(self) -> bool:
        try:
            return bool(self._lock.reacquire())
        except LockError:
            self._lock.local.token = None
            return False

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            self._connect()
            answer = question()
            if self._take_commands is not None:
                self._take_commands()
            return answer
        except ReadOnlyError as error:  # a replica that may become the master
            raise ConnectionError(one_line(error)) from error
        except ResponseError as error:
            raise LeaseRefusedError(one_line(error)) from error
        except (RedisError, OSError) as error:
            self._close()
            raise ConnectionError(one_line(error)) from error
        except Exception as error:  # drivers raise anything for bytes that they do not expect
            self._close()
            raise ConnectionError(f"{type(error).__name__}: {one_line(error)}") from error

    def _connect(self) -> None:
        if self._connection is not None:
            return
        self._connection = self._source.clone()
        connect(self._connection, whole_seconds=ANSWER_SECONDS)
        channel: RedisChannel = self._connection.default_channel
        # Not kombu's own client: with a key prefix it prefixes only half of the commands.
        client = redis.Redis(connection_pool=channel.pool)
        token = None if self._lock is None else self._lock.local.token
        self._lock = Lock(
            client,
            f"{channel.global_keyprefix}{self.name}",
            timeout=_LIVES_SECONDS,
            thread_local=False,
        )
        self._lock.local.token = token  # it may be ours still
        if self._overhear is not None:
            self._take_commands = self._overhear(self._connection)

    def _close(self) -> None:
        connection, self._connection, self._take_commands = self._connection, None, None
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if connection is not None:
                connection.release()
