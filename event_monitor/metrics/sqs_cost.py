"""SQS cost: what the requests cost that carry events over SQS. Pure.

The pace costs, not the events: each worker sends a message per flush, however few events it has.
"""

from __future__ import annotations

from dataclasses import dataclass

from .prices import SECONDS_PER_MONTH

__all__ = ["SQS_PRICE_SOURCE", "SqsTraffic"]

SQS_PRICE_SOURCE = "SQS: $0.40 a million requests (aws.amazon.com/sqs/pricing)"
_DOLLARS_PER_REQUEST = 0.40 / 1_000_000  # of a standard queue; each is below 64 KiB
_DOLLARS_PER_LEASE_REQUEST = 0.50 / 1_000_000  # of a FIFO queue
_WORKER_EVENTS, _PRODUCER_EVENTS = 3, 1  # of each task: received, started, ended; sent
_FLUSH_EVENTS = 200  # a sender that has so many does not wait
_BATCH = 10  # messages, of one receive or delete
_MOST_SHORT_RECEIVES = 1.0  # a second, of fewer than ten messages: a pause follows each
_LONG_POLL_SECONDS = 20.0  # a receive waits so long where nothing comes
_LEASE_SECONDS = 20.0  # between two renewals


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsTraffic:
    """The senders of events, how many tasks end a second, and how often a sender sends.

    ``producers``: processes that send their task-sent events.
    """

    workers: int
    tasks_per_second: float = 0.0
    producers: int = 0
    flush_seconds: float = 10.0
    beat_seconds: float = 20.0

    @property
    def messages_per_second(self) -> float:
        """Return how many messages all of them send."""
        beats = 1 / self.beat_seconds
        return self._sent(self.workers, _WORKER_EVENTS, least=beats) + self._sent(
            self.producers, _PRODUCER_EVENTS, least=0.0
        )

    @property
    def requests(self) -> float:
        """Return the requests of a month: to send, to receive and to delete."""
        messages = self.messages_per_second
        short = min(_MOST_SHORT_RECEIVES, messages + 1 / _LONG_POLL_SECONDS)
        receives = max(short, messages / _BATCH)
        return SECONDS_PER_MONTH * (messages + receives + messages / _BATCH)

    @property
    def dollars(self) -> float:
        """Return what a month costs, the lease of the monitor included."""
        lease = SECONDS_PER_MONTH / _LEASE_SECONDS * _DOLLARS_PER_LEASE_REQUEST
        return self.requests * _DOLLARS_PER_REQUEST + lease

    def _sent(self, senders: int, events_per_task: int, *, least: float) -> float:
        if not senders:
            return 0.0
        events = events_per_task * self.tasks_per_second / senders
        by_time = min(events, 1 / self.flush_seconds)
        return senders * max(least, by_time, events / _FLUSH_EVENTS)
