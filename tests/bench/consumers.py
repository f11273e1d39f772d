"""Consumers: the yardsticks, each a process: ``python -m tests.bench.consumers NAME``.

They take ``BROKER_URL`` and, on SIGTERM, write to the file ``BENCH_COUNT`` how many events (the raw
kombu consumer: messages) they have received.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import hiredis
import msgspec
from kombu import Connection, Consumer, Exchange, Message, Queue

from .proj import app


class Task(msgspec.Struct, gc=False):
    """The fields of an event that any monitor needs."""

    type: str
    hostname: str
    timestamp: float
    uuid: str | None = None
    name: str | None = None
    runtime: float | None = None
    processed: int | None = None


class Envelope(msgspec.Struct, gc=False):
    """The one field of kombu's envelope that matters here; msgspec decodes the base64 in it."""

    body: bytes


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_one = msgspec.json.Decoder(Task).decode
decode_list = msgspec.json.Decoder(list[Task]).decode


class Seen:
    """How many events, or messages, were received."""

    def __init__(self) -> None:
        self.number = 0

    def body(self, body: bytes) -> None:
        """Decode the events of a body, and count them."""
        self.number += len(decode_list(body)) if body[:1] == b"[" else bool(decode_one(body))

    def event(self, _event: object) -> None:
        """Count an event, or a message, without reading it."""
        self.number += 1


def socket_floor(url: str, seen: Seen) -> None:
    """Read Redis through a bare socket, hiredis and msgspec: no monitor can do with less."""
    link = socket.create_connection(("127.0.0.1", urlsplit(url).port or 6379))
    link.sendall(b"PSUBSCRIBE /0.celeryev/*\r\n")
    reader = hiredis.Reader()
    # hiredis moves what is left in its buffer after every reply, so it likes small portions.
    while data := link.recv(1 << 14):
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if reply[0] == b"pmessage":
                seen.body(decode_envelope(reply[3]).body)


def kombu_raw(url: str, seen: Seen) -> None:
    """Consume with kombu, and look at no message."""
    _consume(url, seen.event)


def kombu_decoding(url: str, seen: Seen) -> None:
    """Consume with kombu, and decode every event."""
    _consume(url, lambda message: seen.body(message.body.encode()))


def receiver(url: str, seen: Seen) -> None:
    """Consume with Celery's event receiver, and a handler that only counts."""
    with Connection(url) as connection:
        app.events.Receiver(connection, handlers={"*": seen.event}).capture(wakeup=False)


CONSUMERS: dict[str, Callable[[str, Seen], None]] = {
    "socket_floor": socket_floor,
    "kombu_raw": kombu_raw,
    "kombu_decoding": kombu_decoding,
    "receiver": receiver,
}


def _consume(url: str, on_message: Callable[[Message], None]) -> None:
    with Connection(url) as connection:
        exchange = Exchange("celeryev", type="topic")
        queue = Queue("bench", exchange, "#", auto_delete=True, durable=False, exclusive=True)
        with Consumer(connection.channel(), [queue], on_message=on_message, no_ack=True):
            for _ in count():
                connection.drain_events()


def _end(*_: object) -> None:
    raise SystemExit(0)


def main(name: str) -> None:
    """Consume until SIGTERM."""
    seen = Seen()
    signal.signal(signal.SIGTERM, _end)
    try:
        CONSUMERS[name](os.environ["BROKER_URL"], seen)
    finally:
        Path(os.environ["BENCH_COUNT"]).write_text(str(seen.number))


if __name__ == "__main__":
    main(sys.argv[1])
