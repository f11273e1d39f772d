"""Broker: the embedded one, made of files, and the cleaning up of a real one.

kombu's filesystem transport lets a reader take a message that is still being written (up to 0.7 %
were lost, measured), mixes up messages of the same millisecond, and truncates the table of
bindings before it locks it. A demo that compares to the last count cannot live with that, so
writing, reading and binding are atomic here.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty
from typing import Protocol

from celery import Celery
from kombu.exceptions import KombuError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

from ..clock import SYSTEM_CLOCK
from .identity import LONG_QUEUE, WORK_QUEUE, Run

__all__ = ["Transport", "clean_up"]

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel whose messages appear whole and in the order they were sent."""

    def _put(self, queue: str, payload: object, **_: object) -> None:
        # The monotonic clock is the machine's, so the order holds between processes too.
        nanoseconds = round(SYSTEM_CLOCK.monotonic() * 1e9)
        name = f"{nanoseconds:020}_{uuid.uuid4().hex}.{queue}.msg"
        unfinished = Path(self.data_folder_out, f"{name}.new")
        unfinished.write_text(dumps(payload), encoding="utf-8")
        unfinished.rename(unfinished.with_name(name))

    def _get(self, queue: str) -> object:
        folder = Path(self.data_folder_in)
        for name in sorted(path.name for path in folder.glob(f"*.{queue}.msg")):
            if name.partition(".")[2] != f"{queue}.msg":
                continue  # the message of a queue whose name only ends like ours
            taken = folder / f"{name}.taken"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue  # another consumer of the queue was faster
            payload: object = loads(taken.read_text(encoding="utf-8"))
            taken.unlink()
            return payload
        raise Empty

    def get_table(self, exchange: str) -> object:
        """Return the bindings of an exchange, read under the lock."""
        with self._locked():
            return super().get_table(exchange)

    def _queue_bind(self, *args: object) -> None:
        with self._locked():
            super()._queue_bind(*args)

    def _delete(self, *args: object, **kwargs: object) -> None:
        with self._locked():
            super()._delete(*args, **kwargs)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.control_folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            yield


class Transport(filesystem.Transport):  # type: ignore[misc]  # kombu has no types
    """kombu's filesystem transport without its races."""

    Channel = Channel


class RedisClient(Protocol):
    """What cleaning up needs of ``redis.Redis``, as kombu's channel holds it."""

    def scan_iter(self, match: str, count: int) -> Iterable[bytes]:
        """Yield the full names of the keys that match."""
        ...

    def delete(self, *names: str) -> object:
        """Delete keys; kombu's client puts its key prefix before each name."""
        ...


class AmqpChannel(Protocol):
    """What cleaning up needs of ``amqp.Channel``."""

    def queue_delete(self, queue: str) -> object:
        """Delete a queue."""
        ...

    def exchange_delete(self, exchange: str) -> object:
        """Delete an exchange."""
        ...


def clean_up(app: Celery, run: Run) -> None:
    """Remove from a real broker whatever carries the run's name. Call it when all else ended.

    A broker that is gone by then is logged, not raised.
    """
    with app.connection_for_write() as connection:
        try:
            channel = connection.default_channel
            if connection.transport.driver_type == "redis":
                _clean_up_redis(channel.client, run)
            else:
                _clean_up_amqp(channel, run)
        except (*connection.connection_errors, *connection.channel_errors, KombuError) as error:
            log.warning("what begins with %s may still be on the broker: %s", run.name, error)


def _clean_up_redis(client: RedisClient, run: Run) -> None:
    prefix = f"{run.name}:"
    for key in list(client.scan_iter(match=f"{prefix}*", count=1_000)):
        client.delete(key.decode().removeprefix(prefix))


def _clean_up_amqp(channel: AmqpChannel, run: Run) -> None:
    queues = (run.queue(WORK_QUEUE), run.queue(LONG_QUEUE))
    for queue in queues:
        channel.queue_delete(queue)
    control = f"{run.control_exchange}.pidbox"
    for exchange in (*queues, run.event_exchange, control, f"reply.{control}"):
        channel.exchange_delete(exchange)
