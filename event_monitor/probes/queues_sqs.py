"""SQS: the approximate numbers Amazon keeps of each queue.

The age of the oldest message is not here: SQS publishes it to CloudWatch by itself, as
``ApproximateAgeOfOldestMessage`` in the namespace ``AWS/SQS``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..survey import QueueDepth
from .link import GONE, Link

__all__ = ["SqsProbe"]

log = logging.getLogger(__name__)

_READY, _TAKEN = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


class SqsProbe:
    """Ready and unacknowledged; queues, prefixes and credentials are kombu's.

    A queue that is not there is logged when it is first met.
    """

    gone = GONE

    def __init__(self, connection: Any, *, timeout_seconds: float) -> None:
        theirs = connection.transport_options.get("client-config") or {}
        times = {
            "connect_timeout": timeout_seconds,
            "read_timeout": timeout_seconds,
            "retries": {"total_max_attempts": 1},
        }
        self._link = Link(
            connection,
            timeout_seconds=timeout_seconds,
            transport_options={"client-config": {**theirs, **times}},
            lost=(BotoCoreError, ClientError),
        )
        self._missing: set[str] = set()

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Two requests per queue; one, if it is predefined."""
        self._missing.intersection_update(names)
        return self._link.ask(
            lambda connection: tuple(self._depth(connection.default_channel, one) for one in names)
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _depth(self, channel: Any, name: str) -> QueueDepth:
        try:
            found = _attributes(channel, name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _NO_QUEUE:
                raise
            found = None
        if found is None:
            if name not in self._missing:
                self._missing.add(name)
                log.warning("nothing is known of queue %s: there is none of that name", name)
            return QueueDepth(name)
        self._missing.discard(name)
        return QueueDepth(name, ready=int(found[_READY]), unacked=int(found[_TAKEN]))


def _attributes(channel: Any, name: str) -> dict[str, str] | None:
    """What SQS says of the queue kombu uses under that name; None if it may use none."""
    own_name = channel.canonical_queue_name(name)
    if channel.predefined_queues:
        if own_name not in channel.predefined_queues:
            return None
        client, url = channel.sqs(queue=own_name), channel.predefined_queues[own_name]["url"]
    else:
        client = channel.sqs()
        url = client.get_queue_url(QueueName=own_name)["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=[_READY, _TAKEN])
    found: dict[str, str] = answer["Attributes"]
    return found
