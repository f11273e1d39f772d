"""Durable: a quorum queue on RabbitMQ that keeps events while no monitor runs.

A message is acknowledged only when the window it was counted in is in the spool. If we die before,
it is delivered again; the ledger, which is kept with the spool, knows by the message's digest
whether it was counted after all. At most ``prefetch`` messages are unacknowledged at any time, so
at most that many can come twice.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from amqp.exceptions import PreconditionFailed
from celery import uuid
from kombu import Queue

from ..broker.protocols import Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError
from ..snapshot import AckToken
from ..text import one_line
from .amqp import AmqpChannel, AmqpSubscription, declare_exchange
from .amqp_frames import Delivery
from .ledger import Ledger, digest_of
from .subscription import OnInvalid

__all__ = ["DurableQueue", "DurableSubscription"]

log = logging.getLogger(__name__)

#: What RabbitMQ names of a queue that is there with other bounds than ours.
_BOUNDS = re.compile("x-(expires|max-length|delivery-limit|single-active-consumer)")
_DELIVERIES = 2**31 - 1  # RabbitMQ 4 drops a message after 20, and each lost connection is one


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableQueue:
    """The queue's name and bounds, and the ledger of its messages.

    The ledger belongs to the receiving thread; it outlives every subscription to the queue.
    """

    name: str
    prefetch: int  # messages that may be unacknowledged
    max_length: int  # messages
    expires_seconds: float  # without a consumer
    ledger: Ledger = field(compare=False)


class DurableSubscription(AmqpSubscription):
    """A named queue that outlives us, read with acknowledgement."""

    no_ack = False

    def __init__(
        self,
        connection: Connection,
        *,
        queue: Queue,
        on_invalid: OnInvalid,
        durable: DurableQueue,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._durable = durable
        self._session = uuid()
        self._tag = 0
        self._digests: list[bytes] = []
        super().__init__(connection, queue=queue, on_invalid=on_invalid, clock=clock)

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Acknowledge, unless the token is of an earlier connection: its messages come again."""
        if token.session != self._session:
            return
        self._channel.basic_ack(token.tag, multiple=True)
        if last:
            self._close_channel()

    def _queue_like(self, queue: Queue) -> Queue:
        return Queue(
            self._durable.name,
            exchange=queue.exchange,
            routing_key="#",
            durable=True,
            auto_delete=False,
            exclusive=False,
            expires=self._durable.expires_seconds,
            max_length=self._durable.max_length,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-delivery-limit": _DELIVERIES,
            },
        )

    def _consume(self, channel: AmqpChannel) -> None:
        channel.basic_qos(0, self._durable.prefetch, False)
        try:
            super()._consume(channel)
        except PreconditionFailed as error:
            if not _BOUNDS.search(str(error.reply_text or error)):
                raise SettingsError(
                    f"durable_queue is {self._durable.name!r}, and a queue of that name is there "
                    f"which is none for events ({one_line(error.reply_text or error)}). Give it "
                    "another name."
                ) from error
            log.error(
                "queue %s is there with other bounds, and is used as it is (%s); for "
                "durable_max_messages and durable_expire_seconds to take effect, delete it while "
                "it is empty",
                self._durable.name,
                one_line(error.reply_text or error),
                extra={"queue": self._durable.name},
            )
            self._queue.no_declare = True
            second_channel = self.connection.channel()  # the broker has closed the first
            second_channel.basic_qos(0, self._durable.prefetch, False)
            queue = self._queue(second_channel)
            declare_exchange(queue.exchange)
            queue.queue_bind()  # whoever made the queue may not have bound it
            super()._consume(second_channel)

    def _deliver(self, delivery: Delivery) -> None:
        self._tag, is_redelivered, _, body = delivery
        digest = digest_of(body)
        was_counted = is_redelivered and digest in self._durable.ledger
        self._digests.append(digest)
        if not was_counted:
            super()._deliver(delivery)

    def _ack_token(self) -> AckToken | None:
        if not self._digests:
            return None
        for digest in self._digests:  # not before: what is dropped here with us must come again
            self._durable.ledger.add(digest)
        digests, self._digests = tuple(self._digests), []
        return AckToken(self._session, self._tag, digests)
