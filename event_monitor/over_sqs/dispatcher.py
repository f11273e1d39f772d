"""Dispatcher: Celery's event dispatcher, which hands all events to the sender and none to a broker.

All that Celery sends passes ``_publish``: single events, lists of buffered ones, and task-sent.
Each process that publishes a task makes a dispatcher, so this imports nothing that sends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from celery.events.dispatcher import EventDispatcher

from .configuration import event_queue_of

__all__ = ["SqsDispatcher", "unconnected_dispatcher"]

log = logging.getLogger(__name__)

_FAULT = "an event is lost by a fault of this package"


class SqsDispatcher(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Celery's class, but for where events go. Never raises for their sake, and never waits."""

    DISABLED_TRANSPORTS: frozenset[str] = frozenset()

    _outgoing: Any = None

    def enable(self) -> None:
        """Let events through; what sending needs is imported here, in this thread."""
        import_module(f"{__package__}.outgoing")
        import_module(f"{__package__}.queue_client").prepare()
        super().enable()

    def close(self) -> None:
        """Let no more events through, after those that wait for others to be sent with them."""
        with self.mutex:
            self._hand_over_groups()
            if self._outgoing is not None:
                try:
                    self._outgoing.close()
                except Exception:
                    log.exception(_FAULT)
        super().close()

    def _publish(self, event: Any, producer: object, routing_key: str, **_options: object) -> None:
        del producer, routing_key  # they are of the broker
        try:
            if not isinstance(event, list):
                if event["type"] == "task-sent" and not self._sends_for_producers():
                    return
                if event["type"] == "worker-offline":
                    self._hand_over_groups()
            if self._outgoing is None:
                self._outgoing = import_module(f"{__package__}.outgoing").Outgoing(self.app)
            self._outgoing.hand_over(event)
        except Exception:
            log.exception(_FAULT)

    def _sends_for_producers(self) -> bool:
        queue = event_queue_of(self.app)
        return queue is not None and queue.producers

    def _hand_over_groups(self) -> None:
        """Hand over what is buffered; the mutex is held."""
        for events in self._group_buffer.values():
            batch = list(events)
            del events[: len(batch)]
            if batch:
                self._publish(batch, None, "")


@contextmanager
def unconnected_dispatcher(
    app: Any, hostname: str | None = None, enabled: bool = True, **_options: object
) -> Iterator[SqsDispatcher]:
    """Take the place of ``app.events.default_dispatcher``, which would connect to the broker."""
    with app.events.Dispatcher(hostname=hostname, enabled=enabled) as dispatcher:
        yield dispatcher
