"""Event queue: whether the SQS queue of ``send_events_over_sqs`` can carry events.

Nothing is taken from it: one event of our own is sent, and what deletes is tried on no message.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..aws import BoundedSession
from ..broker.protocols import Connection
from ..events import OWN_EVENT
from ..over_sqs.configuration import DEFAULT_REGION, EventQueue, client_arguments
from ..over_sqs.wire import MAX_BODY_BYTES, Header, ascii_json, encode
from ..text import one_line
from .finding import Finding

__all__ = [
    "Attributes",
    "SqsClient",
    "examine_event_queue",
    "judge_attributes",
    "open_client",
]

_SHORTEST_VISIBILITY = 180  # seconds: a message is deleted when its window is safe, and not before
_SHORTEST_RETENTION = 86_400  # seconds: for so long the monitor may be away
_FEWEST_RECEIVES = 100  # before a message may be moved away: each crash is one more
_USUAL_SIZE = 262_144  # bytes of a message: SQS's own default for years
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_LEASE_SUFFIX = "-lease.fifo"
_NO_HANDLE = "event-monitor-check"  # the handle of no message: what it is for is not done
_ANSWER_SECONDS = 5.0  # for each read of an answer
_QUEUES = "event-monitor provision sqs writes both queues and the policy of the workers."
_RIGHTS = "event-monitor provision iam writes the policy of the monitor."

Attributes = Mapping[str, str]

#: botocore's client for SQS, which has no types; it raises ``ClientError`` and ``BotoCoreError``.
SqsClient = Any


def open_client(queue: EventQueue, source: Connection) -> SqsClient:
    """Return botocore's client for the queue; makes no request. Raises botocore's errors."""
    from botocore.config import Config

    session = BoundedSession()
    arguments = client_arguments(queue, source)
    if not arguments.get("region_name") and not session.get_config_variable("region"):
        arguments["region_name"] = DEFAULT_REGION
    client: SqsClient = session.create_client(
        "sqs",
        **arguments,
        config=Config(
            connect_timeout=_ANSWER_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"total_max_attempts": 1},
        ),
    )
    return client


def examine_event_queue(client: SqsClient, queue: EventQueue) -> Iterator[Finding]:
    """Yield findings on the queue, on how it is set up, and on what these credentials may do.

    The first is named "event queue", and failed if nothing can come of it. One message is sent, an
    event of our own, which nobody counts.
    """
    try:
        url = queue.url or client.get_queue_url(QueueName=queue.name)["QueueUrl"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    except (ClientError, BotoCoreError) as error:
        yield _unusable(queue, error)
        return
    yield from judge_attributes(queue.name, attributes)
    yield from _judge_rights(client, url)
    yield from _judge_lease(client, f"{queue.name}{_LEASE_SUFFIX}", is_url=queue.url is not None)


def judge_attributes(name: str, attributes: Attributes) -> Iterator[Finding]:
    """Yield findings on how the queue is set up. Pure."""
    if attributes.get("FifoQueue") == "true":
        yield Finding(
            "event queue",
            "failed",
            f"{name} is a FIFO queue, which hands out nothing more while ten messages of a sender "
            "are being counted",
            "Use a standard queue.",
        )
        return
    waiting = int(attributes.get("ApproximateNumberOfMessages", 0))
    yield Finding("event queue", "ok", f"{name} is there, with {waiting:,} messages waiting")
    visibility = int(attributes.get("VisibilityTimeout", 0))
    if visibility < _SHORTEST_VISIBILITY:
        yield Finding(
            "event queue",
            "warning",
            f"VisibilityTimeout is {visibility} s: messages come again while they are counted",
            f"Set it to {_SHORTEST_VISIBILITY}.",
        )
    retention = int(attributes.get("MessageRetentionPeriod", _SHORTEST_RETENTION))
    if retention < _SHORTEST_RETENTION:
        yield Finding(
            "event queue",
            "warning",
            f"MessageRetentionPeriod is {retention} s: older events are gone when the monitor is "
            "away for longer",
            f"Set it to {4 * _SHORTEST_RETENTION}.",
        )
    receives = _most_receives(attributes.get("RedrivePolicy", ""))
    if receives is not None and receives < _FEWEST_RECEIVES:
        yield Finding(
            "event queue",
            "warning",
            f"RedrivePolicy moves messages away after {receives} receives, and each crash of the "
            "monitor, and each check, is one",
            "Leave it out.",
        )
    size = int(attributes.get("MaximumMessageSize", MAX_BODY_BYTES))
    if size < MAX_BODY_BYTES:
        yield Finding(
            "event queue",
            "warning",
            f"MaximumMessageSize is {size:,} bytes: a message of workers under load is larger, "
            "and refused",
            f"Set it to {_USUAL_SIZE}.",
        )
    delay = int(attributes.get("DelaySeconds", 0))
    if delay:
        yield Finding(
            "event queue",
            "warning",
            f"DelaySeconds is {delay} s: all is counted so much later",
            "Set it to 0.",
        )
    if attributes.get("KmsMasterKeyId"):
        yield Finding(
            "event queue",
            "note",
            "it is encrypted with a key of KMS",
            "Workers need kms:GenerateDataKey and kms:Decrypt on it, the monitor kms:Decrypt.",
        )


def _most_receives(policy: str) -> int | None:
    """Return after how many receives a message is moved away; None if it never is."""
    try:
        return int(json.loads(policy)["maxReceiveCount"])
    except (ValueError, LookupError, TypeError):
        return None


def _unusable(queue: EventQueue, error: Exception) -> Finding:
    code = _code_of(error)
    if code in _NO_QUEUE:
        return Finding(
            "event queue",
            "failed",
            f"there is no queue {queue.name} in this account and region",
            f"{_QUEUES}\nOr name another: send_events_over_sqs(app, NAME).",
        )
    return Finding(
        "event queue",
        "failed",
        f"{queue.name} cannot be used: {one_line(error)}",
        _RIGHTS if _is_refusal(code) else "Are region, credentials and endpoint right?",
    )


def _judge_rights(client: SqsClient, url: str) -> Iterator[Finding]:
    """Try what the monitor does, and what workers do, without an effect on what is there."""

    def receive() -> object:
        return client.receive_message(QueueUrl=url, VisibilityTimeout=0, MaxNumberOfMessages=1)

    def delete() -> object:
        return client.delete_message(QueueUrl=url, ReceiptHandle=_NO_HANDLE)

    def change() -> object:
        return client.change_message_visibility(
            QueueUrl=url, ReceiptHandle=_NO_HANDLE, VisibilityTimeout=0
        )

    def send() -> object:
        return client.send_message(QueueUrl=url, MessageBody=_own_message())

    missing = [
        right
        for right, attempt in (
            ("sqs:ReceiveMessage", receive),
            ("sqs:DeleteMessage", delete),
            ("sqs:ChangeMessageVisibility", change),
        )
        if _is_refused(attempt)
    ]
    if missing:
        yield Finding(
            "permissions", "failed", f"the monitor needs {' and '.join(missing)}", _RIGHTS
        )
    else:
        yield Finding("permissions", "ok", "events may be received, deleted and given back")
    if _is_refused(send):
        yield Finding(
            "permissions",
            "note",
            "these credentials may not send, which the monitor need not",
            "The workers' own have to allow sqs:SendMessage and sqs:GetQueueUrl.",
        )


def _judge_lease(client: SqsClient, name: str, *, is_url: bool) -> Iterator[Finding]:
    """Look for the queue by which two monitors agree on who reads, as the monitor does.

    By its URL where that is known: it may be another account's.
    """
    try:
        if is_url:
            client.get_queue_attributes(QueueUrl=name, AttributeNames=["QueueArn"])
        else:
            client.get_queue_url(QueueName=name)
    except (ClientError, BotoCoreError) as error:
        why = "is not there" if _code_of(error) in _NO_QUEUE else f"is no use: {one_line(error)}"
        yield Finding(
            "lease",
            "warning",
            f"{name} {why}: a second monitor would take half of the events",
            _QUEUES,
        )
    else:
        yield Finding("lease", "ok", f"{name} is there: of several monitors one reads")


def _own_message() -> str:
    header = Header(sender=secrets.token_hex(6), seq=0, dropped=0)
    return encode(header, [ascii_json({"type": OWN_EVENT})])


def _is_refused(attempt: Callable[[], object]) -> bool:
    """Return whether this is not permitted; any other error says that it is."""
    try:
        attempt()
    except ClientError as error:
        return _is_refusal(_code_of(error))
    except BotoCoreError:
        return False
    return False


def _code_of(error: Exception) -> str:
    response = error.response if isinstance(error, ClientError) else {}
    return str(response.get("Error", {}).get("Code", ""))


def _is_refusal(code: str) -> bool:
    return "AccessDenied" in code
