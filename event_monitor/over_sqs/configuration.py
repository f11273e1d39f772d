"""Configuration: which SQS queue carries an app's events, and how boto3 reaches it. Pure.

Imports nothing slow: a web process has it, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..errors import SettingsError

__all__ = [
    "DEFAULT_NAME",
    "DEFAULT_REGION",
    "BrokerConnection",
    "EventQueue",
    "client_arguments",
    "event_queue_of",
    "remember_event_queue",
]

DEFAULT_NAME = "celeryev"
DEFAULT_REGION = "us-east-1"  # kombu's, where nothing says another; so the same as of the tasks

_ATTRIBUTE = "event_monitor_event_queue"  # of the app, where it is remembered
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")  # what SQS allows
_AWS_HOST = re.compile(r"(?:sqs\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.(?:queue\.)?amazonaws\.com")

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.1, 300.0
_FEWEST_EVENTS = 100


class BrokerConnection(Protocol):
    """The part of ``kombu.Connection`` that says how SQS is reached."""

    transport_cls: str  # the scheme of its URL
    transport_options: dict[str, Any]
    hostname: str | None
    port: int | None
    userid: str | None
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQueue:
    """What ``send_events_over_sqs`` was called with.

    ``name`` is that of a standard queue, or its URL. ``flush_seconds``: how long a sender keeps
    events before it sends them. ``beat_seconds``: between two heartbeats of a worker, or a little
    less, in steps of Celery's own; or that, if it is longer. ``buffer_events``: how many a sender
    keeps while SQS is away. ``producers``: whether processes that publish tasks send their
    task-sent events. Raises ``SettingsError``.
    """

    name: str = DEFAULT_NAME
    flush_seconds: float = 10.0
    beat_seconds: float = 20.0
    buffer_events: int = 100_000
    producers: bool = False

    def __post_init__(self) -> None:
        name = self.name if isinstance(self.name, str) else ""
        if name.endswith(".fifo"):
            raise SettingsError(
                f"the event queue {name!r} is a FIFO queue; it has to be a standard queue, since a "
                "FIFO queue hands out nothing more while ten of its messages are being counted."
            )
        if not (_is_queue_url(name) if self.url else _NAME.fullmatch(name)):
            raise SettingsError(
                f"the event queue is {self.name!r}; it has to be the name of an SQS queue "
                "(letters, digits, - and _, at most 80) or its URL."
            )
        for field in ("flush_seconds", "beat_seconds"):
            value = getattr(self, field)
            if not _is_number(value) or not _SHORTEST_SECONDS <= value <= _LONGEST_SECONDS:
                raise SettingsError(
                    f"{field} of send_events_over_sqs is {value!r}; it has to be a number of "
                    f"seconds from {_SHORTEST_SECONDS:g} to {_LONGEST_SECONDS:g}."
                )
        if not isinstance(self.buffer_events, int) or self.buffer_events < _FEWEST_EVENTS:
            raise SettingsError(
                f"buffer_events of send_events_over_sqs is {self.buffer_events!r}; it has to be a "
                f"whole number of at least {_FEWEST_EVENTS}."
            )
        if not isinstance(self.producers, bool):
            raise SettingsError(
                f"producers of send_events_over_sqs is {self.producers!r}; it has to be True or "
                "False."
            )

    @property
    def url(self) -> str | None:
        """The queue's URL, if that was given."""
        name = self.name if isinstance(self.name, str) else ""
        return name if name.startswith(("https://", "http://")) else None


def remember_event_queue(app: object, queue: EventQueue) -> None:
    """Remember, on the app, which queue carries its events."""
    setattr(app, _ATTRIBUTE, queue)


def event_queue_of(app: object) -> EventQueue | None:
    """Return the queue that carries the app's events; None if SQS carries none of them."""
    found = getattr(app, _ATTRIBUTE, None)
    return found if isinstance(found, EventQueue) else None


def client_arguments(queue: EventQueue, connection: BrokerConnection) -> dict[str, str]:
    """Return how boto3 reaches the queue: arguments of ``client("sqs", …)``.

    They are some of ``region_name``, ``endpoint_url``, ``aws_access_key_id`` and
    ``aws_secret_access_key``. What is not there is found by boto3's own chain; where that finds no
    region, ``DEFAULT_REGION`` counts. A queue's URL says most, then the app's connection if it is
    one to SQS; of any other broker nothing counts.
    """
    arguments: dict[str, str] = {}
    if connection.transport_cls.lower().partition(":")[0].rpartition(".")[2] == "sqs":
        options = connection.transport_options or {}
        if connection.userid and connection.password:
            arguments["aws_access_key_id"] = connection.userid
            arguments["aws_secret_access_key"] = connection.password
        if options.get("region"):
            arguments["region_name"] = str(options["region"])
        if connection.hostname:  # as kombu does; without one, is_secure says nothing of AWS itself
            scheme = "https" if options.get("is_secure") else "http"
            port = f":{connection.port}" if connection.port else ""
            arguments["endpoint_url"] = f"{scheme}://{connection.hostname}{port}"
    if queue.url:
        parts = urlsplit(queue.url)
        aws = _AWS_HOST.match(parts.hostname or "")
        if aws is not None:
            arguments["region_name"] = aws["region"]
            arguments.pop("endpoint_url", None)
        else:
            arguments["endpoint_url"] = f"{parts.scheme}://{parts.netloc}"
    return arguments


def _is_queue_url(url: str) -> bool:
    """Return whether it names a host and a queue, and nothing else; credentials go elsewhere."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    path, _, name = parts.path.rpartition("/")
    is_plain = not parts.query and "@" not in parts.netloc and url.isascii() and " " not in url
    return is_whole and is_plain and url.endswith(f"{path}/{name}") and bool(_NAME.fullmatch(name))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
