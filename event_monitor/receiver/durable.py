"""Durable: a quorum queue on RabbitMQ that keeps events while no monitor runs.

A message is acknowledged only when the window it was counted in is in the spool. If we die before,
it is delivered again; whether it was counted after all is told by its digest, of which the last
ones are kept with the spool. At most ``prefetch`` messages are unacknowledged at any time, so at
most that many can come twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from amqp.exceptions import PreconditionFailed
from celery import uuid
from kombu import Queue

from ..snapshot import AckToken
from .amqp import AmqpSubscription
from .amqp_frames import Delivery
from .subscription import OnInvalid

__all__ = ["DurableSubscription", "Ledger", "Terms"]

log = logging.getLogger(__name__)

_DELIVERIES = 2**31 - 1  # RabbitMQ 4 drops a message after 20, and each lost connection is one
_DIGEST_BYTES = 8  # of 20,000 messages two have the same with a probability of 1 in 10¹¹


class Ledger:
    """The digests of the last messages counted: at least ``limit`` of them, at most twice that."""

    def __init__(self, limit: int, digests: bytes = b"") -> None:
        self._limit = limit
        self._young: dict[bytes, None] = {}
        self._old: dict[bytes, None] = {}
        for start in range(0, len(digests), _DIGEST_BYTES):
            self.add(digests[start : start + _DIGEST_BYTES])

    @staticmethod
    def count(digests: bytes) -> int:
        """How many digests the bytes hold."""
        return len(digests) // _DIGEST_BYTES

    def add(self, digest: bytes) -> None:
        """Remember one more."""
        self._young.pop(digest, None)  # what comes again is the youngest again
        self._young[digest] = None
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}

    def __contains__(self, digest: object) -> bool:
        return digest in self._young or digest in self._old

    def to_bytes(self) -> bytes:
        """The last ``limit``, oldest first, as the constructor takes them.

        Not all: a successor would take their number for its limit, and twice as many every time.
        """
        every = [one for one in self._old if one not in self._young]
        return b"".join([*every, *self._young][-self._limit :])


@dataclass(frozen=True, slots=True)
class Terms:
    """How the queue is kept: its name and bounds. ``ledger`` outlives every subscription."""

    queue: str
    prefetch: int
    max_length: int
    expires_seconds: float
    ledger: Ledger = field(compare=False)


class DurableSubscription(AmqpSubscription):
    """A named queue that outlives us, read with acknowledgement."""

    no_ack = False

    def __init__(self, connection: Any, *, queue: Any, on_invalid: OnInvalid, terms: Terms) -> None:
        self._terms = terms
        self._session = uuid()
        self._tag = 0
        self._digests: list[bytes] = []
        super().__init__(connection, queue=queue, on_invalid=on_invalid)

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Acknowledge, unless these were of an earlier connection: then they come again."""
        if token.session != self._session:
            return
        self._channel.basic_ack(token.tag, multiple=True)
        if last:
            self._leave_channel()

    def _queue_like(self, queue: Any) -> Any:
        return Queue(
            self._terms.queue,
            exchange=queue.exchange,
            routing_key="#",
            durable=True,
            auto_delete=False,
            exclusive=False,
            expires=self._terms.expires_seconds,
            max_length=self._terms.max_length,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-delivery-limit": _DELIVERIES,
            },
        )

    def _consume(self, channel: Any) -> None:
        channel.basic_qos(0, self._terms.prefetch, False)
        try:
            super()._consume(channel)
        except PreconditionFailed as error:
            log.error(
                "queue %s is there with other bounds, and is used as it is (%s); to have "
                "durable_max_messages and durable_expire_seconds obeyed, delete it while it is "
                "empty",
                self._terms.queue,
                str(error.reply_text or error).strip(),
            )
            self._queue.no_declare = True
            again = self.connection.channel()  # the broker has closed the other
            again.basic_qos(0, self._terms.prefetch, False)
            super()._consume(again)

    def _deliver(self, delivery: Delivery) -> None:
        self._tag, redelivered, _, body = delivery
        digest = blake2b(body, digest_size=_DIGEST_BYTES).digest()
        again = redelivered and digest in self._terms.ledger
        self._digests.append(digest)
        self._terms.ledger.add(digest)
        if not again:
            super()._deliver(delivery)

    def _receipt(self) -> AckToken | None:
        if not self._digests:
            return None
        digests, self._digests = tuple(self._digests), []
        return AckToken(self._session, self._tag, digests)
