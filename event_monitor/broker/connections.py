"""Connections: to a broker, without waiting for ever: what kombu and py-amqp have no limit for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

__all__ = ["connect", "cut_unless_done", "unread"]


def connect(connection: Any) -> None:
    """Connect, in one attempt at each URL: kombu's own ``connect`` pauses and begins again."""
    takes_all_at_once = connection.transport_cls == "sentinel"  # its URLs are of one cluster

    def give_up(error: BaseException, pause_seconds: float) -> None:
        if pause_seconds or takes_all_at_once:  # all of them have been tried
            raise error

    connection.ensure_connection(give_up, reraise_as_library_errors=False)


@contextmanager
def cut_unless_done(connection: Any, seconds: float) -> Iterator[None]:
    """Shut the socket down after a while: py-amqp waits for each answer without a limit.

    Other transports have time-outs of their own; with them it does nothing.
    """

    def cut() -> None:
        if connection.connected:  # else `connection.connection` would connect
            with suppress(AttributeError, OSError):
                connection.connection.sock.shutdown(socket.SHUT_RDWR)

    if connection.transport.driver_type != "amqp":
        yield
        return
    watchdog = threading.Timer(seconds, cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


@lru_cache
def unread(message_class: type) -> type:
    """A transport's message class that leaves a compressed body as it is.

    Kombu's decompresses in its constructor, before anybody can refuse: 1 MB may become gigabytes.
    """

    class UnreadMessage(message_class):  # type: ignore[misc]  # a class known at run time
        compressed = False

        def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
            of_amqp = hasattr(payload, "properties")
            holder = payload.properties if of_amqp else payload
            key = "application_headers" if of_amqp else "headers"
            headers = holder.get(key)
            if isinstance(headers, dict) and headers.get("compression"):
                self.compressed = True
                holder[key] = {k: v for k, v in headers.items() if k != "compression"}
            super().__init__(payload, channel=channel, **options)

    return UnreadMessage
