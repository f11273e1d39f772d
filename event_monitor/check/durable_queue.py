"""Durable queue: whether this user may make, bind and read the queue that keeps events.

It needs more rights than to count does, and RabbitMQ tells them only to who tries.
"""

from __future__ import annotations

from contextlib import suppress

from amqp.exceptions import NotFound

from ..broker.connections import connect, socket_deadline
from ..broker.protocols import CeleryApp, Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError
from ..receiver import Receiver
from ..receiver.durable import DurableQueue
from ..receiver.ledger import Ledger
from ..receiver.transports import subscription_to
from ..settings import Settings
from ..text import one_line
from .finding import Finding
from .rights import Need, missing_right

__all__ = ["examine_durable_queue"]

_NAME = "durable queue"
_SECONDS = 5.0
_RETRY_SECONDS = 0.1


def examine_durable_queue(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> Finding | None:
    """Open the queue as the monitor does, and leave it as it was; None where none is wanted.

    One that is not there is made and deleted again. A monitor that reads it goes on doing so.
    """
    name = settings.durable_queue
    if not name:
        return None
    receiver = Receiver(app.connection_for_read(), app=app)
    if receiver.connection.transport.driver_type != "amqp":
        return Finding(
            _NAME,
            "failed",
            "it needs RabbitMQ: other brokers keep no events",
            "Leave durable_queue out.",
        )
    durable = DurableQueue(
        name=name,
        prefetch=1,  # messages that come to us go back
        max_length=settings.durable_max_messages,
        expires_seconds=settings.durable_expire_seconds,
        ledger=Ledger(1),
    )
    subscription = subscription_to(
        receiver.connection,
        queue=receiver.queue,
        on_invalid=lambda _error: None,
        durable=durable,
        clock=clock,
    )
    try:
        was_there = _is_there(receiver.connection, name)
        try:
            subscription.open()
        finally:
            subscription.close()
            if not was_there:
                with suppress(*subscription.gone):  # such as: it could not be made
                    _delete(receiver.connection, name, clock=clock)
    except SettingsError as error:
        return Finding(_NAME, "failed", str(error))
    except subscription.gone as error:
        return Finding(
            _NAME,
            "failed",
            f"{name!r} cannot be used: {missing_right(error, Need()) or one_line(error)}",
            f"The monitor has to configure, write (to bind it) and read the queue {name!r}, and "
            f"to read the exchange {app.conf.event_exchange!r}.",
        )
    return Finding(_NAME, "ok", f"{name!r} can be made, bound and read")


def _is_there(source: Connection, name: str) -> bool:
    """Return whether there is a queue of that name; to ask needs no right."""
    with source.clone(connect_timeout=_SECONDS) as connection:
        connect(connection)
        with socket_deadline(connection, _SECONDS):
            try:
                connection.default_channel.queue_declare(name, passive=True)
            except NotFound:
                return False
    return True


def _delete(source: Connection, name: str, *, clock: Clock) -> None:
    """Delete a queue that we have made, unless a monitor has begun to read it meanwhile.

    RabbitMQ notices only after a moment that we ourselves do not read it any more, and deletes no
    quorum queue on condition.
    """
    deadline = clock.monotonic() + _SECONDS
    with source.clone(connect_timeout=_SECONDS) as connection:
        connect(connection)
        with socket_deadline(connection, 2 * _SECONDS):
            channel = connection.default_channel
            while channel.queue_declare(name, passive=True).consumer_count:
                if clock.monotonic() > deadline:
                    return
                clock.sleep(_RETRY_SECONDS)
            channel.queue_delete(name)
