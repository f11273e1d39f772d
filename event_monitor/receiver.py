"""Receiver: broker in, typed events out. Connects, decodes, reconnects for ever."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import lru_cache
from typing import Any

from celery import uuid
from celery.app import app_or_default
from celery.events.receiver import EventReceiver
from kombu import Connection, Consumer
from kombu.exceptions import OperationalError

from . import events as ev
from .errors import EventMonitorError, InvalidEvent

__all__ = ["Receiver"]

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 1.0  # longest a quiet broker keeps us from noticing that we should stop
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts to connect
_CONNECT_SECONDS = 5.0
_MOST_BROKEN_READS = 100  # in a row, before the connection itself is taken for broken
_JSON = ("application/json", None, "")  # kombu on Redis may leave the content type out


class Receiver(EventReceiver):  # type: ignore[misc]  # Celery ships no types
    """Celery's event receiver on the raw message: nothing is decoded that is not counted.

    ``on_events`` gets the events of one message, in order; ``on_invalid`` what was none;
    ``on_connection`` whether the broker can be heard. Without ``on_events`` the ``handlers`` of
    Celery's receiver are called, each with one typed event. Making one connects to nothing.
    """

    app: Any = None  # Celery's ``app.events.Receiver`` sets it on the class
    on_events: Callable[[Sequence[ev.Event]], None] | None = None
    on_invalid: Callable[[InvalidEvent], None] | None = None
    on_connection: Callable[[bool], None] | None = None
    enable_events = False  # turn task events on in workers that were started without -E

    def __init__(
        self,
        channel: Any = None,
        handlers: Mapping[str, Callable[[Any], None]] | None = None,
        *,
        app: Any = None,
        **options: Any,
    ) -> None:
        self.app = app_or_default(app or self.app)
        if channel is not None and not isinstance(channel, Connection):
            channel = channel.connection.client
        self._source: Connection = channel or self.app.connection_for_read()
        super().__init__(None, handlers=handlers, app=self.app, **options)
        self._stop_requested = threading.Event()
        self._stop_by: float | None = None
        self._workers_joined = False

    @property
    def connection(self) -> Connection:
        """The connection this receiver makes its own ones after; itself never opened."""
        return self._source

    def stop(self) -> None:
        """Let ``capture`` return within a second or two. Safe from a signal handler."""
        self._stop_by = time.monotonic() + _DRAIN_SECONDS
        self.should_stop = True
        self._stop_requested.set()

    def consume(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> Iterator[None]:
        """Receive until stopped, however often the broker goes away; yields after every read.

        ``limit``: return after so many reads. ``timeout``: raise ``TimeoutError`` after so many
        seconds without one. ``wakeup``: ask all workers for a heartbeat after connecting.
        """
        reads = failures = 0
        while not self.should_stop:
            connection = self._source.clone(connect_timeout=_CONNECT_SECONDS)
            idle = False
            try:
                with self._subscribed(connection, wakeup=wakeup) as consumer:
                    failures = 0
                    for quiet_seconds in self._reads(connection, consumer):
                        idle = timeout is not None and quiet_seconds >= timeout
                        if idle:
                            break
                        if not quiet_seconds:
                            reads += 1
                            yield
                        if limit is not None and reads >= limit:
                            return
            except _StoppedUnderLoad:
                return
            except _lost(connection) as error:
                self._lost_broker(connection, error, failures)
                failures += 1
            if idle:
                raise TimeoutError(f"no event for {timeout} s")

    def _reads(self, connection: Connection, consumer: Consumer) -> Iterator[float]:
        """Read for ever; yields the seconds without a message so far, 0 after one."""
        meant = (*_lost(connection), EventMonitorError, _StoppedUnderLoad)
        broken_reads = 0
        heard_at = time.monotonic()
        while not self.should_stop:
            try:
                connection.drain_events(timeout=_DRAIN_SECONDS)
            except TimeoutError:
                yield time.monotonic() - heard_at
                continue
            except meant:
                raise
            except Exception as error:
                broken_reads += 1
                self._refuse("broken message", repr(error))
                if broken_reads >= _MOST_BROKEN_READS:
                    raise OperationalError(f"nothing but broken messages: {error!r}") from error
                continue
            broken_reads = 0
            heard_at = time.monotonic()
            if self._workers_joined and self.enable_events:
                self._workers_joined = False
                self.app.control.enable_events(connection=connection, channel=consumer.channel)
            yield 0.0

    @contextmanager
    def _subscribed(self, connection: Connection, *, wakeup: bool) -> Iterator[Consumer]:
        """Connect, bind a queue of our own to the event exchange, and consume from it."""
        with connection:
            connection.connect()
            channel = connection.channel()
            channel.Message = _unread(channel.Message)
            queue = copy(self.queue)  # a new name: the broker may still hold the last one
            queue.name = f"{self.queue_prefix}.{uuid()}"
            consumer = Consumer(
                channel,
                queues=[queue],
                on_message=self._on_message,
                on_decode_error=lambda _message, error: self._refuse("encoding", repr(error)),
                no_ack=True,
            )
            with consumer:
                log.info("receiving events from %s", connection.as_uri())
                if self.on_connection is not None:
                    self.on_connection(True)
                self._workers_joined = self.enable_events
                self.on_consume_ready(connection, channel, [consumer], wakeup=wakeup)
                yield consumer

    def on_consume_ready(
        self,
        connection: Connection,
        channel: Any,
        consumers: Sequence[Consumer],
        wakeup: bool = True,
        **options: Any,
    ) -> None:
        """Ask every worker for a heartbeat, so that the roster is complete at once."""
        del consumers, options
        if wakeup:
            self.app.control.broadcast("heartbeat", connection=connection, channel=channel)

    def _on_message(self, message: Any) -> None:
        if self._stop_by is not None and time.monotonic() > self._stop_by:
            raise _StoppedUnderLoad
        if message.compressed:
            self._refuse("compressed message")  # Celery never sends one; it may be a bomb
            return
        if message.content_type not in _JSON:
            self._refuse("content type", repr(message.content_type)[:80])
            return
        body = message.body
        received = ev.decode(
            body.encode() if isinstance(body, str) else bytes(body or b""),
            on_invalid=self._invalid,
        )
        if not received:
            return
        if self.enable_events and any(type(one) is ev.WorkerOnline for one in received):
            self._workers_joined = True
        try:
            self._hand_over(received)
        except Exception as error:
            raise EventMonitorError(f"counting an event failed: {error!r}") from error

    def _hand_over(self, received: Sequence[ev.Event]) -> None:
        if self.on_events is not None:
            self.on_events(received)
            return
        for event in received:
            kind = getattr(event, "type", None) or type(event).__struct_config__.tag
            handler = self.handlers.get(kind) or self.handlers.get("*")
            if handler:
                handler(event)

    def _invalid(self, error: InvalidEvent) -> None:
        if self.on_invalid is not None:
            self.on_invalid(error)

    def _refuse(self, kind: str, detail: str = "") -> None:
        self._invalid(InvalidEvent(kind, detail))

    def _lost_broker(self, connection: Connection, error: BaseException, failures: int) -> None:
        """Say so, and wait a little longer each time, so that a herd does not return at once."""
        if self.on_connection is not None:
            self.on_connection(False)
        ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10))
        pause = ceiling * (0.5 + random.random() / 2)  # noqa: S311  no secret hangs on it
        log.warning(
            "broker %s is away (%s); next try in %.1f s",
            connection.as_uri(),
            str(error).strip() or type(error).__name__,
            pause,
        )
        self._stop_requested.wait(pause)


class _StoppedUnderLoad(Exception):  # noqa: N818  not an error
    """Events kept coming after the stop; the read is cut here."""


def _lost(connection: Connection) -> tuple[type[BaseException], ...]:
    """Everything that means that this connection is gone."""
    return (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)


@lru_cache
def _unread(message_class: type) -> type:
    """A transport's message class that leaves a compressed body as it is.

    Kombu's decompresses in its constructor, before anybody can refuse: 1 MB may become gigabytes.
    """

    class UnreadMessage(message_class):  # type: ignore[misc]  # a class known at run time
        compressed = False

        def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
            of_amqp = hasattr(payload, "properties")
            headers = payload.properties if of_amqp else payload
            key = "application_headers" if of_amqp else "headers"
            if (headers.get(key) or {}).get("compression"):
                self.compressed = True
                headers[key] = {k: v for k, v in headers[key].items() if k != "compression"}
            super().__init__(payload, channel=channel, **options)

    return UnreadMessage
