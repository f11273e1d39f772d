"""Control: commands to the workers, each on a connection of its own that cannot hang for ever.

Celery's ``app.control`` publishes through a pool of connections without any time-out; if the
network silently drops packets it never returns. Nothing here runs in the receiving thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from celery import uuid
from kombu import Consumer, Message, Producer

from ..clock import SYSTEM_CLOCK, Clock
from ..text import one_line
from .capabilities import answers_remote_control
from .connections import connect, socket_deadline, without_decompression
from .outstanding import Outstanding
from .protocols import CeleryApp, Channel, Connection, Mailbox

__all__ = [
    "SENDER_HEADER",
    "Question",
    "Reply",
    "broadcast",
    "collect_replies",
    "mailbox_of",
]

log = logging.getLogger(__name__)

_SECONDS = 5.0  # to connect, and for Redis to answer; on AMQP a dead peer shows by TCP keepalive
_PICKLE = frozenset({"pickle", "application/x-python-serialize"})  # runs whatever code it holds
SENDER_HEADER = "sender"  # of our questions, by which versions without a lock are told apart
_SENDER = "celery-event-monitor"
_LONGEST_NAME = 255  # characters of a nodename; a longer one cannot be a worker's


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Several commands to the workers in one round: to whom, and when the round is over.

    Only the workers in ``destination`` are asked, if there are any; else all are. The round ends
    as soon as everybody in ``destination`` and ``expected``, and everybody else who replied at all,
    has replied to every command. Where nobody is named in either, it ends after ``quiet_seconds``
    in which no reply came and none was outstanding; without these, at its deadline.

    ``arguments`` has those of each command that takes any. ``on_unreadable`` is called for each
    reply that is not read; where only some workers are asked, it is the answer of one of them.
    """

    commands: Collection[str]
    destination: Collection[str] = ()
    expected: Collection[str] = ()
    quiet_seconds: float | None = None
    arguments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    on_unreadable: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one worker replied to one command. The body is untrusted: it may be anything."""

    hostname: str
    command: str
    body: object


def broadcast(app: CeleryApp, source: Connection, *commands: str) -> None:
    """Send commands without a reply, such as ``heartbeat``, to all workers; in a thread.

    Connects to the broker of ``source``. Returns at once; a failure is logged. Does nothing where
    workers take no commands.
    """
    if not answers_remote_control(source):
        return

    def send() -> None:
        try:
            with mailbox_of(app, source) as mailbox:
                for command in commands:
                    mailbox.abcast(command)
        except Exception as error:  # noqa: BLE001  whatever it is, the monitor goes on without it
            tell(error)

    def tell(error: Exception) -> None:
        names = " and ".join(commands)
        log.warning("could not send the workers %s: %s", names, one_line(error))

    try:
        threading.Thread(target=send, name="control", daemon=True).start()
    except RuntimeError as error:  # the system has no more threads now
        tell(error)


def collect_replies(
    mailbox: Mailbox, question: Question, *, deadline: float, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Reply]:
    """Send the commands, and yield the workers' replies as they come.

    The round ends at ``deadline`` (monotonic seconds of the clock) at the latest. Pickled replies
    are not read, whatever the app accepts: workers of an app whose ``task_serializer`` is pickle
    stay unknown.
    """
    channel: Channel = mailbox.connection.default_channel
    tickets = {uuid(): command for command in question.commands}
    received: list[Reply] = []
    replies = Outstanding(
        question.commands, destination=question.destination, expected=question.expected
    )

    def on_reply(body: object, message: Message) -> None:
        reply = _reply_of(body, tickets.get(str(message.headers.get("ticket"))))
        if reply is not None:
            received.append(reply)

    def on_decode_error(message: Message, _error: Exception) -> None:
        if str(message.headers.get("ticket")) in tickets:
            replies.unreadable += 1
            if question.on_unreadable is not None:
                question.on_unreadable()

    inbox = mailbox.reply_queue(channel)
    consumer = Consumer(
        channel,
        [inbox],
        callbacks=[on_reply],
        accept=[accepted for accepted in mailbox.accept or ("json",) if accepted not in _PICKLE],
        on_decode_error=on_decode_error,
        no_ack=True,
    )
    with consumer:
        _publish(
            mailbox,
            channel,
            tickets,
            question,
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
            yield from (reply for reply in batch if replies.accept(reply.hostname, reply.command))
            if question.quiet_seconds is not None and batch:
                quiet_at = clock.monotonic() + question.quiet_seconds
    channel.after_reply_message_received(inbox.name)  # else Redis keeps its binding for ever


@contextmanager
def mailbox_of(
    app: CeleryApp, source: Connection, *, seconds: float | None = None
) -> Iterator[Mailbox]:
    """Yield Celery's mailbox on a clone of the connection ``source``, closed at the end.

    Raises ``ConnectionError`` where workers take no commands, before anything is created there.
    Connecting is tried once per URL of the broker. With ``seconds`` everything has to be done
    within that time: py-amqp waits for each answer without limit, so its socket is shut down then.
    """
    if not answers_remote_control(source):
        raise ConnectionError(f"{source.transport.driver_type} has no remote control of workers")
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
    question: Question,
    *,
    expires_at: float,
) -> None:
    """Publish all commands to the workers' exchange, as ``kombu.pidbox`` publishes one."""
    producer = Producer(channel, auto_declare=False)
    for ticket, command in tickets.items():
        producer.publish(
            {
                "method": command,
                "arguments": question.arguments.get(command, {}),
                "destination": list(question.destination) or None,
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
            headers={
                "clock": mailbox.clock.forward(),
                "expires": expires_at,
                SENDER_HEADER: _SENDER,
            },
            serializer=mailbox.serializer,
        )
