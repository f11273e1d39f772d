"""Rights: which right the broker's user lacks, read from a refusal.

Redis names the command in its refusal, but neither key nor channel; what a step needs is known
here, so it is handed in. RabbitMQ names the object; the method tells which of its three rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..broker.protocols import CeleryApp, Connection, RedisChannel

__all__ = ["Need", "Needs", "missing_right", "needs_of"]

_CONNECT_SECONDS = 5.0

_REDIS_COMMAND = re.compile(r"permissions to run the '([^']{1,40})' command", re.IGNORECASE)
_REDIS_PIPELINED = re.compile(r"Command # \d+ \((\S{1,40}) (\S{1,200})[^)]*\) of pipeline")
_REDIS_REFUSAL = re.compile(r"NOPERM|no permissions", re.IGNORECASE)
_AMQP = re.compile(
    r"ACCESS_REFUSED - (?:(\w+) )?access to (queue|exchange|topic) '([^']{0,255})'.*? "
    r"in vhost '([^']{0,255})'"
)
_AMQP_RIGHTS = {  # py-amqp's method → the right that RabbitMQ asks for
    "Exchange.declare": "configure",
    "Queue.declare": "configure",
    "Queue.delete": "configure",
    "Basic.publish": "write",
    "Basic.consume": "read",
    "Basic.get": "read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a step uses on Redis, as patterns of an ACL rule, such as ``&/0.celeryev/*``."""

    keys: str = ""
    channels: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What each step of the monitor uses."""

    events: Need = Need()
    answers: Need = Need()
    queues: Need = Need()


def missing_right(error: BaseException, need: Need) -> str | None:
    """Return what the broker's user may not do, and how to allow it; None if it is no refusal.

    The refusal may be the cause of the error that is handed in.
    """
    for cause in reversed(list(_causes(error))):  # the driver's own says more
        text = str(cause)
        right = _of_rabbitmq(cause, text) or _of_redis(text, need)
        if right is not None:
            return right
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_rabbitmq(error: BaseException, text: str) -> str | None:
    found = _AMQP.search(text)
    if found is None:
        return None
    named, kind, name, vhost = found.groups()
    method = str(getattr(error, "method_name", ""))
    # To bind takes two rights: to write to the queue, and to read from the exchange.
    bound = {"queue": "write", "exchange": "read"}.get(kind, "write")
    right = named or _AMQP_RIGHTS.get(method, bound)
    return f"this user may not {right} the {kind} {name!r} on vhost {vhost!r}"


def _of_redis(text: str, need: Need) -> str | None:
    if not _REDIS_REFUSAL.search(text):
        return None
    command = _REDIS_COMMAND.search(text)
    if command is not None:
        name = command[1].replace("|", " ").upper()
        return f"this user may not run {name} (ACL rule: +{command[1].lower()})"
    lowered = text.lower()
    if "channel" in lowered and need.channels:
        return f"this user may not use a channel (ACL rule: {need.channels})"
    pipelined = _REDIS_PIPELINED.search(text)
    if pipelined is not None:
        return f"this user may not use the key {pipelined[2]} (ACL rule: {need.keys})"
    if need.keys:
        return f"this user may not use a key (ACL rule: {need.keys})"
    return f"this user has not the right: {' '.join(text.split())[:200]}"


def needs_of(app: CeleryApp, source: Connection) -> Needs:
    """Return what each step needs on the broker of ``source``, which is known to be there.

    Nothing is to be said of other brokers than Redis: their refusals name everything.
    """
    if source.transport.driver_type != "redis":
        return Needs()
    options = {
        **source.transport_options,
        "socket_timeout": _CONNECT_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
    }
    with source.clone(connect_timeout=_CONNECT_SECONDS, transport_options=options) as connection:
        channel: RedisChannel = connection.default_channel
        prefix = channel.global_keyprefix
        topic = channel._get_publish_topic  # noqa: SLF001  kombu has no public name for it
        pidbox = f"{app.conf.get('control_exchange', 'celery')}.pidbox"
        return Needs(
            events=Need(channels=f"&{prefix}{topic(app.conf.event_exchange, '*')}"),
            answers=Need(
                keys=f"~{prefix}*.reply.{pidbox} ~{prefix}_kombu.binding.reply.{pidbox}",
                channels=f"&{prefix}{topic(pidbox, '')}",
            ),
            queues=Need(keys=f"~{prefix}<queue>* ~{prefix}{channel.unacked_key}*"),
        )
