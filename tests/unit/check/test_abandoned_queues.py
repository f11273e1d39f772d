"""Abandoned queues: looked at twice, since a reader may just come or go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from celery import Celery

from event_monitor.check import Finding
from event_monitor.check.abandoned_queues import examine_abandoned_queues
from event_monitor.settings import Settings
from event_monitor.testing import FakeClock

from ..broker.management_api import Api

LEFT_BEHIND = {"name": "celeryev.left", "consumers": 0, "messages": 7}
READ = {"name": "celeryev.read", "consumers": 1, "messages": 3}
TASKS = {"name": "celery", "consumers": 0, "messages": 5}  # no event queue


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


class Pause(FakeClock):
    """A clock during whose sleep something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._happens()


def has(api: Api, *queues: dict[str, object]) -> None:
    """Let the API list these queues."""
    api.answers = {"/api/queues/%2F 1": (200, {"page": 1, "page_count": 1, "items": queues})}


def findings(
    url: str,
    *,
    broker: str = "amqp://nowhere.invalid//",
    then: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """What is found; ``then`` happens between the two looks."""
    app = Celery("proj", broker=broker, set_as_current=False)
    settings = Settings(management_url=url)
    return list(examine_abandoned_queues(app, settings, clock=Pause(then)))


def test_an_event_queue_without_a_reader_is_a_warning(api: Api) -> None:
    has(api, LEFT_BEHIND, READ, TASKS)

    (finding,) = findings(f"http://{api.host}")

    assert finding.status == "warning"
    assert finding.message == "1 without a reader, holding 7 messages: celeryev.left"


def test_a_queue_that_is_read_or_gone_at_the_second_look_is_not_abandoned(api: Api) -> None:
    has(api, LEFT_BEHIND, {**READ, "consumers": 0})

    assert findings(f"http://{api.host}", then=lambda: has(api, READ)) == [
        Finding("event queues", "ok", "none is abandoned")
    ]


def test_a_queue_that_has_just_lost_its_reader_is_not_abandoned(api: Api) -> None:
    has(api, LEFT_BEHIND)

    (finding,) = findings(
        f"http://{api.host}", then=lambda: has(api, LEFT_BEHIND, {**READ, "consumers": 0})
    )

    assert finding.message == "1 without a reader, holding 7 messages: celeryev.left"


def test_an_api_that_does_not_answer_is_a_warning(api: Api) -> None:
    """Without the password of its URL."""
    (finding,) = findings(f"http://me:hunter2@{api.host}")

    assert finding.status == "warning"
    assert finding.message == (
        f"management_url is of no use: http://{api.host} answers with HTTP 404: "
        "it is no management API, or lacks this vhost"
    )
    assert "hunter2" not in finding.message


def test_without_a_management_url_it_is_skipped() -> None:
    (finding,) = findings("")

    assert finding.status == "skipped"


def test_on_another_broker_there_is_no_such_api() -> None:
    """Which is told, and not asked."""
    assert findings("http://nowhere.invalid", broker="redis://nowhere.invalid") == [
        Finding(
            "event queues",
            "warning",
            "management_url is of no use: the broker is redis, not RabbitMQ",
        )
    ]
    assert findings("", broker="redis://nowhere.invalid") == []
