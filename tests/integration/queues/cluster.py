"""Cluster: a broker, an app that uses it, and probes of its queues."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from celery import Celery
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from event_monitor.probes.queues import QueueProbe, queue_probe_to
from event_monitor.settings import Settings

from ...support.servers import RabbitServer, Server

SETTINGS = Settings(probe_seconds=30.0)  # in which a slow broker, too, answers

#: How long the management API's counters may lag behind.
LAG_SECONDS = 60


class Cluster:
    """A broker of one kind, the app that uses it, and probes of it; all closed at the end."""

    def __init__(
        self, url: str, *, arguments: dict[str, object] | None = None, **options: object
    ) -> None:
        self.url = url
        self.app = Celery("probed", broker=url, set_as_current=False)
        self.app.conf.broker_transport_options = options
        self._arguments = arguments
        self._closing = ExitStack()
        self.connection: Connection = self._closing.enter_context(self.app.connection_for_write())

    def probe(
        self, *, to: str | None = None, settings: Settings = SETTINGS, management_url: str = ""
    ) -> QueueProbe:
        """A probe of this broker, or of it under another address."""
        app = self.app
        if to is not None:
            app = Celery("probed", broker=to, set_as_current=False)
            app.conf.broker_transport_options = self.app.conf.broker_transport_options
        probe = queue_probe_to(app, replace(settings, management_url=management_url))
        self._closing.callback(probe.close)
        return probe

    def queue(self, name: str) -> Queue:
        """A queue of that name, as the cluster's kind declares it."""
        return Queue(name, Exchange(""), routing_key=name, queue_arguments=self._arguments)

    def publish(self, name: str, count: int = 1, **options: object) -> None:
        """Put so many messages into a queue.

        All of it goes through one channel that stays open: RabbitMQ may forget the numbers of a
        closed one before its management API has counted them.
        """
        channel = self.connection.default_channel
        self.queue(name)(channel).queue_declare()
        for number in range(count):
            Producer(channel).publish({"n": number}, routing_key=name, **options)

    def take(self, name: str, count: int) -> None:
        """Consume so many messages, acknowledging none, until the end of the test."""
        connection = self._closing.enter_context(self.app.connection_for_read())
        taken: list[Message] = []
        channel = connection.channel()
        channel.basic_qos(0, count, False)
        consumer = Consumer(channel, [self.queue(name)], on_message=taken.append)
        consumer.consume()
        deadline = time.monotonic() + 60
        while len(taken) < count and time.monotonic() < deadline:
            with suppress(TimeoutError):  # until the deadline of the whole
                connection.drain_events(timeout=5)
        assert len(taken) == count

    def close(self) -> None:
        """Close every probe and connection."""
        self._closing.close()


Make = Callable[[str], Cluster]


def management_url(server: Callable[[str], Server]) -> str:
    """The URL of RabbitMQ's management API."""
    rabbitmq = server("rabbitmq")
    assert isinstance(rabbitmq, RabbitServer)
    return f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"
