"""Event queue: what is wrong with it is found, and nothing in it is taken from the monitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from celery import Celery

from event_monitor.check.event_messages import Heard, listen
from event_monitor.check.event_queue import (
    SqsClient,
    examine_event_queue,
    judge_attributes,
    open_client,
)
from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.over_sqs.wire import Header, ascii_json, decode, encode
from event_monitor.testing import FakeClock

from .making import outcomes

QUEUE = EventQueue()
NOW = 1_700_000_000.0
GOOD = {
    "VisibilityTimeout": "180",
    "MessageRetentionPeriod": "345600",
    "ApproximateNumberOfMessages": "1234",
}
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


class FakeSqs:
    """SQS with one queue, from which nothing is ever taken; some of its actions are refused."""

    def __init__(self, *refused: str, attributes: Mapping[str, str] = GOOD) -> None:
        self.refused = refused
        self.attributes = dict(attributes)
        self.missing: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.received: list[dict[str, Any]] = []

    def _act(self, action: str, code: str = "AccessDenied") -> None:
        if action in self.refused:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, action)

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:  # noqa: N803  botocore's names
        self._act("GetQueueUrl")
        if QueueName in self.missing:
            raise ClientError({"Error": {"Code": NO_QUEUE, "Message": "none"}}, "GetQueueUrl")
        return {"QueueUrl": f"https://sqs/1/{QueueName}"}

    def get_queue_attributes(self, *, QueueUrl: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        self._act("GetQueueAttributes")
        if QueueUrl.rpartition("/")[2] in self.missing:
            raise ClientError(
                {"Error": {"Code": NO_QUEUE, "Message": "none"}}, "GetQueueAttributes"
            )
        return {"Attributes": self.attributes}

    def receive_message(self, **options: Any) -> dict[str, Any]:
        self._act("ReceiveMessage")
        self.received.append(options)
        return {"Messages": self.messages[:10]} if self.messages else {}

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        del QueueUrl
        self._act("SendMessage")
        self.sent.append(MessageBody)

    def delete_message(self, **_: Any) -> None:
        self._act("DeleteMessage")
        raise ClientError({"Error": {"Code": "ReceiptHandleIsInvalid"}}, "DeleteMessage")

    def change_message_visibility(self, **_: Any) -> None:
        self._act("ChangeMessageVisibility")
        raise ClientError({"Error": {"Code": "ReceiptHandleIsInvalid"}}, "ChangeMessageVisibility")

    def put(self, *lines: object, seq: int = 0, at: float = NOW, body: str = "") -> None:
        """Let a message wait that was sent at that time."""
        header = Header(sender="0123456789ab", seq=seq, dropped=0)
        self.messages.append(
            {
                "MessageId": f"m{len(self.messages)}",
                "Body": body or encode(header, [ascii_json(line) for line in lines]),
                "Attributes": {"SentTimestamp": str(int(at * 1_000))},
            }
        )


def beat(hostname: str = "w1@h", *, at: float = NOW, **fields: object) -> dict[str, object]:
    return {
        "type": "worker-heartbeat",
        "hostname": hostname,
        "timestamp": at,
        "processed": 1,
        **fields,
    }


def examined(client: SqsClient) -> list[tuple[str, str]]:
    return outcomes(list(examine_event_queue(client, QUEUE)))


def heard(client: SqsClient, *, seconds: float = 5.0) -> tuple[Heard, float]:
    """What is heard, and after how long."""
    clock = FakeClock(wall=NOW)
    found = listen(client, QUEUE, seconds=seconds, clock=clock)
    return found, clock.wall() - NOW


# -- how it is set up ------------------------------------------------------------------------------


def test_a_queue_as_provision_writes_it_is_ready() -> None:
    """One message is sent, of which the monitor counts nothing."""
    client = FakeSqs()

    assert examined(client) == [("event queue", "ok"), ("permissions", "ok"), ("lease", "ok")]
    (body,) = client.sent
    assert decode(body).lines == [b'{"type":"event-monitor-check"}']
    assert all(options["VisibilityTimeout"] == 0 for options in client.received)


def test_a_queue_that_is_not_there_is_named() -> None:
    client = FakeSqs()
    client.missing.add("celeryev")

    (finding,) = examine_event_queue(client, QUEUE)

    assert (finding.status, finding.message) == (
        "failed",
        "there is no queue celeryev in this account and region",
    )
    assert "event-monitor provision sqs" in finding.remedy
    assert "send_events_over_sqs(app, NAME)" in finding.remedy


def test_an_endpoint_that_is_not_there_is_said_in_one_sentence() -> None:
    class Away(FakeSqs):
        def get_queue_url(self, **_: Any) -> dict[str, str]:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    (finding,) = examine_event_queue(Away(), QUEUE)

    assert finding.status == "failed"
    assert finding.message.startswith("celeryev cannot be used: Could not connect")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"VisibilityTimeout": "30"}, "VisibilityTimeout is 30 s"),
        ({"MessageRetentionPeriod": "3600"}, "MessageRetentionPeriod is 3600 s"),
        ({"RedrivePolicy": json.dumps({"maxReceiveCount": 5})}, "after 5 receives"),
        ({"RedrivePolicy": json.dumps({"maxReceiveCount": "99"})}, "after 99 receives"),
        ({"MaximumMessageSize": "1024"}, "MaximumMessageSize is 1,024 bytes"),
        ({"DelaySeconds": "30"}, "DelaySeconds is 30 s"),
    ],
)
def test_what_would_lose_or_repeat_events_is_a_warning(
    attributes: dict[str, str], said: str
) -> None:
    first, second = judge_attributes("celeryev", {**GOOD, **attributes})

    assert (first.status, second.status) == ("ok", "warning")
    assert said in second.message


@pytest.mark.parametrize(
    "policy", [json.dumps({"maxReceiveCount": 100}), "", "nonsense", "[]", "{}"]
)
def test_a_policy_that_moves_nothing_away_is_no_matter(policy: str) -> None:
    (finding,) = judge_attributes("celeryev", {**GOOD, "RedrivePolicy": policy})
    assert finding.status == "ok"


def test_a_key_of_kms_is_a_note_on_rights() -> None:
    _, finding = judge_attributes("celeryev", {**GOOD, "KmsMasterKeyId": "alias/shop"})
    assert (finding.status, "kms:Decrypt" in finding.remedy) == ("note", True)


def test_a_fifo_queue_can_carry_no_events() -> None:
    (finding,) = judge_attributes("celeryev", {**GOOD, "FifoQueue": "true"})
    assert finding.status == "failed"


def test_a_monitor_without_its_lease_is_warned() -> None:
    client = FakeSqs()
    client.missing.add("celeryev-lease.fifo")

    *_, finding = examine_event_queue(client, QUEUE)

    assert (finding.name, finding.status) == ("lease", "warning")


# -- rights ----------------------------------------------------------------------------------------


def test_rights_that_the_monitor_lacks_are_named() -> None:
    """They are tried on no message, so nothing happens where they are there."""
    client = FakeSqs("DeleteMessage", "ChangeMessageVisibility")

    (_, finding, _) = examine_event_queue(client, QUEUE)

    assert (finding.status, finding.message) == (
        "failed",
        "the monitor needs sqs:DeleteMessage and sqs:ChangeMessageVisibility",
    )


def test_the_monitor_need_not_be_allowed_to_send() -> None:
    assert examined(FakeSqs("SendMessage")) == [
        ("event queue", "ok"),
        ("permissions", "ok"),
        ("permissions", "note"),
        ("lease", "ok"),
    ]


@pytest.mark.parametrize("right", ["GetQueueUrl", "GetQueueAttributes"])
def test_a_queue_that_may_not_be_looked_at_cannot_be_used(right: str) -> None:
    (finding,) = examine_event_queue(FakeSqs(right), QUEUE)
    assert (finding.status, "provision iam" in finding.remedy) == ("failed", True)


# -- what comes ------------------------------------------------------------------------------------


def test_workers_are_heard_without_taking_their_messages_away() -> None:
    """In the order in which each sent; a message that is seen again counts once."""
    client = FakeSqs()
    client.put(beat(processed=2), seq=1, at=NOW + 1)
    client.put([{"type": "task-started", "uuid": "u", "hostname": "w1@h", "timestamp": NOW}])
    client.put(beat("w2@h", facts={"queues": ["celery", "mail"]}), seq=2)
    client.put(body="no message of ours")

    found, seconds = heard(client)

    assert [each.event.type for each in found.received] == [
        "task-started",
        "worker-heartbeat",
        "worker-heartbeat",
    ]
    assert found.workers_since(NOW) == {"w1@h", "w2@h"}
    assert found.queues == {"celery", "mail"}
    assert found.invalid == 1
    assert 5.0 <= seconds < 7.0
    assert all(options["VisibilityTimeout"] == 0 for options in client.received)


def test_a_worker_has_the_time_to_send_its_next_heartbeat() -> None:
    """That is twenty seconds and a flush; the past proves nothing."""
    client = FakeSqs()
    client.put(beat(at=NOW - 3_600))

    found, seconds = heard(client)

    assert found.workers_since(NOW - 60) == frozenset()
    assert 31.0 <= seconds < 33.0


def test_what_a_monitor_is_counting_is_waited_for_no_longer() -> None:
    """It receives all that comes, so nothing more would be seen here."""
    client = FakeSqs(attributes={**GOOD, "ApproximateNumberOfMessagesNotVisible": "7"})

    found, seconds = heard(client)

    assert (found.in_flight, found.received) == (7, ())
    assert 5.0 <= seconds < 7.0


@pytest.mark.parametrize(("waiting", "is_all"), [("1", True), ("2", False)])
def test_a_sample_of_what_waits_is_not_taken_for_all_of_it(waiting: str, is_all: bool) -> None:
    """That no heartbeat is among them is no proof then."""
    client = FakeSqs(attributes={**GOOD, "ApproximateNumberOfMessages": waiting})
    client.put(beat(at=NOW - 3_600))

    found, _ = heard(client)

    assert found.is_all == is_all


@pytest.mark.parametrize(("missing", "status"), [((), "ok"), (("theirs-lease.fifo",), "warning")])
def test_a_queue_of_another_account_has_its_lease_there(
    missing: tuple[str, ...], status: str
) -> None:
    """By name it would be looked for in our own."""
    client = FakeSqs("GetQueueUrl")
    client.missing.update(missing)
    queue = EventQueue(name="https://sqs.eu-west-1.amazonaws.com/999999999999/theirs")
    assert outcomes(list(examine_event_queue(client, queue)))[-1] == ("lease", status)


def test_aws_region_says_where_the_queue_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As most of AWS sets it; boto3 itself reads AWS_DEFAULT_REGION only, which wins."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    source = Celery("regions", broker="redis://", set_as_current=False).connection_for_read()
    assert open_client(QUEUE, source).meta.region_name == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert open_client(QUEUE, source).meta.region_name == "eu-west-2"
