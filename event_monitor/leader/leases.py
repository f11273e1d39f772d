"""Leases: which lease suits which broker. Each one's module is imported only when it is chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from .holder import Holder
from .lease import Lease
from .overhearing import OnCommand, overhearing

__all__ = ["lease_for", "lease_name"]

_DIGITS = 12
_EXCHANGE = "celeryev"  # Celery's own
_FANOUT_PREFIX = "/{db}."  # kombu's own, on Redis


def lease_name(app: CeleryApp, settings: Settings) -> str:
    """Return what the lease is called, the same for all who would publish the same series.

    Without the broker: it is kept there. Whoever may declare an event queue may declare this.
    """
    only = settings.only_tasks, settings.only_queues, settings.only_workers
    published = settings.namespace, sorted(settings.dimensions), only
    identity = repr((*published, *_source_of(app)))
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{app.conf.event_queue_prefix}.leader.{digest}"


def _source_of(app: CeleryApp) -> tuple[object, ...]:
    """Return by what its events are told from others of the broker; nothing for the defaults."""
    exchange, connection = app.conf.event_exchange, app.connection_for_write()
    prefix: object = _FANOUT_PREFIX
    if connection.get_transport_cls().driver_type == "redis":
        prefix = connection.transport_options.get("fanout_prefix", True) or ""
    if not isinstance(prefix, str):  # kombu's own, for anything else that is true
        prefix = _FANOUT_PREFIX
    is_default = (exchange, prefix) == (_EXCHANGE, _FANOUT_PREFIX)
    return () if is_default else (exchange, prefix)


def lease_for(
    app: CeleryApp,
    name: str,
    *,
    holder: Holder,
    others: Callable[[], bool] = lambda: True,
    on_command: OnCommand | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Lease | None:
    """Return the lease of that name on the app's broker; None for a broker that has none.

    ``on_command`` gets the commands that are sent to the workers, when the lease is asked for.
    """
    connection = app.connection_for_write()
    driver = connection.get_transport_cls().driver_type
    overhear = None if on_command is None else overhearing(app, on_command)
    if driver == "redis":
        from .redis_lease import RedisLease

        return RedisLease(connection, name=name, holder=holder, overhear=overhear)
    if driver == "amqp":
        from .amqp_lease import AmqpLease

        return AmqpLease(connection, name=name, others=others, overhear=overhear, clock=clock)
    return None
