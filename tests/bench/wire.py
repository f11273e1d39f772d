"""Wire: a stream as the bytes a sender writes to its broker, encoded beforehand into a file.

On Redis these are PUBLISH commands with kombu's envelope; on RabbitMQ the three frames of a
Basic.Publish. The bytes were compared with what Celery's own dispatcher sends.
"""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from amqp.basic_message import Message as AmqpMessage

from .stream import Message, Spec, messages

CHUNK_EVENTS = 1_000  # the sender's smallest portion: 20 ms at 50,000 events/s

_METHOD, _HEADER, _BODY, _FRAME_END = 1, 2, 3, b"\xce"  # AMQP 0-9-1, section 2.3
_BASIC, _PUBLISH, _CHANNEL = 60, 40, 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some messages that follow each other: where their bytes end, and what is in them."""

    end: int
    messages: int
    types: Counter[str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stream in a file, in chunks; beside it an index of the chunks for the sender."""

    path: Path
    chunks: tuple[Chunk, ...]

    def truth(self, first: int = 0, last: int | None = None) -> Counter[str]:
        """Count the events by type, and ``messages``, in the chunks of that range."""
        total: Counter[str] = Counter()
        for chunk in self.chunks[first:last]:
            total.update(chunk.types)
            total["messages"] += chunk.messages
        return total


def events_in(truth: Counter[str]) -> int:
    """Count all the events of a truth."""
    return truth.total() - truth["messages"]


def record(spec: Spec, broker: str, events: int, path: Path) -> Recorded:
    """Write so many events (rounded up to whole chunks) as ``broker`` wants them."""
    encode = ENCODERS[broker]
    chunks: list[Chunk] = []
    types: Counter[str] = Counter()
    number = end = written = 0
    with path.open("wb") as file:
        for message in messages(spec, started_at=time.time()):
            end += file.write(encode(message))
            number += 1
            types.update(message.types)
            written += len(message.types)
            if written >= CHUNK_EVENTS * (len(chunks) + 1):
                chunks.append(Chunk(end, number, types))
                types, number = Counter(), 0
                if written >= events:
                    break
    index_of(path).write_text(json.dumps([[chunk.end, chunk.messages] for chunk in chunks]))
    return Recorded(path, tuple(chunks))


def index_of(path: Path) -> Path:
    """Return where the sender finds the chunks of a recorded stream."""
    return path.with_suffix(".json")


def _redis(message: Message) -> bytes:
    key = message.routing_key
    tag = f"{zlib.crc32(message.body.encode()):08x}-cd6f-4ec8-a0a6-6f3e3c2f6a4c"  # any UUID
    envelope = (
        f'{{"body": "{base64.b64encode(message.body.encode()).decode()}", '
        '"content-encoding": "utf-8", "content-type": "application/json", '
        f'"headers": {{"hostname": "{message.hostname}"}}, "properties": {{"delivery_mode": 1, '
        f'"delivery_info": {{"exchange": "celeryev", "routing_key": "{key}"}}, '
        f'"priority": 0, "body_encoding": "base64", "delivery_tag": "{tag}"}}}}'
    )
    channel = f"/0.celeryev/{key}"
    return (
        f"*3\r\n$7\r\nPUBLISH\r\n${len(channel)}\r\n{channel}\r\n${len(envelope)}\r\n{envelope}\r\n"
    ).encode()


def _rabbitmq(message: Message) -> bytes:
    body = message.body.encode()
    properties = _properties(message.hostname)
    return b"".join(
        (
            _method(message.routing_key),
            _frame(_HEADER, struct.pack(">HHQ", _BASIC, 0, len(body)) + properties),
            _frame(_BODY, body),
        )
    )


@lru_cache
def _method(routing_key: str) -> bytes:
    names = b"".join(struct.pack("B", len(n)) + n.encode() for n in ("celeryev", routing_key))
    return _frame(_METHOD, struct.pack(">HHH", _BASIC, _PUBLISH, 0) + names + b"\0")


@lru_cache(maxsize=10_000)
def _properties(hostname: str) -> bytes:
    serialized: bytes = AmqpMessage(
        "",
        content_type="application/json",
        content_encoding="utf-8",
        application_headers={"hostname": hostname},
        delivery_mode=1,
        priority=0,
    )._serialize_properties()
    return serialized


def _frame(type_: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", type_, _CHANNEL, len(payload)) + payload + _FRAME_END


ENCODERS: dict[str, Callable[[Message], bytes]] = {"redis": _redis, "rabbitmq": _rabbitmq}
