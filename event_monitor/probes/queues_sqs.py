"""SQS: the approximate numbers Amazon keeps of each queue.

The age of the oldest message is not here: SQS publishes it to CloudWatch by itself, as
``ApproximateAgeOfOldestMessage`` in the namespace ``AWS/SQS``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from botocore.exceptions import ClientError

from ..aws import bound
from ..broker.protocols import Connection
from ..exchange import Exchange
from ..survey import QueueDepth
from .link import GONE, Link

__all__ = ["SqsProbe"]

log = logging.getLogger(__name__)

_READY, _UNACKED = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


class _SqsChannel(Protocol):
    """``kombu.transport.SQS.Channel``."""

    predefined_queues: Mapping[str, Mapping[str, str]]  # by name, with the ``url`` of each

    def canonical_queue_name(self, queue_name: str) -> str: ...
    def sqs(self, queue: str | None = None) -> Any: ...  # boto3's client


class SqsProbe:
    """Reads ready and unacknowledged messages; queues, prefixes and credentials are kombu's.

    A queue that does not exist is logged when that is first found out.
    """

    gone = GONE
    refusal: Exception | None = None  # what may not be read is unknown as a whole
    age_hint = ""  # it is in CloudWatch already

    def __init__(self, connection: Connection, *, timeout_seconds: float) -> None:
        configured = connection.transport_options.get("client-config") or {}
        limits = {
            "connect_timeout": timeout_seconds,
            "read_timeout": timeout_seconds,
            "retries": {"total_max_attempts": 1},
        }
        self._link = Link(
            connection,
            timeout_seconds=timeout_seconds,
            transport_options={"client-config": {**configured, **limits}},
            lost=(Exception,),  # botocore reads what a provider of credentials, or anybody, wrote
        )
        self._timeout_seconds = timeout_seconds
        self._missing: set[str] = set()

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Read all queues, in two requests each; in one, if it is predefined.

        Connecting, and each of them, may take the time-out of two requests.
        """
        self._missing.intersection_update(names)
        seconds = 2 * self._timeout_seconds * (1 + len(names))
        return self._link.ask(
            lambda connection: Exchange(seconds).run(
                lambda: tuple(self._depth(connection.default_channel, name) for name in names)
            )
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _depth(self, channel: _SqsChannel, name: str) -> QueueDepth:
        try:
            found = _attributes(channel, name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _NO_QUEUE:
                raise
            found = None
        if found is None:
            if name not in self._missing:
                self._missing.add(name)
                log.warning(
                    "nothing is known of queue %s: there is none of that name",
                    name,
                    extra={"queue": name},
                )
            return QueueDepth(name, missing=True)
        self._missing.discard(name)
        return QueueDepth(name, ready=int(found[_READY]), unacked=int(found[_UNACKED]))


def _attributes(channel: _SqsChannel, name: str) -> dict[str, str] | None:
    """Return SQS's numbers for the queue kombu uses by that name; None if kombu may use none."""
    own_name = channel.canonical_queue_name(name)
    if channel.predefined_queues:
        if own_name not in channel.predefined_queues:
            return None
        client, url = channel.sqs(queue=own_name), channel.predefined_queues[own_name]["url"]
        bound(client)
    else:
        client = channel.sqs()
        bound(client)
        url = client.get_queue_url(QueueName=own_name)["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=[_READY, _UNACKED])
    found: dict[str, str] = answer["Attributes"]
    return found
