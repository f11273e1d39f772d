"""Enqueued at: a message says when it was published, whatever else its headers hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from kombu import Message

from event_monitor.enqueued_at import (
    HEADER,
    stamp_tasks,
    waiting_since,
    write_enqueued_at,
    write_timestamp,
)

NOW = 1_700_000_000.0


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app whose tasks carry the time of publishing, with a broker in memory."""
    app = Celery("enqueued-at", broker="memory://", set_as_current=False)
    stamp_tasks(app)
    yield app
    before_task_publish.disconnect(dispatch_uid=HEADER)
    app.close()


def published(app: Celery, **options: Any) -> dict[str, Any]:
    """The headers of a task as a worker would get them."""
    headers: dict[str, Any] = message_of(app, **options).headers
    return headers


def message_of(app: Celery, **options: Any) -> Message:
    """A task as a worker would get it."""
    with app.connection_for_read() as connection:
        with connection.channel() as channel:
            queue = app.amqp.queues["celery"](channel)
            queue.declare()
            queue.purge()
        app.send_task("add", connection=connection, **options)
        with connection.channel() as channel:
            message = app.amqp.queues["celery"](channel).get()
    assert message is not None
    return message


# -- writing --------------------------------------------------------------------------------------


def test_a_task_carries_the_time_it_is_published(app: Celery) -> None:
    before = time.time()
    enqueued_at = published(app)[HEADER]

    assert before <= enqueued_at <= time.time()


def test_asking_for_it_twice_connects_once(app: Celery) -> None:
    stamp_tasks(app)
    stamp_tasks()

    assert sum(lookup[0] == HEADER for lookup, _ in before_task_publish.receivers) == 1


def test_a_retry_keeps_the_time_it_carries(app: Celery) -> None:
    assert published(app, headers={HEADER: 5.0}, retries=1)[HEADER] == 5.0


def test_headers_within_headers_get_it_and_are_not_changed(app: Celery) -> None:
    """A retry sends only these; the caller may send the same mapping again."""
    within = {"sentry-trace": "0"}
    headers = published(app, headers={"headers": within})

    assert headers["headers"] == {"sentry-trace": "0", HEADER: headers[HEADER]}
    assert within == {"sentry-trace": "0"}
    assert published(app, headers={"headers": {HEADER: 7.0}})[HEADER] == 7.0


@pytest.mark.parametrize(
    ("headers", "written"),
    [
        ({}, {HEADER: NOW}),
        ({HEADER: 5.0}, {HEADER: 5.0}),
        ({HEADER: "yesterday"}, {HEADER: NOW}),
        ({HEADER: True}, {HEADER: NOW}),
        ({"headers": None}, {"headers": None, HEADER: NOW}),
        ({"headers": {"x": 1}}, {"headers": {"x": 1, HEADER: NOW}, HEADER: NOW}),
        ({"headers": {HEADER: 7.0}}, {"headers": {HEADER: 7.0}, HEADER: 7.0}),
        ({HEADER: 5.0, "headers": {}}, {HEADER: 5.0, "headers": {HEADER: 5.0}}),
    ],
)
def test_the_time_is_written_unless_a_valid_one_is_there(
    headers: dict[str, object], written: dict[str, object]
) -> None:
    write_enqueued_at(headers, now=NOW)

    assert headers == written


def test_the_time_is_in_the_amqp_properties_too(app: Celery) -> None:
    """RabbitMQ reads no headers. A retry keeps its first, and who sets one wins."""
    message = message_of(app)
    assert message.properties["timestamp"] == int(message.headers[HEADER])

    assert message_of(app, headers={HEADER: 5.5}).properties["timestamp"] == 5
    assert message_of(app, timestamp=7).properties["timestamp"] == 7


def test_a_message_with_an_eta_waits_from_then_on(app: Celery) -> None:
    eta = datetime(2040, 1, 1, tzinfo=timezone.utc)

    assert message_of(app, eta=eta).properties["timestamp"] == eta.timestamp()


@pytest.mark.parametrize("properties", [None, "text", []])
def test_properties_of_an_unexpected_type_are_left_as_they_are(properties: object) -> None:
    write_timestamp(properties, {HEADER: NOW})


def test_without_a_time_no_timestamp_is_written() -> None:
    properties: dict[str, object] = {}
    write_timestamp(properties, None)

    assert properties == {}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("headers", [None, [], "text", {"headers": "text"}, {"headers": None}])
def test_nothing_is_ever_raised_into_publishing(headers: object) -> None:
    for _, answer in before_task_publish.send("add", headers=headers):
        assert answer is None


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        ({HEADER: NOW - 10}, 10.0),
        ({HEADER: int(NOW) - 10}, 10.0),
        ({HEADER: NOW + 10}, -10.0),
        ({"sentry-task-enqueued-time": NOW - 20}, 20.0),
        ({"headers": {"sentry-task-enqueued-time": NOW - 20}}, 20.0),
        ({"headers": {HEADER: NOW - 30}}, 30.0),
        ({HEADER: NOW - 40, "sentry-task-enqueued-time": NOW - 1}, 40.0),
        ({HEADER: "x", "sentry-task-enqueued-time": NOW - 1}, 1.0),
        ({HEADER: NOW - 100, "eta": None}, 100.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T22:12:20+00:00"}, 60.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T22:12:20Z"}, 60.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T22:12:20"}, 60.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T23:12:20+01:00"}, 60.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T22:00:00+00:00"}, 100.0),
        ({HEADER: NOW - 100, "eta": "2023-11-14T23:13:20+00:00"}, -3_600.0),
        ({HEADER: NOW - 100, "eta": "soon"}, 100.0),
        ({HEADER: NOW - 100, "eta": 12}, 100.0),
    ],
)
def test_a_message_waits_since_the_later_of_publishing_and_eta(
    headers: dict[str, object], age: float
) -> None:
    assert waiting_since(headers) == NOW - age


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        {},
        {"eta": "2023-11-14T22:12:20+00:00"},
        {HEADER: None},
        {HEADER: "1700000000"},
        {HEADER: True},
        {HEADER: float("nan")},
        {HEADER: float("inf")},
        {HEADER: -1},
        {HEADER: 0},
        {HEADER: 10**400},
        {HEADER: NOW * 1_000},
        {"headers": [HEADER]},
    ],
)
def test_a_message_without_the_time_of_publishing_waits_since_nobody_knows(
    headers: object,
) -> None:
    assert waiting_since(headers) is None
