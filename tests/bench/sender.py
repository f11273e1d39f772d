"""Sender: a process that replays a recorded stream, at full speed or at a fixed rate.

``python -m tests.bench.sender URL FILE`` reads lines ``FIRST LAST RATE`` (chunks; events per
second, 0 for full speed) and answers each with the seconds it took, once the broker has them all.
"""

from __future__ import annotations

import json
import mmap
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from amqp import Connection

from .wire import CHUNK_EVENTS, index_of


class _Pipe(Protocol):
    def send(self, data: memoryview, messages: int) -> None:
        """Hand these messages to the broker."""
        ...

    def flush(self) -> None:
        """Wait until the broker has taken everything."""
        ...


class RedisPipe:
    """PUBLISH commands, written in bulk; the answers are only counted."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", urlsplit(url).port or 6379))

    def send(self, data: memoryview, messages: int) -> None:
        self._socket.sendall(data)
        while messages > 0:
            messages -= self._socket.recv(1 << 16).count(b"\n")

    def flush(self) -> None:
        """Do nothing: ``send`` has read every answer."""


class AmqpPipe:
    """Frames written in bulk to the socket of a py-amqp connection; TCP holds us back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = Connection(
            f"127.0.0.1:{parts.port}", virtual_host=parts.path[1:], heartbeat=0
        )
        self._connection.connect()
        self._channel = self._connection.channel(1)
        self._socket = self._connection.transport.sock

    def send(self, data: memoryview, messages: int) -> None:
        del messages
        self._socket.sendall(data)

    def flush(self) -> None:
        self._channel.basic_qos(0, 0, False)  # answered after all that was published before


def replay(pipe: _Pipe, data: memoryview, chunks: list[list[int]], first: int, rate: int) -> None:
    """Send the chunks from ``first`` on, all given; ``rate`` events per second, 0 for no limit."""
    began = time.monotonic()
    for number in range(first, len(chunks)):
        start = chunks[number - 1][0] if number else 0
        end, messages = chunks[number]
        if rate:
            due = began + (number - first) * CHUNK_EVENTS / rate
            time.sleep(max(0.0, due - time.monotonic()))
        pipe.send(data[start:end], messages)


def main(url: str, path: Path) -> None:
    """Serve the lines of stdin until it is closed."""
    pipes: dict[str, Callable[[str], _Pipe]] = {"redis": RedisPipe, "amqp": AmqpPipe}
    pipe = pipes[urlsplit(url).scheme](url)
    chunks = json.loads(index_of(path).read_text())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        data = memoryview(mapped)
        for line in sys.stdin:
            first, last, rate = map(int, line.split())
            began = time.monotonic()
            replay(pipe, data, chunks[:last], first, rate)
            pipe.flush()
            sys.stdout.write(f"{time.monotonic() - began}\n")
            sys.stdout.flush()
        data.release()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
