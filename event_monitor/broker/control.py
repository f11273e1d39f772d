"""Control: words to the workers, over a connection of their own that cannot hang for ever.

Celery's ``app.control`` publishes through a pool of connections without any time-out; on a network
that has gone without a word it never returns. Nothing here runs in the receiving thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from celery import uuid
from kombu import Connection, Consumer, Producer

from ..events import OWN_EVENT
from .connections import connect, cut_unless_done, unread

__all__ = ["Reply", "ask_together", "call_out", "mailbox_of", "tell"]

log = logging.getLogger(__name__)

_SECONDS = 5.0  # to connect, and for Redis to answer; on AMQP a dead peer shows by TCP keepalive
_MOST_WORKERS = 5_000  # whose replies are taken in one round; a bound against made-up names
_PICKLE = frozenset({"pickle", "application/x-python-serialize"})  # runs whatever code it holds
_LONGEST_NAME = 255  # characters of a nodename; a longer one cannot be a worker's


@dataclass(frozen=True, slots=True)
class Reply:
    """What one worker said to one command. The body is whatever was sent: nothing is sure of it."""

    hostname: str
    command: str
    body: Any


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


def call_out(app: Any, source: Connection) -> None:
    """Send an event that nobody counts, in a thread: whoever hears it knows that it hears."""

    def send() -> None:
        try:
            with (
                source.clone(connect_timeout=_SECONDS) as connection,
                cut_unless_done(connection, _SECONDS),
            ):
                connect(connection)
                with app.events.Dispatcher(connection) as dispatcher:
                    dispatcher.send(OWN_EVENT)
                connection.release()  # it says farewell, and waits for one
        except Exception as error:  # noqa: BLE001  it is tried again at the next shot
            log.warning("could not send an event to myself: %s", error)

    threading.Thread(target=send, name="control", daemon=True).start()


def ask_together(
    mailbox: Any,
    commands: Collection[str],
    *,
    deadline: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Reply]:
    """Ask several things in one round, and yield the replies as they come.

    ``arguments`` are for those commands that take any.

    Only the workers in ``destination`` are asked, if there are any. It ends at ``deadline`` (on
    ``time.monotonic``), or as soon as everybody in ``destination`` or ``expected``, and everybody
    else that answers, has answered everything. Where nobody is expected, it ends after
    ``quiet_seconds`` in which nobody said or owed anything; without these, at the deadline.

    Pickled replies are not read, whatever the app accepts: workers of an app whose
    ``task_serializer`` is pickle stay unknown.
    """
    channel = mailbox.connection.default_channel
    tickets = {uuid(): command for command in commands}
    heard: list[Reply] = []

    def on_reply(body: Any, message: Any) -> None:
        command = tickets.get(str(message.headers.get("ticket")))
        if command is None or not isinstance(body, dict) or len(body) != 1:
            return
        ((hostname, said),) = body.items()
        if isinstance(hostname, str) and len(hostname) <= _LONGEST_NAME:
            heard.append(Reply(hostname, command, said))

    inbox = mailbox.reply_queue(channel)
    consumer = Consumer(
        channel,
        [inbox],
        callbacks=[on_reply],
        accept=[one for one in mailbox.accept or ("json",) if one not in _PICKLE],
        on_decode_error=lambda _message, _error: None,  # as if it had not come
        no_ack=True,
    )
    awaited = {*destination, *expected}
    known = set(awaited)
    owed = {(hostname, command) for hostname in known for command in commands}
    with consumer:
        _publish(
            mailbox,
            channel,
            tickets,
            arguments or {},
            deadline=deadline,
            destination=destination,
        )
        quiet_at = deadline
        while True:
            if awaited and not owed:
                break
            seconds = (deadline if owed else min(deadline, quiet_at)) - time.monotonic()
            if seconds <= 0:
                break
            with suppress(TimeoutError):
                mailbox.connection.drain_events(timeout=seconds)
            replies, heard[:] = heard[:], ()
            for reply in replies:
                if reply.hostname not in known:
                    if len(known) >= _MOST_WORKERS:
                        continue
                    known.add(reply.hostname)
                    owed.update((reply.hostname, command) for command in commands)
                owed.discard((reply.hostname, reply.command))
                yield reply
            if quiet_seconds is not None and replies:
                quiet_at = time.monotonic() + quiet_seconds
    channel.after_reply_message_received(inbox.name)  # else Redis keeps its binding for ever


@contextmanager
def mailbox_of(app: Any, source: Connection, *, seconds: float | None = None) -> Iterator[Any]:
    """Celery's mailbox on a connection made after ``source``, closed at the end.

    Connecting is tried once per URL of the broker. With ``seconds`` everything is over after
    that time: py-amqp waits for each answer without a limit, so its socket is shut then.
    """
    limit = seconds or _SECONDS
    options = dict(source.transport_options)
    if source.transport.driver_type == "redis":
        options |= {"socket_timeout": limit, "socket_connect_timeout": limit}
        options |= {"socket_keepalive": True}
    with (
        source.clone(connect_timeout=limit, transport_options=options) as connection,
        cut_unless_done(connection, limit) if seconds else nullcontext(),
    ):
        connect(connection)
        channel = connection.default_channel
        channel.Message = unread(channel.Message)  # an answer may be a bomb too
        mailbox = app.control.mailbox(connection)
        mailbox.producer_pool = None  # publish on this connection, not on the pool's
        yield mailbox
        connection.release()  # it says farewell, and waits for one


def _publish(
    mailbox: Any,
    channel: Any,
    tickets: dict[str, str],
    arguments: Mapping[str, Mapping[str, Any]],
    *,
    deadline: float,
    destination: Collection[str],
) -> None:
    """Put all commands on the workers' exchange, as ``kombu.pidbox`` puts one."""
    producer = Producer(channel, auto_declare=False)
    expires_at = time.time() + deadline - time.monotonic()
    for ticket, command in tickets.items():
        producer.publish(
            {
                "method": command,
                "arguments": arguments.get(command, {}),
                "destination": list(destination) or None,
                "pattern": None,
                "matcher": None,
                "ticket": ticket,
                "reply_to": {
                    "exchange": mailbox.reply_exchange.name,
                    "routing_key": mailbox.oid,
                },
            },
            exchange=mailbox.exchange.name,
            declare=[mailbox.exchange],
            headers={"clock": mailbox.clock.forward(), "expires": expires_at},
            serializer=mailbox.serializer,
        )
