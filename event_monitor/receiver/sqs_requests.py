"""SQS requests: one call at a time, with a deadline of the whole and one kind of error.

Credentials, region and endpoint are those that ``client_arguments`` found, else botocore's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, TypedDict, TypeVar

from ..exchange import AnswerTooLongError, Exchange
from ..over_sqs.configuration import DEFAULT_REGION
from ..redaction import log_no_keys, without_keys
from ..text import one_line

__all__ = ["BATCH", "RawMessage", "SqsError", "SqsQueue", "first_received_at"]

BATCH = 10  # messages that SQS hands out, or takes the handles of, in one request at most

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 8.0  # for a request that does not wait
_MAKE_SECONDS = 60.0  # a credential_process may be slow, and one role come by way of another
_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
_FIRST_RECEIVED, _RECEIVED = "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount"
_ABSENT = ("NonExistentQueue", "QueueDoesNotExist")
_FORBIDDEN = ("AccessDenied", "AccessDeniedException")

T = TypeVar("T")


class _Message(TypedDict):
    Body: str
    ReceiptHandle: str  # by which this delivery of it is deleted


class RawMessage(_Message, total=False):
    """What is read of a message as SQS hands it out."""

    Attributes: Mapping[str, str]


def first_received_at(message: RawMessage) -> float | None:
    """Return when SQS first handed a message out, by its clock.

    None if it does not say, or hands it out for the first time.
    """
    try:
        attributes = message["Attributes"]
        is_first = int(attributes[_RECEIVED]) < 2
        return None if is_first else int(attributes[_FIRST_RECEIVED]) / 1_000
    except (KeyError, TypeError, ValueError):
        return None


class SqsError(ConnectionError):
    """A request failed; the text says why, without keys. ``code`` is SQS's own; "" if it has none.

    ``is_absent``: there is no such queue. ``is_forbidden``: the credentials may not do that.
    ``is_too_long``: the answer was larger than any that is read.
    """

    def __init__(self, message: str, *, code: str = "", is_too_long: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_absent = code.endswith(_ABSENT)
        self.is_forbidden = code.endswith(_FORBIDDEN)
        self.is_too_long = is_too_long


class SqsQueue:
    """A queue by its name, or by its URL. ``open`` it before use; any thread may use it then.

    All but ``close`` raise ``SqsError``. ``on_receive_again`` is called in the receiving thread
    if a request had to be repeated: the answer that did not come may have had messages.
    """

    on_receive_again: Callable[[], None] | None = None

    def __init__(self, name: str, arguments: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._arguments = dict(arguments or {})
        self._client: Any = None
        self._date: object = None  # of the last answer
        self._url = name if "://" in name else ""

    def open(self) -> None:
        """Make a client, with a session of its own, and find the queue."""
        self._client = _bounded(_MAKE_SECONDS, lambda: _new_client(self._arguments))
        self._find()

    def open_beside(self, other: SqsQueue) -> None:
        """Find the queue, with the client of another one."""
        self._client = other._client
        self._find()

    def close(self) -> None:
        """Close the connections that are not in use. Never raises."""
        if self._client is not None:
            self._client.close()

    @property
    def wall(self) -> float | None:
        """Return the time by SQS's own clock as it answered, if it has just done so; in seconds."""
        try:
            return parsedate_to_datetime(str(self._date)).timestamp()
        except (ValueError, OverflowError):
            return None

    def receive(
        self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]:
        """Return up to so many messages; wait for the first no longer than that."""
        answer = self._ask(
            "receive_message",
            wait_seconds + _ANSWER_SECONDS,
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=visibility_seconds,
            AttributeNames=[_FIRST_RECEIVED, _RECEIVED],
        )
        was_repeated = answer.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
        if was_repeated and self.on_receive_again is not None:
            self.on_receive_again()
        return [
            {
                "Body": message["Body"],
                "ReceiptHandle": message["ReceiptHandle"],
                "Attributes": message.get("Attributes", {}),
            }
            for message in answer.get("Messages", ())
        ]

    def delete(self, handles: Sequence[str]) -> None:
        """Delete these; a handle that is too old counts for nothing: its message comes again."""
        for entries in _batches(handles):
            self._ask("delete_message_batch", QueueUrl=self._url, Entries=entries)

    def change_visibility(self, handles: Sequence[str], seconds: int) -> None:
        """Let these be handed out again after so long from now; of old handles nothing is said."""
        for entries in _batches(handles, VisibilityTimeout=seconds):
            self._ask("change_message_visibility_batch", QueueUrl=self._url, Entries=entries)

    def renew(self, handle: str, seconds: int) -> None:
        """Keep one for so long from now; an error if the handle is too old."""
        self._ask(
            "change_message_visibility",
            QueueUrl=self._url,
            ReceiptHandle=handle,
            VisibilityTimeout=seconds,
        )

    def send(self, body: str, *, group: str, unique: str) -> None:
        """Send a message to a FIFO queue."""
        self._ask(
            "send_message",
            QueueUrl=self._url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=unique,
        )

    def counts(self) -> tuple[int, int]:
        """Return about how many messages wait, and how many are with a reader."""
        found = self._ask(
            "get_queue_attributes", QueueUrl=self._url, AttributeNames=[_WAITING, _IN_FLIGHT]
        )["Attributes"]
        return int(found.get(_WAITING, 0)), int(found.get(_IN_FLIGHT, 0))

    def _find(self) -> None:
        if not self._url:
            self._url = self._ask("get_queue_url", QueueName=self.name)["QueueUrl"]

    def _ask(
        self, operation: str, seconds: float = _ANSWER_SECONDS, **parameters: object
    ) -> Mapping[str, Any]:
        call: Callable[..., Mapping[str, Any]] = getattr(self._client, operation)
        try:
            answer = _bounded(seconds, lambda: call(**parameters))
        except SqsError:
            self._date = None
            raise
        self._date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return answer


def _bounded(seconds: float, call: Callable[[], T]) -> T:
    try:
        return Exchange(seconds).run(call)
    except AnswerTooLongError as error:
        raise SqsError(one_line(error), is_too_long=True) from error
    except Exception as error:  # noqa: BLE001  botocore reads what anybody may have answered
        answer = getattr(error, "response", None)
        code = answer.get("Error", {}).get("Code", "") if isinstance(answer, dict) else ""
        said = one_line(without_keys(str(error)) or type(error).__name__)
        raise SqsError(said, code=str(code)) from None


def _new_client(arguments: Mapping[str, str]) -> Any:
    from botocore.config import Config

    from ..aws import BoundedSession

    log_no_keys()
    session = BoundedSession()
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 2},  # SQS has a hiccup now and then
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=30,  # each request has a deadline of its own
    )
    region = arguments.get("region_name") or session.get_config_variable("region")
    return session.create_client(
        "sqs", **{**arguments, "region_name": region or DEFAULT_REGION}, config=config
    )


def _batches(handles: Sequence[str], **fields: object) -> Iterator[list[dict[str, object]]]:
    left = iter(handles)
    while batch := list(islice(left, BATCH)):
        yield [
            {"Id": str(number), "ReceiptHandle": handle, **fields}
            for number, handle in enumerate(batch)
        ]
