"""Event messages: what comes in the SQS queue of events, looked at without taking it away.

They are received with a visibility timeout of 0, so they are there for the next receive at once,
and never deleted: a monitor that runs misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent
from ..events import WorkerEvent
from ..events import decode as decode_events
from ..over_sqs.configuration import EventQueue
from ..over_sqs.wire import decode
from .event_queue import SqsClient
from .listener import ReceivedEvent

__all__ = ["Heard", "listen"]

_WAIT_SECONDS = 1  # for messages, per receive
_PAUSE_SECONDS = 0.5  # after one that brought nothing new


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the messages in the queue say, and how many of them somebody else has received.

    ``is_all``: nothing waits that was not seen; SQS hands out a sample of what waits.
    """

    received: tuple[ReceivedEvent, ...] = ()  # in the order in which each sender sent them
    invalid: int = 0  # messages, or events in them, that are none
    in_flight: int = 0
    is_all: bool = True

    def workers_since(self, timestamp: float) -> frozenset[str]:
        """Return the workers whose heartbeat is not older than that."""
        return frozenset(
            each.event.hostname
            for each in self.received
            if isinstance(each.event, WorkerEvent)
            and each.event.type != "worker-offline"
            and each.event.timestamp >= timestamp
        )

    @property
    def queues(self) -> frozenset[str]:
        """Return the queues of tasks that workers say they read."""
        return frozenset(
            queue
            for each in self.received
            if isinstance(each.event, WorkerEvent) and each.event.facts is not None
            for queue in each.event.facts.queues or ()
        )


def listen(
    client: SqsClient,
    queue: EventQueue,
    *,
    seconds: float,
    clock: Clock = SYSTEM_CLOCK,
) -> Heard:
    """Look at the messages in the queue as they come, for ``seconds`` at least.

    For longer if no worker is heard and nobody else receives: until a heartbeat that is sent by
    then must have come. Takes no message away from the monitor, so of what a running one receives
    nothing is seen here but that it is in flight. Raises botocore's errors.
    """
    url = queue.url or client.get_queue_url(QueueName=queue.name)["QueueUrl"]
    began_at = clock.monotonic()
    patience = max(seconds, queue.beat_seconds + queue.flush_seconds + _WAIT_SECONDS)
    since = clock.wall() - 2 * queue.beat_seconds - queue.flush_seconds
    bodies: dict[str, tuple[float, str]] = {}  # message id → when it was sent, and its body
    while True:
        known = len(bodies)
        answer = client.receive_message(
            QueueUrl=url,
            VisibilityTimeout=0,
            WaitTimeSeconds=_WAIT_SECONDS,
            MaxNumberOfMessages=10,
            AttributeNames=["SentTimestamp"],
        )
        for message in answer.get("Messages", ()):
            sent_at = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1_000
            bodies.setdefault(message["MessageId"], (sent_at, message["Body"]))
        waiting, in_flight = _counts(client, url)
        is_all = waiting <= len(bodies)
        heard = replace(_heard(bodies.values()), in_flight=in_flight, is_all=is_all)
        elapsed = clock.monotonic() - began_at
        if elapsed >= patience:
            return heard
        if elapsed >= seconds and (in_flight or heard.workers_since(since)):
            return heard
        if len(bodies) == known:
            clock.sleep(_PAUSE_SECONDS)


def _counts(client: SqsClient, url: str) -> tuple[int, int]:
    """Return how many messages wait, and how many are with a reader."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    waiting, in_flight = (int(found.get(name, 0)) for name in names)
    return waiting, in_flight


def _heard(messages: Iterable[tuple[float, str]]) -> Heard:
    """Return what these messages say: ``SentTimestamp`` and body of each."""
    invalid: list[InvalidEvent] = []
    read = []
    for sent_at, body in messages:
        try:
            read.append((sent_at, decode(body)))
        except InvalidEvent as error:
            invalid.append(error)
    read.sort(key=lambda each: (each[0], each[1].header.sender, each[1].header.seq))
    received = tuple(
        ReceivedEvent(event, sent_at)
        for sent_at, message in read
        for event in decode_events(message.lines, on_invalid=invalid.append)
    )
    return Heard(received=received, invalid=len(invalid))
