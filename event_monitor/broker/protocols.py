"""Protocols: the parts of Celery's and kombu's objects that this package uses.

Neither ships types. What is named here is all that may be relied on; everything else of theirs is
reached through one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import Any, Protocol

__all__ = [
    "AppAmqp",
    "AppEvents",
    "CeleryApp",
    "Channel",
    "Conf",
    "Connection",
    "Control",
    "Dispatcher",
    "Errors",
    "Mailbox",
    "QueueDeclared",
    "RedisChannel",
    "Transport",
]

Errors = tuple[type[BaseException], ...]  # what an ``except`` clause takes


class Implements(Protocol):
    """``kombu.transport.base.Implements``: what a transport can do."""

    exchange_type: Collection[str]  # direct, topic, fanout, headers


class Transport(Protocol):
    """``kombu.transport.base.Transport``: the kind of broker."""

    driver_type: str  # redis, amqp, sqs, memory, …
    implements: Implements


class QueueDeclared(Protocol):
    """The broker's answer to the declaration of a queue."""

    message_count: int  # ready
    consumer_count: int


class Channel(Protocol):
    """``kombu.transport.virtual.Channel``, or kombu's subclass of py-amqp's."""

    Message: type  # what it makes of a message received

    def queue_declare(self, *, queue: str, passive: bool) -> QueueDeclared:
        """Declare a queue; passively, ask for it without making one."""
        ...

    def after_reply_message_received(self, queue: str) -> None:
        """Drop what the transport keeps of a queue of replies."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class RedisChannel(Channel, Protocol):
    """``kombu.transport.redis.Channel``: how it keeps queues, from the app's transport options."""

    global_keyprefix: str
    keyprefix_queue: str  # of the key of an exchange's bindings, with a ``%s`` for its name
    priority_steps: Sequence[int]
    ack_emulation: bool
    unacked_key: str
    pool: Any  # redis.ConnectionPool

    def get_table(self, exchange: str) -> Iterable[tuple[str, ...]]:
        """Return the exchange's bindings: routing key, pattern and queue of each."""
        ...

    def _q_for_pri(self, queue: str, pri: int) -> str:
        """Return the key of the list that holds the queue's messages of one priority."""
        ...

    def _get_publish_topic(self, exchange: str, routing_key: str) -> str:
        """Return the pub/sub channel of a fanout exchange, without the key prefix."""
        ...


class Connection(Protocol):
    """``kombu.Connection``."""

    transport_cls: str  # the scheme of its URL
    transport_options: dict[str, Any]
    hostname: str | None
    port: int | None
    virtual_host: str
    userid: str | None
    password: str | None
    ssl: object  # a truth value, or a mapping of TLS options
    heartbeat: object  # seconds
    alt: Sequence[str]  # the URLs to try in turn, if there are several
    connection_errors: Errors
    channel_errors: Errors

    @property
    def transport(self) -> Transport:
        """Return the transport; imports what it needs, connects to nothing."""
        ...

    def get_transport_cls(self) -> type[Transport]:
        """Return its class; imports what it needs."""
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

    def clone(self, **changes: object) -> Connection:
        """Return a connection like this one, not connected."""
        ...

    def connect(self) -> object:
        """Connect."""
        ...

    def channel(self) -> Any:
        """Open a channel."""
        ...

    def ensure_connection(
        self,
        errback: Callable[[BaseException, float], None],
        *,
        reraise_as_library_errors: bool = True,
    ) -> object:
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
    task_default_queue: str

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting."""
        ...

    def update(self, changes: Mapping[str, object]) -> object:
        """Change settings."""
        ...


class Dispatcher(Protocol):
    """``celery.events.EventDispatcher``."""

    def send(self, type: str, **fields: object) -> None:  # noqa: A002  Celery's own word
        """Send one event."""
        ...


class AppEvents(Protocol):
    """``app.events``: what makes receivers and dispatchers."""

    receiver_cls: object  # a class, or its name

    def Dispatcher(  # noqa: N802  Celery's own name
        self,
        connection: Connection,
        *,
        channel: object = None,
        buffer_while_offline: bool = True,
    ) -> AbstractContextManager[Dispatcher]:
        """Make a dispatcher on that connection; it may keep what cannot be sent for later."""
        ...


class AppAmqp(Protocol):
    """``app.amqp``: queues and routes."""

    queues: Mapping[str, Any]  # kombu's queues, by name
    routes: Iterable[object]  # ``celery.app.routes.MapRoute``, or functions


class LogicalClock(Protocol):
    """``kombu.clocks.LamportClock``."""

    def forward(self) -> int:
        """Advance it, and return it."""
        ...


class Exchange(Protocol):
    """``kombu.Exchange``."""

    name: str


class Mailbox(Protocol):
    """``kombu.pidbox.Mailbox``, bound to a connection: what commands to workers go through."""

    connection: Connection
    exchange: Exchange  # to the workers
    reply_exchange: Exchange  # from the workers
    oid: str  # the routing key of replies to this thread
    clock: LogicalClock
    serializer: str | None
    accept: Sequence[str] | None  # content types of replies
    producer_pool: object

    def abcast(self, command: str) -> object:
        """Send a command to all workers, and ask for no reply."""
        ...

    def reply_queue(self, channel: Channel) -> Any:
        """Return the kombu queue that replies come to, bound to the channel."""
        ...


class Control(Protocol):
    """``app.control``."""

    def mailbox(self, connection: Connection) -> Mailbox:
        """Return the app's mailbox on that connection."""
        ...


class Loader(Protocol):
    """``celery.loaders.base.BaseLoader``."""

    def import_default_modules(self) -> object:
        """Import what the app includes and finds by itself, as a worker does at its start."""
        ...


class CeleryApp(Protocol):
    """``celery.Celery``."""

    main: str | None
    conf: Conf
    loader: Loader
    tasks: Mapping[str, object]  # the registered ones, Celery's own among them
    amqp: AppAmqp
    control: Control
    events: AppEvents

    @property
    def timezone(self) -> tzinfo:
        """Return the zone in which its crontabs are read."""
        ...

    def finalize(self) -> None:
        """Make it complete: some apps add their periodic tasks only then."""
        ...

    def config_from_object(self, settings: object) -> object:
        """Read the configuration from a module's variables."""
        ...

    def connection_for_read(self) -> Connection:
        """Return a connection to where messages are consumed, not connected."""
        ...

    def connection_for_write(self) -> Connection:
        """Return a connection to where messages are published, not connected."""
        ...
