"""Control: commands to the workers, each on a connection of its own that cannot hang for ever.

Celery's ``app.control`` publishes through a pool of connections without any time-out; if the
network silently drops packets it never returns. Nothing here runs in the receiving thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from celery import uuid
from kombu import Consumer, Message, Producer

from ..clock import SYSTEM_CLOCK, Clock
from ..events import OWN_EVENT
from .connections import connect, socket_deadline, without_decompression
from .protocols import CeleryApp, Channel, Connection, Mailbox

__all__ = ["Arguments", "Reply", "broadcast", "collect_replies", "mailbox_of", "send_own_event"]

log = logging.getLogger(__name__)

_SECONDS = 5.0  # to connect, and for Redis to answer; on AMQP a dead peer shows by TCP keepalive
_MOST_WORKERS = 5_000  # whose replies are taken in one round; a bound against made-up names
_PICKLE = frozenset({"pickle", "application/x-python-serialize"})  # runs whatever code it holds
_LONGEST_NAME = 255  # characters of a nodename; a longer one cannot be a worker's

#: Command → its arguments. Commands that take none may be left out.
Arguments = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one worker replied to one command. The body is untrusted: it may be anything."""

    hostname: str
    command: str
    body: object


def broadcast(app: CeleryApp, source: Connection, *commands: str) -> None:
    """Send commands without a reply, such as ``heartbeat``, to all workers; in a thread.

    Connects to the broker of ``source``. Returns at once; a failure is logged.
    """

    def send() -> None:
        with mailbox_of(app, source) as mailbox:
            for command in commands:
                mailbox.abcast(command)

    _in_a_thread(send, f"could not send the workers {' and '.join(commands)}")


def send_own_event(app: CeleryApp, source: Connection) -> None:
    """Send an event that nobody counts, in a thread: our own receiver proves by it that it works.

    Connects to the broker of ``source``. Returns at once; a failure is logged.
    """

    def send() -> None:
        with (
            source.clone(connect_timeout=_SECONDS) as connection,
            socket_deadline(connection, _SECONDS),
        ):
            connect(connection)
            with app.events.Dispatcher(connection) as dispatcher:
                dispatcher.send(OWN_EVENT)
            connection.release()  # within the deadline: it sends a close, and waits for the answer

    _in_a_thread(send, "could not send an event to myself")


def collect_replies(
    mailbox: Mailbox,
    commands: Collection[str],
    *,
    deadline: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
    arguments: Arguments | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Reply]:
    """Send several commands in one round, and yield the workers' replies as they come.

    Only the workers in ``destination`` are asked, if there are any; else all are. The round ends at
    ``deadline`` (monotonic seconds of the clock), or as soon as everybody in ``destination`` and
    ``expected``, and everybody else who replied at all, has replied to every command. Where nobody
    is named in either, it ends after ``quiet_seconds`` in which no reply came and none was
    outstanding; without these, at the deadline.

    Pickled replies are not read, whatever the app accepts: workers of an app whose
    ``task_serializer`` is pickle stay unknown.
    """
    channel: Channel = mailbox.connection.default_channel
    tickets = {uuid(): command for command in commands}
    received: list[Reply] = []

    def on_reply(body: object, message: Message) -> None:
        reply = _reply_of(body, tickets.get(str(message.headers.get("ticket"))))
        if reply is not None:
            received.append(reply)

    inbox = mailbox.reply_queue(channel)
    consumer = Consumer(
        channel,
        [inbox],
        callbacks=[on_reply],
        accept=[accepted for accepted in mailbox.accept or ("json",) if accepted not in _PICKLE],
        on_decode_error=lambda _message, _error: None,  # ignored, as if it had not come
        no_ack=True,
    )
    replies = _Outstanding(commands, awaited={*destination, *expected})
    with consumer:
        _publish(
            mailbox,
            channel,
            tickets,
            arguments or {},
            destination=destination,
            expires_at=clock.wall() + deadline - clock.monotonic(),
        )
        quiet_at = deadline
        while not replies.are_complete:
            end = deadline if replies.are_outstanding else min(deadline, quiet_at)
            seconds = end - clock.monotonic()
            if seconds <= 0:
                break
            with suppress(TimeoutError):
                mailbox.connection.drain_events(timeout=seconds)
            batch, received[:] = received[:], ()
            yield from (reply for reply in batch if replies.accept(reply))
            if quiet_seconds is not None and batch:
                quiet_at = clock.monotonic() + quiet_seconds
    channel.after_reply_message_received(inbox.name)  # else Redis keeps its binding for ever


