"""Server: what the broker tells of itself, or nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from celery import Celery

from event_monitor.broker.protocols import Connection
from event_monitor.check.server import rabbitmq_alarms, redis_memory
from event_monitor.settings import Settings

from ..broker.management_api import Api


def connection(url: str) -> Connection:
    source: Connection = Celery("proj", broker=url, set_as_current=False).connection_for_read()
    return source


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


def settings(api: Api) -> Settings:
    return Settings(management_url=f"http://{api.host}")


def test_a_redis_that_does_not_answer_is_unknown() -> None:
    """The memory of a broker that is not Redis, too."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    assert redis_memory(connection(f"redis://127.0.0.1:{port}/0")) is None
    assert redis_memory(connection("amqp://127.0.0.1//")) is None


def test_the_alarms_are_those_of_the_management_api(api: Api) -> None:
    path = "/api/health/checks/alarms 1"
    alarm = {"node": "rabbit@a", "resource": "memory"}
    rabbitmq = connection("amqp://127.0.0.1//")

    api.answers = {path: (503, {"status": "failed", "alarms": [alarm]})}
    assert rabbitmq_alarms(rabbitmq, settings(api)) == ("memory on rabbit@a",)
    api.answers = {path: (200, {"status": "ok"})}
    assert rabbitmq_alarms(rabbitmq, settings(api)) == ()
    api.answers = {path: (401, {})}
    assert rabbitmq_alarms(rabbitmq, settings(api)) is None


def test_alarms_are_unknown_without_the_management_api_of_a_rabbitmq(api: Api) -> None:
    assert rabbitmq_alarms(connection("amqp://127.0.0.1//"), Settings()) is None
    assert rabbitmq_alarms(connection("redis://127.0.0.1/0"), settings(api)) is None
    assert api.asked == []
