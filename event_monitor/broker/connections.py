"""Connections: time limits and refusals that kombu and py-amqp do not have themselves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from urllib.parse import unquote

from ..exchange import Exchange
from ..redaction import MASK, shown_url
from .protocols import Connection

__all__ = ["connect", "shown", "socket_deadline", "without_decompression"]


#: For one URL. A time-out of the drivers is for each read: byte by byte a server goes on for ever.
_WHOLE_SECONDS = 20.0


def connect(connection: Connection, *, whole_seconds: float = _WHOLE_SECONDS) -> None:
    """Connect, in one attempt at each URL: kombu's own ``connect`` pauses and starts over.

    Raises ``LateError``, which is an ``OSError``, if a URL takes longer than ``whole_seconds``.
    """
    # The URLs of Redis Sentinel name one cluster: kombu tries all of them in one attempt.
    is_one_cluster = connection.transport_cls == "sentinel"
    exchange = Exchange(whole_seconds * max(1, len(connection.alt)), holds_all=True)

    def give_up(error: BaseException, pause_seconds: float) -> None:
        exchange.check()
        if pause_seconds or is_one_cluster:  # kombu pauses when every URL has been tried
            raise error

    def attempt() -> None:
        connection.ensure_connection(give_up, reraise_as_library_errors=False)
        exchange.hold(connection.release)  # at once, where nobody waits for it any more

    exchange.run(attempt)


def shown(connection: Connection) -> str:
    """Return the URL of a connection as it may be printed.

    Kombu's ``as_uri`` masks a password that does not exist, and shows a user that is a token.
    """
    scheme, separator, rest = connection.as_uri().partition("://")
    user, at, place = rest.rpartition("@")
    host, slash, path = place.partition("/")
    if at and slash and connection.password and unquote(path) == connection.password:
        rest = f"{user}@{host}/{MASK}"  # typed as the virtual host, too
    if at and not connection.password and user == f":{MASK}":
        return shown_url(f"{scheme}://{place}")
    if at and not connection.password and connection.userid:
        return shown_url(f"{scheme}://{MASK}@{place}")
    return shown_url(f"{scheme}{separator}{rest}")


@contextmanager
def socket_deadline(connection: Connection, seconds: float) -> Iterator[None]:
    """Shut an AMQP socket down if the block takes longer: py-amqp waits for answers without limit.

    The block then fails with one of the connection's errors. Other transports have time-outs of
    their own; with them this does nothing.
    """

    def shut_down() -> None:
        if connection.connected:  # else `connection.connection` would connect
            with suppress(AttributeError, OSError):
                connection.connection.sock.shutdown(socket.SHUT_RDWR)

    if connection.transport.driver_type != "amqp":
        yield
        return
    watchdog = threading.Timer(seconds, shut_down)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


@lru_cache
def without_decompression(message_class: type) -> type:
    """Return a subclass of a transport's message class that leaves a compressed body as it is.

    Kombu decompresses in the constructor, before anybody can refuse: 1 MB may become gigabytes.
    Its attribute ``compressed`` is True for such a body.
    """

    class Message(message_class):  # type: ignore[misc]  # a class known at run time
        compressed = False

        def __init__(self, payload: object, channel: object = None, **options: object) -> None:
            # py-amqp's message object, or the dict of kombu's virtual transports.
            properties = getattr(payload, "properties", None)
            holder = payload if properties is None else properties
            key = "headers" if properties is None else "application_headers"
            if isinstance(holder, dict):
                headers = holder.get(key)
                if isinstance(headers, dict) and headers.get("compression"):
                    self.compressed = True
                    holder[key] = {
                        name: value for name, value in headers.items() if name != "compression"
                    }
            super().__init__(payload, channel=channel, **options)

    return Message
