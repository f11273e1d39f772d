"""Control: words to the workers, over a connection of their own that cannot hang for ever.

Celery's ``app.control`` publishes through a pool of connections without any time-out; on a network
that has gone without a word it never returns. Nothing here runs in the receiving thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection

__all__ = ["ask", "mailbox_of", "tell"]

log = logging.getLogger(__name__)

_SECONDS = 5.0  # to connect, and for Redis to answer; on AMQP a dead peer shows by TCP keepalive
_REDIS = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "socket_keepalive": True}


def tell(app: Any, source: Connection, *commands: str) -> None:
    """Send commands that nobody answers, such as ``heartbeat``; in a thread, without waiting."""

    def send() -> None:
        try:
            with mailbox_of(app, source) as mailbox:
                for command in commands:
                    mailbox.abcast(command)
        except Exception as error:  # noqa: BLE001  the workers are not told; that is all
            log.warning("could not tell the workers %s: %s", "and ".join(commands), error)

    threading.Thread(target=send, name="control", daemon=True).start()


def ask(mailbox: Any, command: str, *, timeout: float) -> dict[str, Any]:
    """The answers of all workers that answer within ``timeout`` seconds, by nodename."""
    answers: dict[str, Any] = {}
    for answer in mailbox.multi_call(command, timeout=timeout) or ():
        answers.update(answer)
    return answers


@contextmanager
def mailbox_of(app: Any, source: Connection) -> Iterator[Any]:
    """Celery's mailbox on a connection made after ``source``, closed at the end."""
    options = dict(source.transport_options)
    if source.transport.driver_type == "redis":
        options |= _REDIS
    with source.clone(connect_timeout=_SECONDS, transport_options=options) as connection:
        connection.connect()
        mailbox = app.control.mailbox(connection)
        mailbox.producer_pool = None  # publish on this connection, not on the pool's
        yield mailbox
