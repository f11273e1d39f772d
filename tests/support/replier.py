"""Replier: somebody inside this process who replies to every command, truly or not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery


@contextmanager
def replier(
    app: Celery, *bodies: object, name: str = "liar@host", serializer: str = "json"
) -> Iterator[None]:
    """Reply all of this to each command, on the app's broker."""
    done = threading.Event()
    connection = app.connection_for_read()
    mailbox = app.control.mailbox(connection)

    def reply(request: dict[str, Any], _message: object) -> None:
        for body in bodies:
            mailbox._publish_reply(
                body,
                request["reply_to"]["exchange"],
                request["reply_to"]["routing_key"],
                request["ticket"],
                channel=connection.default_channel,
                serializer=serializer,
            )

    mailbox.Node(name, channel=connection.default_channel).listen(callback=reply)

    def listen() -> None:
        while not done.is_set():
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.05)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        connection.release()
