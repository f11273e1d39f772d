"""Line: what ``send_events_over_sqs`` makes of an app, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from celery.worker import state as worker_state

from event_monitor import SettingsError, send_events_over_sqs
from event_monitor.enqueued_at import HEADER
from event_monitor.over_sqs.configuration import EventQueue, event_queue_of
from event_monitor.over_sqs.sender import sender_of

from ...support.sqs import EventEndpoint

CONFIG = {"broker_url": "memory://", "task_send_sent_event": True}
MakeApp = Callable[[], Celery]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[EventEndpoint]:
    """Return the endpoint that AWS's own variables name."""
    with EventEndpoint() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield endpoint


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """Return a function that makes an app, not configured yet."""
    apps: list[Celery] = []

    def make() -> Celery:
        apps.append(Celery(f"line{len(apps)}", set_as_current=False))
        return apps[-1]

    yield make
    before_task_publish.disconnect(dispatch_uid=HEADER)
    for app in apps:
        if event_queue_of(app) is not None:
            sender = sender_of(app)
            sender.close()
            sender.join(60)
        app.close()


def publish(app: Celery) -> None:
    """Publish a task, and say something of the application's own."""
    app.send_task("shop.buy")
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send("shop-bought")


def sent(app: Celery, endpoint: EventEndpoint) -> list[str]:
    """Return the types of the events that have arrived when the app has ended."""
    sender = sender_of(app)
    sender.close()
    sender.join(60)
    return [event["type"] for event in endpoint.events]


@pytest.mark.parametrize("when", ["before it is configured", "after", "after it was used"])
def test_an_app_sends_whenever_the_line_comes(
    when: str, make_app: MakeApp, endpoint: EventEndpoint
) -> None:
    """What Celery has made by then is made again."""
    # Given
    app = make_app()
    if when != "before it is configured":
        app.config_from_object(CONFIG)
    if when == "after it was used":
        app.send_task("shop.buy")
        _ = app.events.Dispatcher

    # When
    send_events_over_sqs(app, producers=True)
    if when == "before it is configured":
        app.config_from_object(CONFIG)
    publish(app)

    # Then
    assert sent(app, endpoint) == ["task-sent", "shop-bought"]


def test_the_line_configures_nothing(make_app: MakeApp) -> None:
    """A lazy app stays lazy."""
    app = make_app()
    send_events_over_sqs(app)
    assert not app.configured


def test_a_second_call_changes_nothing(make_app: MakeApp, endpoint: EventEndpoint) -> None:
    """No event is sent twice."""
    app = make_app()
    app.config_from_object(CONFIG)
    for _ in range(3):
        send_events_over_sqs(app, "celeryev", producers=True)
    publish(app)
    assert sent(app, endpoint) == ["task-sent", "shop-bought"]
    assert event_queue_of(app) == EventQueue(producers=True)


def test_a_producer_sends_nothing_unless_it_is_told_to(
    make_app: MakeApp, endpoint: EventEndpoint
) -> None:
    """The time of publishing is in the message itself."""
    app = make_app()
    app.config_from_object(CONFIG)
    send_events_over_sqs(app)
    app.send_task("shop.buy")
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("celery").get(timeout=60)
        message.ack()
    assert sent(app, endpoint) == []
    assert HEADER in message.headers


def test_other_apps_are_left_alone(make_app: MakeApp, endpoint: EventEndpoint) -> None:
    """Each app has a line of its own."""
    ours, theirs = make_app(), make_app()
    for app in (ours, theirs):
        app.config_from_object(CONFIG)
    send_events_over_sqs(ours, producers=True)
    publish(theirs)
    assert theirs.events.dispatcher_cls == Celery().events.dispatcher_cls
    assert sent(ours, endpoint) == []


def test_a_wrong_argument_is_said_where_it_stands(make_app: MakeApp) -> None:
    """And the app is as it was."""
    app = make_app()
    with pytest.raises(SettingsError, match="standard queue"):
        send_events_over_sqs(app, "events.fifo")
    assert event_queue_of(app) is None


@pytest.mark.parametrize("wrong", ["proj", None, 1.5, sys, Celery], ids=repr)
def test_what_is_no_app_is_said_where_it_stands(wrong: object) -> None:
    """Such as its name, or the class."""
    with pytest.raises(SettingsError, match="it has to be a Celery app"):
        send_events_over_sqs(wrong)


