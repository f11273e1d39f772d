"""Order: whether two subscribers of one broker get the events of several senders in one order.

``python -m tests.soak.order --help``. Where they do not, a window that ends at an event of our own
has other events for one monitor than for the other; that is what a takeover may count twice, or
lose. On Redis there is one order; on RabbitMQ each sender has a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from celery import Celery
from kombu import Connection, Exchange, Queue

from event_monitor.broker.own_events import OwnEventSender
from event_monitor.events import OWN_EVENT

from ..support.servers import RabbitServer
from ..support.synthetic import SyntheticWorker

BATCH = 20  # tasks, of three events each, in two messages
MARKERS_SECONDS = 0.1  # between two
SENT_SECONDS = 0.002


def send(url: str, name: str, over: Event) -> None:
    """Be one worker, that is busy, until it is over."""
    worker = SyntheticWorker(url, name)
    while not over.wait(SENT_SECONDS):
        worker.run(BATCH)
    worker.close()


@dataclass(frozen=True, slots=True)
class Message:
    """One that came: told apart from all others by its body."""

    digest: bytes
    events: int
    is_marker: bool


def taken(connection: Connection, queue: Queue) -> list[Message]:
    """Return all that came to a queue, in its order."""
    bound, messages = queue(connection.default_channel), []
    while (message := bound.get(no_ack=True)) is not None:
        found = json.loads(message.body)
        is_marker = isinstance(found, dict) and found["type"] == OWN_EVENT
        events = len(found) if isinstance(found, list) else 1
        digest = hashlib.sha256(str(message.body).encode()).digest()
        messages.append(Message(digest, 0 if is_marker else events, is_marker))
    return messages


def differences(first: Sequence[Message], second: Sequence[Message]) -> tuple[int, int]:
    """Return at how many places the two have not had the same so far, and how many messages."""
    missing: set[bytes] = set()
    places = most = 0
    for a, b in zip(first, second, strict=True):
        missing ^= {a.digest}
        missing ^= {b.digest}
        places += bool(missing)
        most = max(most, len(missing) // 2)
    assert not missing, "all of them have come, to both"
    return places, most


def before_markers(messages: Sequence[Message]) -> list[int]:
    """Return how many events stand before each marker."""
    counts, events = [], 0
    for message in messages:
        events += message.events
        if message.is_marker:
            counts.append(events)
    return counts


def main() -> int:
    """Run it, and say how much the two differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.order", description=__doc__)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="order-") as folder, ExitStack() as stack:
        server = RabbitServer(Path(folder))
        stack.callback(server.stop)
        url = server.fresh_url()
        connection = stack.enter_context(Connection(url))
        exchange = Exchange("celeryev", "topic")
        queues = [Queue(f"order-{n}", exchange, "#", durable=True) for n in range(2)]
        for queue in queues:
            queue(connection.default_channel).declare()
        processes = multiprocessing.get_context("spawn")
        over, app = processes.Event(), Celery("order", broker=url, set_as_current=False)
        senders = [
            processes.Process(target=send, args=(url, f"w{n}@order", over))
            for n in range(asked.senders)
        ]
        for sender in senders:
            sender.start()
        markers, began = OwnEventSender(app), time.monotonic()
        while time.monotonic() - began < asked.seconds:
            markers.send(window=str(time.monotonic()))
            over.wait(MARKERS_SECONDS)
        over.set()
        for sender in senders:
            sender.join()
        seconds = time.monotonic() - began
        markers.close()
        first, second = (taken(connection, queue) for queue in queues)
    places, most = differences(first, second)
    pairs = zip(before_markers(first), before_markers(second), strict=True)
    apart = [abs(a - b) for a, b in pairs]
    events = sum(message.events for message in first)
    print(  # noqa: T201  it is what it is for
        f"{asked.senders} senders, {events / seconds:,.0f} events and {len(first) / seconds:,.0f} "
        f"messages a second. The two queues differ at {places} of {len(first)} messages, by {most} "
        f"messages at most; at {sum(map(bool, apart))} of {len(apart)} ends of windows, by "
        f"{max(apart)} events at most, {sum(apart) / len(apart):.2f} on average"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
