"""Protocols: the parts of Celery's and kombu's objects that this package uses.

Neither ships types. What is named here is all that may be relied on; everything else of theirs is
reached through one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["CeleryApp", "Channel", "Conf", "Connection", "Transport"]

Errors = tuple[type[BaseException], ...]


class Transport(Protocol):
    """``kombu.transport.base.Transport``: the kind of broker."""

    driver_type: str  # redis, amqp, sqs, memory, …


class Channel(Protocol):
    """``kombu.transport.virtual.Channel``, or py-amqp's."""

    Message: Any

    def close(self) -> None:
        """Close it."""
        ...


class Connection(Protocol):
    """``kombu.Connection``."""

    transport_cls: str  # the scheme of its URL
    transport_options: dict[str, Any]
    virtual_host: str
    userid: str | None
    password: str | None
    connection_errors: Errors
    channel_errors: Errors

    @property
    def transport(self) -> Transport:
        """Return the transport; imports what it needs, connects to nothing."""
        ...

    @property
    def connected(self) -> bool:
        """Return whether it is connected."""
        ...

    @property
    def connection(self) -> Any:
        """Return the transport's own connection; makes one if there is none."""
        ...

    @property
    def default_channel(self) -> Any:
        """Return the one channel that is opened on demand."""
        ...

    def as_uri(self) -> str:
        """Return the URL with the password masked."""
        ...

    def clone(self, **changes: Any) -> Connection:
        """Return a connection like this one, not connected."""
        ...

    def connect(self) -> Any:
        """Connect."""
        ...

    def channel(self) -> Any:
        """Open a channel."""
        ...

    def ensure_connection(
        self, errback: Callable[[BaseException, float], None], **options: Any
    ) -> Any:
        """Connect, asking ``errback`` after each failure."""
        ...

    def drain_events(self, *, timeout: float | None = None) -> None:
        """Wait for one event and hand it to its consumer."""
        ...

    def release(self) -> None:
        """Close it."""
        ...

    def __enter__(self) -> Connection: ...

    def __exit__(self, *exception: object) -> None: ...


class Conf(Protocol):
    """``celery.app.utils.Settings``: the app's configuration."""

    event_exchange: str
    event_queue_prefix: str
    event_serializer: str

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting."""
        ...


class Dispatcher(Protocol):
    """``celery.events.EventDispatcher``."""

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002  Celery's own word
        """Send one event."""
        ...


class AppEvents(Protocol):
    """``app.events``: what makes receivers and dispatchers."""

    receiver_cls: Any

    def Dispatcher(  # noqa: N802  Celery's own name
        self, connection: Connection
    ) -> AbstractContextManager[Dispatcher]:
        """Make a dispatcher on that connection."""
        ...


class AppAmqp(Protocol):
    """``app.amqp``: queues and routes."""

    queues: Mapping[str, Any]
    routes: Any


class CeleryApp(Protocol):
    """``celery.Celery``."""

    main: str | None
    conf: Conf
    amqp: AppAmqp
    control: Any
    events: AppEvents

    def connection_for_read(self) -> Connection:
        """Return a connection to where messages are consumed, not connected."""
        ...

    def connection_for_write(self) -> Connection:
        """Return a connection to where messages are published, not connected."""
        ...
