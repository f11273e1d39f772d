"""Configuration: what the line may say, and how boto3 reaches the queue."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Connection

from event_monitor.errors import SettingsError
from event_monitor.over_sqs.configuration import (
    EventQueue,
    client_arguments,
    event_queue_of,
    remember_event_queue,
)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "celeryev.fifo"}, "has to be a standard queue"),
        ({"name": "https://sqs.eu-west-1.amazonaws.com/1/e.fifo"}, "has to be a standard queue"),
        ({"name": ""}, "the event queue is ''"),
        ({"name": "a queue"}, "the event queue is 'a queue'"),
        ({"name": None}, "the event queue is None"),
        ({"name": "https://sqs.eu-west-1.amazonaws.com/"}, "or its URL"),
        ({"name": "https://celeryev"}, "or its URL"),
        ({"name": "https://[::1/1/celeryev"}, "or its URL"),
        ({"name": "https://host:99999/1/celeryev"}, "or its URL"),
        ({"name": "https://ho st/1/celeryev"}, "or its URL"),
        ({"name": "https://key:secret@host/1/celeryev"}, "or its URL"),
        ({"name": "https://host/1/celeryev?a=b"}, "or its URL"),
        ({"producers": "no"}, "producers of send_events_over_sqs is 'no'"),
        ({"flush_seconds": 0}, "flush_seconds of send_events_over_sqs is 0"),
        ({"flush_seconds": "10"}, "flush_seconds of send_events_over_sqs is '10'"),
        ({"beat_seconds": 301}, "from 0.1 to 300"),
        ({"beat_seconds": float("nan")}, "beat_seconds"),
        ({"buffer_events": 10}, "at least 100"),
        ({"buffer_events": 1e6}, "whole number"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    """The process that says it does not start."""
    with pytest.raises(SettingsError, match=sentence):
        EventQueue(**wrong)


def test_each_app_has_a_queue_of_its_own() -> None:
    """Or none."""
    # Given
    first, second, third = Celery("a"), Celery("b"), Celery("c")

    # When
    remember_event_queue(first, EventQueue())
    remember_event_queue(second, EventQueue(name="other", producers=True))

    # Then
    assert event_queue_of(first) == EventQueue(name="celeryev")
    assert event_queue_of(second) == EventQueue(name="other", producers=True)
    assert event_queue_of(third) is None


URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/celeryev"
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "a/b"}


@pytest.mark.parametrize(
    ("broker", "options", "name", "arguments"),
    [
        ("sqs://", {}, "celeryev", {}),
        (
            "sqs://AKIA:a%2Fb@",
            {"region": "eu-west-1"},
            "celeryev",
            {**KEYS, "region_name": "eu-west-1"},
        ),
        (
            "sqs://AKIA:a%2Fb@localhost:4566",
            {},
            "e",
            {**KEYS, "endpoint_url": "http://localhost:4566"},
        ),
        ("sqs://localhost", {"is_secure": True}, "e", {"endpoint_url": "https://localhost"}),
        ("sqs://", {"is_secure": False, "queue_name_prefix": "x-"}, "celeryev", {}),
        ("redis://user:secret@localhost:6379/0", {"region": "x"}, "celeryev", {}),
        ("sqs://localhost:4566", {"region": "us-east-1"}, URL, {"region_name": "eu-west-1"}),
        (
            "redis://",
            {},
            "http://127.0.0.1:5000/123456789012/e",
            {"endpoint_url": "http://127.0.0.1:5000"},
        ),
        (
            "redis://",
            {},
            URL.replace("sqs.eu-west-1.amazonaws.com", "eu-west-1.queue.amazonaws.com"),
            {"region_name": "eu-west-1"},
        ),
    ],
)
def test_boto3_is_told_what_the_broker_and_the_url_say(
    broker: str, options: dict[str, Any], name: str, arguments: dict[str, str]
) -> None:
    """The rest its own chain finds."""
    connection = Connection(broker, transport_options=options)
    assert client_arguments(EventQueue(name=name), connection) == arguments
