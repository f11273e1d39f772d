"""Brokers: private servers, behind the few questions that a benchmark asks of either."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ..support.servers import RabbitServer, RedisServer

__all__ = ["BROKERS", "Broker", "Rabbit", "Redis", "running"]


class Redis:
    """Events on the pub/sub channel of database 0, which the recorded commands name."""

    def __init__(self, folder: Path) -> None:
        self._server = RedisServer(folder)

    def fresh_url(self) -> str:
        """Return a URL at which the next consumer is alone."""
        return f"redis://127.0.0.1:{self._server.port}/0"

    def has_listener(self, url: str) -> bool:
        """Return whether somebody would receive an event sent now."""
        del url
        return self._ask("PUBSUB NUMPAT") != b":0\r\n"

    def limit(self, *, default: bool) -> None:
        """Cut slow subscribers off, as Redis does by default, or never."""
        limits = "33554432 8388608 60" if default else "0 0 0"
        self._ask(f'CONFIG SET client-output-buffer-limit "pubsub {limits}"')

    def _ask(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self._server.port)) as link:
            link.sendall(f"{command}\r\n".encode())
            return link.recv(64)

    def stop(self) -> None:
        """Kill it."""
        self._server.stop()


class Rabbit:
    """Each consumer gets a virtual host of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = RabbitServer(folder)

    def fresh_url(self) -> str:
        """Return a URL at which the next consumer is alone."""
        return self._server.fresh_url()

    def has_listener(self, url: str) -> bool:
        """Return whether somebody would receive an event sent now."""
        path = f"exchanges{urlsplit(url).path}/celeryev/bindings/source"
        with contextlib.suppress(urllib.error.HTTPError):  # nobody has declared it yet
            return bool(self._server.management("GET", path))
        return False

    def limit(self, *, default: bool) -> None:
        """Nothing to do: its limit is the queue's TTL, which the consumer sets."""

    def stop(self) -> None:
        """Kill it."""
        self._server.stop()


Broker = Redis | Rabbit
BROKERS: dict[str, type[Redis] | type[Rabbit]] = {"redis": Redis, "rabbitmq": Rabbit}
BATCHES = {"redis": 2, "rabbitmq": 8}  # events per message, as real workers send them there


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Broker]:
    """Start a server, and stop it at the end of the block."""
    (folder / name).mkdir()
    broker = BROKERS[name](folder / name)
    try:
        yield broker
    finally:
        broker.stop()
