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
from .amqp import AmqpChannel, AmqpSubscription
from .amqp_frames import Delivery
from .ledger import Ledger, digest_of
from .subscription import OnInvalid

__all__ = ["DurableQueue", "DurableSubscription"]

log = logging.getLogger(__name__)

#: How RabbitMQ names the first bound in which a queue differs from the one that is declared.
_OTHER_BOUND = re.compile(
    r"arg '(x-(?:expires|max-length|delivery-limit))'.* but current is (?:'(\d+)'|none)"
)
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
        self.prefetch = durable.prefetch
        self._session = uuid()
        self._tag = self._acknowledged_tag = 0
        self._digests: list[bytes] = []
        super().__init__(connection, queue=queue, on_invalid=on_invalid, clock=clock)

    @property
    def is_full(self) -> bool:
        """Whether as many messages are unacknowledged as may be."""
        return self._tag - self._acknowledged_tag >= self._durable.prefetch

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Acknowledge, unless the token is of an earlier connection: its messages come again."""
        if token.session != self._session or token.tag <= self._acknowledged_tag:
            return
        with self._writing():
            self._channel.basic_ack(token.tag, multiple=True)
        self._acknowledged_tag = token.tag
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
            queue_arguments={
                "x-expires": int(self._durable.expires_seconds * 1_000),
                "x-max-length": self._durable.max_length,
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-delivery-limit": _DELIVERIES,
            },
        )

    def _consume(self, channel: AmqpChannel) -> None:
        differences: list[str] = []
        while True:
            try:
                super()._consume(channel)
                break
            except PreconditionFailed as error:
                differences.append(self._adopt_bound(str(error.reply_text or error)))
                channel = self.connection.channel()  # the broker has closed the other
        if differences:
            log.error(
                "queue %s is there with other bounds, and is used as it is (%s); for "
                "durable_max_messages and durable_expire_seconds to take effect, delete it while "
                "it is empty",
                self._durable.name,
                ", ".join(differences),
                extra={"queue": self._durable.name},
            )

    def _adopt_bound(self, difference: str) -> str:
        """Take over a bound of the queue that is there; return in what it differs.

        Raises ``SettingsError`` if it differs in anything that our settings cannot change: it may
        be somebody's queue of tasks, which must not be read.
        """
        arguments = self._queue.queue_arguments
        found = _OTHER_BOUND.search(difference)
        argument, value = found.groups() if found else ("", None)
        # Queues of ours have always had the other two.
        if argument not in arguments or not (value or argument == "x-delivery-limit"):
            raise SettingsError(
                f"durable_queue is {self._durable.name!r}, and a queue of that name is there which "
                f"is none of ours ({one_line(difference)}). Give it another name, or delete that "
                "queue while it is empty."
            )
        before = arguments.pop(argument)
        if value:
            arguments[argument] = int(value)
        return f"{argument} is {value or 'none'}, not {before}"

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
