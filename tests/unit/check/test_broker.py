"""Broker: reached, and carrying our own event, or the reason why not; without its password."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from event_monitor.check import Finding, check, json_report
from event_monitor.check.broker import examine_broker, judge_transport
from event_monitor.settings import Settings

from .making import outcomes

CONSOLE = Settings(sink="console")


def app_with(broker: str, **conf: object) -> Celery:
    app = Celery("proj", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


def test_an_event_of_our_own_comes_back_through_the_broker() -> None:
    """Subscribing, publishing and decoding are proven at once."""
    # Given: a broker inside this process, and a queue that no other test has made
    app = app_with("memory://check-echo/", task_default_queue="check-echo")

    # When
    findings = list(check(app, CONSOLE, listen_seconds=0))

    # Then
    assert outcomes(findings) == [
        ("transport", "warning"),  # nobody else can reach it
        ("broker", "ok"),
        ("event format", "ok"),
        ("events", "ok"),
        ("workers", "failed"),  # none is there: nothing is proven, so it is not ready
        ("queues", "note"),
        ("queue times", "note"),  # Celery's default
        ("cloudwatch", "skipped"),
    ]
    assert "memory:// lives inside one process" in findings[0].message
    assert findings[-1] == Finding("cloudwatch", "skipped", "metrics go to the console")


def test_a_broker_that_is_down_is_reported_without_its_password() -> None:
    """The address is shown, the reason, and what to look at."""
    # Given: a port nobody listens on
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    app = app_with(f"redis://user:very-secret@127.0.0.1:{port}/0")

    # When
    findings = list(examine_broker(app, CONSOLE, listen_seconds=0))

    # Then
    assert outcomes(findings) == [
        ("transport", "ok"),
        ("broker", "failed"),
        ("events", "skipped"),
    ]
    assert findings[1].message.startswith(
        f"redis://user:**@127.0.0.1:{port}/0 cannot be used: Error 111"
    )
    assert "very-secret" not in json_report(findings)


def test_a_password_that_does_not_exist_is_not_masked() -> None:
    """`:**@` would make one look for a password."""
    findings = list(examine_broker(app_with("redis://127.0.0.1:1/0"), CONSOLE, listen_seconds=0))

    assert findings[1].message.startswith("redis://127.0.0.1:1/0 cannot be used: ")


def test_a_transport_without_events_is_reported_plainly() -> None:
    """On SQS there is nothing to count, and nothing is tried."""
    findings = list(examine_broker(app_with("sqs://"), CONSOLE, listen_seconds=0))

    assert findings == [
        Finding(
            "transport",
            "failed",
            "sqs carries no Celery events, so nothing can be counted",
            "Let workers send them over a queue of their own, in the app:\n"
            "from event_monitor import send_events_over_sqs\n"
            "send_events_over_sqs(app)",
        ),
        Finding("workers", "skipped", "without events nothing is known of them"),
    ]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("redis://localhost/0", "ok"),
        ("rediss://localhost/0", "ok"),
        ("sentinel://localhost:26379/0", "ok"),
        ("amqp://localhost//", "ok"),
        ("amqps://localhost//", "ok"),
        ("filesystem://", "warning"),
    ],
)
def test_transports_are_known_without_connecting(url: str, status: str) -> None:
    """Redis and RabbitMQ are fine; others may work."""
    assert judge_transport(app_with(url)).status == status


def test_pickled_events_are_a_failure() -> None:
    """The monitor never unpickles."""
    app = app_with("memory://check-format/", event_serializer="pickle")

    findings = list(examine_broker(app, CONSOLE, listen_seconds=0))

    assert ("event format", "failed") in outcomes(findings)
    assert ("events", "failed") in outcomes(findings)


class Unreachable:
    """An app, and its connection, whose broker answers with this error."""

    def __init__(self, error: str, *, password: str) -> None:
        self.transport = SimpleNamespace(driver_type="redis")
        self.userid, self.password = None, password
        self._error = error

    def connection_for_read(self) -> Unreachable:
        return self

    def get_transport_cls(self) -> SimpleNamespace:
        return self.transport

    def clone(self, **_changes: object) -> Unreachable:
        return self

    def connect(self) -> None:
        raise ConnectionError(self._error)

    def as_uri(self) -> str:
        return "redis://:**@host//"


def reason(error: str) -> str:
    """What check says of a broker that answers so, after its name."""
    app: Any = Unreachable(error, password="very-secret")
    _, broker, _ = examine_broker(app, CONSOLE, listen_seconds=0)
    return broker.message.removeprefix("redis://:**@host// cannot be used: ")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("NOT_ALLOWED - vhost other not found", "The vhost is what follows the slash"),
        ("NOT_ALLOWED - access to vhost '/' refused for user 'x'", "This user has no right on"),
        ("ACCESS_REFUSED - Login was refused using PLAIN", "User or password are wrong"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "User or password are"),
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "The server's cert"),
        ("invalid username-password pair or user is disabled.", "User or password are wrong"),
        ("Authentication required.", "The server wants a password"),
        ("Connection refused", "Is the URL right, is the server up"),
    ],
)
def test_the_remedy_is_that_of_what_the_server_says(error: str, remedy: str) -> None:
    app: Any = Unreachable(error, password="very-secret")
    _, broker, _ = examine_broker(app, CONSOLE, listen_seconds=0)

    assert broker.remedy.startswith(remedy)


def test_a_password_is_masked_before_the_error_is_cut() -> None:
    """Else a part of it would be left at the end."""
    assert reason("no very-secret\n here.") == "no ** here"
    assert reason("x" * 295 + "very-secret") == "x" * 295 + "**"
    assert reason("") == "ConnectionError"