def test_an_event_of_the_application_s_own_asks_nothing_of_the_broker(
    make_app: MakeApp, endpoint: EventEndpoint
) -> None:
    """It is sent though the broker is away."""
    app = make_app()
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    app.conf.broker_transport_options = {"retry_on_timeout": False}
    send_events_over_sqs(app)
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send("shop-bought")
    assert sent(app, endpoint) == ["shop-bought"]


def test_events_wait_for_credentials(
    make_app: MakeApp, endpoint: EventEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role may be given late; nobody is asked for longer than that takes."""
    # Given
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    app = make_app()
    app.config_from_object(CONFIG)
    send_events_over_sqs(app, flush_seconds=0.2, producers=True)

    # When
    publish(app)
    with monkeypatch.context() as given:
        assert not endpoint.events
        given.setenv("AWS_ACCESS_KEY_ID", "testing")
        given.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        endpoint.wait_for_events(2)

    # Then
    assert sent(app, endpoint) == ["task-sent", "shop-bought"]


WEB = """\
import sys
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("web", broker="memory://")
app.conf.task_send_sent_event = True
send_events_over_sqs(app)
app.send_task("shop.buy")
heavy = ("boto3", "botocore", "event_monitor.settings", "event_monitor.over_sqs.sender")
print([name for name in heavy if name in sys.modules])
"""


def test_a_web_process_imports_nothing_that_sends() -> None:
    """Neither by the line nor by publishing."""
    run = subprocess.run(
        [sys.executable, "-c", WEB],
        env={**os.environ, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_the_order_of_a_worker_s_events_is_kept(make_app: MakeApp, endpoint: EventEndpoint) -> None:
    """Task events that Celery still buffers come before the goodbye, and at the latest at close."""
    # Given
    app = make_app()
    app.config_from_object(CONFIG)
    send_events_over_sqs(app)
    fields: dict[str, Any] = {"freq": 2.0, "active": 0, "processed": 1}
    dispatcher = app.events.Dispatcher(hostname="w@host", buffer_group=["task"])

    # When
    dispatcher.send("worker-online", **fields)
    dispatcher.send("task-started", uuid="u1")
    dispatcher.send("worker-offline", **fields)
    dispatcher.send("task-succeeded", uuid="u1", runtime=1.0, result="secret")
    dispatcher.close()
    dispatcher.send("task-started", uuid="u2")

    # Then
    assert sent(app, endpoint) == [
        "worker-online",
        "task-started",
        "worker-offline",
        "task-succeeded",
    ]
    assert "secret" not in "".join(endpoint.bodies)


@pytest.mark.parametrize(
    ("begun_at_the_end", "processed"), [(3, [1, 3]), (1, [1])], ids=["more began", "no more began"]
)
def test_a_worker_s_last_goodbye_counts_all_that_began(
    make_app: MakeApp,
    endpoint: EventEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    begun_at_the_end: int,
    processed: list[int],
) -> None:
    """Celery says goodbye before a pool of threads begins what it has taken."""
    # Given
    app = make_app()
    app.config_from_object(CONFIG)
    send_events_over_sqs(app)
    dispatcher = app.events.Dispatcher(hostname="w@host", buffer_group=["task"])

    # When
    dispatcher.send("worker-offline", freq=2.0, active=1, processed=1)
    dispatcher.send("task-started", uuid="u2")
    monkeypatch.setattr(worker_state, "all_total_count", [begun_at_the_end])
    dispatcher.close()
    dispatcher.close()

    # Then
    sent(app, endpoint)
    goodbyes = [event for event in endpoint.events if event["type"] == "worker-offline"]
    assert [event["processed"] for event in goodbyes] == processed
    assert [event["active"] for event in goodbyes] == [1, 0][: len(processed)]
    started = next(event for event in endpoint.events if event["type"] == "task-started")
    assert len(processed) == 1 or started["timestamp"] <= goodbyes[-1]["timestamp"]
    assert endpoint.events[-1]["type"] == ("worker-offline" if processed[1:] else "task-started")


def test_a_worker_s_heartbeats_are_as_many_as_they_say(
    make_app: MakeApp, endpoint: EventEndpoint
) -> None:
    """A worker of Celery's sends one every two seconds; each costs money here."""
    app = make_app()
    app.config_from_object(CONFIG)
    send_events_over_sqs(app, beat_seconds=60)
    dispatcher = app.events.Dispatcher(hostname="w@host")
    for type_ in ("worker-online", "worker-heartbeat", "worker-heartbeat", "worker-offline"):
        dispatcher.send(type_, freq=2.0, active=0, processed=1)
    dispatcher.close()
    assert sent(app, endpoint) == ["worker-online", "worker-offline"]
    assert {event["freq"] for event in endpoint.events} == {60.0}
