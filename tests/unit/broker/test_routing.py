"""Routing: to which queue the app sends a task, found in tables, without a call of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from event_monitor.broker.routing import route_of


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("routing", broker="memory://", set_as_current=False)
    yield app
    app.close()


def add(name: str) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        (None, "celery"),
        ({"mail.*": "mail"}, "celery"),
        ({"shop.*": "shop"}, "shop"),
        ({"shop.add": {"queue": "exact"}, "shop.*": "shop"}, "exact"),
        ({"shop.add": {"queue": Queue("made")}}, "made"),
        (([(re.compile("shop|mail"), {"queue": "either"})],), "either"),
        ([("shop.add", {"queue": "q"})], None),
        ({"shop.add": {"exchange": "e", "routing_key": "k"}}, None),
        ({"shop.add": 5}, None),
        ([{"other": "other"}, {"shop.add": "second"}], "second"),
    ],
)
def test_the_queue_is_that_of_the_first_table_with_the_name(
    app: Celery, routes: object, queue: str | None
) -> None:
    """Else the default one; None where the route names no queue."""
    app.conf.task_routes = routes
    assert route_of(app)("shop.add") == queue


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")  # until Celery 6
def test_a_task_that_has_a_queue_of_its_own_goes_there(app: Celery) -> None:
    """Whatever the routes say."""
    app.conf.task_routes = {"shop.*": "shop"}
    app.task(add, name="shop.add", queue="own", shared=False)
    assert route_of(app)("shop.add") == "own"


def test_a_function_of_the_users_is_not_called(app: Celery) -> None:
    """It may wait, and wants arguments: what it would say is not known."""
    called = []

    def route(name: str, *_: Any, **__: Any) -> str:
        called.append(name)
        return "somewhere"

    app.conf.task_routes = ({"shop.known": "known"}, route)
    assert route_of(app)("shop.known") == "known"
    assert route_of(app)("shop.add") is None
    assert called == []


def test_no_queue_is_added_to_the_apps(app: Celery) -> None:
    """Another thread looks at them, and asks the broker for each."""
    app.conf.task_routes = {"shop.*": "shop"}
    before = dict(app.amqp.queues)
    assert route_of(app)("shop.add") == "shop"
    assert dict(app.amqp.queues) == before