@contextmanager
def mailbox_of(
    app: CeleryApp, source: Connection, *, seconds: float | None = None
) -> Iterator[Mailbox]:
    """Yield Celery's mailbox on a clone of the connection ``source``, closed at the end.

    Connecting is tried once per URL of the broker. With ``seconds`` everything has to be done
    within that time: py-amqp waits for each answer without limit, so its socket is shut down then.
    """
    limit = seconds or _SECONDS
    options = dict(source.transport_options)
    if source.transport.driver_type == "redis":
        options |= {"socket_timeout": limit, "socket_connect_timeout": limit}
        options |= {"socket_keepalive": True}
    with (
        source.clone(connect_timeout=limit, transport_options=options) as connection,
        socket_deadline(connection, limit) if seconds else nullcontext(),
    ):
        connect(connection)
        channel: Channel = connection.default_channel
        # A reply may be a decompression bomb, too.
        channel.Message = without_decompression(channel.Message)
        mailbox = app.control.mailbox(connection)
        mailbox.producer_pool = None  # publish on this connection, not on the pool's
        yield mailbox
        connection.release()  # within the deadline: it sends a close, and waits for the answer


class _Outstanding:
    """Which replies of a round have not come yet, of the workers known so far."""

    def __init__(self, commands: Collection[str], *, awaited: Collection[str]) -> None:
        self._commands = commands
        self._someone_is_awaited = bool(awaited)
        self._workers = set(awaited)
        self._outstanding = {(worker, command) for worker in awaited for command in commands}

    @property
    def are_outstanding(self) -> bool:
        """Return whether a known worker has still to reply to a command."""
        return bool(self._outstanding)

    @property
    def are_complete(self) -> bool:
        """Return whether the workers that were awaited, and all others known, have replied."""
        return self._someone_is_awaited and not self._outstanding

    def accept(self, reply: Reply) -> bool:
        """Take note of a reply; return False if it is from one worker too many."""
        if reply.hostname not in self._workers:
            if len(self._workers) >= _MOST_WORKERS:
                return False
            self._workers.add(reply.hostname)
            self._outstanding.update((reply.hostname, command) for command in self._commands)
        self._outstanding.discard((reply.hostname, reply.command))
        return True


def _in_a_thread(send: Callable[[], None], failure: str) -> None:
    def run() -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001  whatever it is, the monitor goes on without it
            log.warning("%s: %s", failure, error)

    threading.Thread(target=run, name="control", daemon=True).start()


def _reply_of(body: object, command: str | None) -> Reply | None:
    """Return what a message replies to our ``command``; None if it is not such a reply."""
    if command is None or not isinstance(body, dict) or len(body) != 1:
        return None
    ((hostname, content),) = body.items()
    if not isinstance(hostname, str) or len(hostname) > _LONGEST_NAME:
        return None
    return Reply(hostname, command, content)


def _publish(
    mailbox: Mailbox,
    channel: Channel,
    tickets: Mapping[str, str],
    arguments: Arguments,
    *,
    destination: Collection[str],
    expires_at: float,
) -> None:
    """Publish all commands to the workers' exchange, as ``kombu.pidbox`` publishes one."""
    producer = Producer(channel, auto_declare=False)
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
