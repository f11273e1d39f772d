"""Pipeline over SQS: the lease says whose the event queue is, and what cannot work says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from celery import Celery

from event_monitor.errors import EventMonitorError, SettingsError, UnavailableError
from event_monitor.metrics.totals import totals_of
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.pipeline import Pipeline, require_events
from event_monitor.receiver.exactly_once import ExactlyOnce
from event_monitor.receiver.sqs import SqsSubscription
from event_monitor.receiver.transports import subscription_to
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken, BrokerLink, Snapshot, Window
from event_monitor.state import State
from event_monitor.testing import FakeClock

SETTINGS = Settings(probe_workers=False, probe_queues=False)


def app_over_sqs(broker: str = "memory://localhost", name: str = "celeryev") -> Celery:
    app = Celery("over-sqs", broker=broker, set_as_current=False)
    remember_event_queue(app, EventQueue(name=name))
    return app


def pipeline_of(app: Celery, clock: FakeClock | None = None) -> Pipeline:
    clock = clock or FakeClock()
    return Pipeline(
        app,
        SETTINGS,
        State(SETTINGS, clock=clock),
        hurry=lambda: None,
        before_leaving=lambda: None,
        exactly_once=ExactlyOnce(SETTINGS, EventQueue()),
        clock=clock,
    )


def test_workers_are_judged_only_while_we_lead() -> None:
    """Connected is not enough: another monitor may have the lease."""
    pipeline = pipeline_of(app_over_sqs())
    links = []
    pipeline.on_connection(True)
    links.append(pipeline.state.link)
    for is_leading in (False, True, False, True):
        pipeline.on_leading(is_leading)
        links.append(pipeline.state.link)
    pipeline.on_connection(False)
    links.append(pipeline.state.link)
    assert links == [
        BrokerLink.SUBSCRIBED,
        BrokerLink.STANDBY,
        BrokerLink.LISTENING,
        BrokerLink.STANDBY,
        BrokerLink.LISTENING,
        BrokerLink.AWAY,
    ]


def test_workers_are_unknown_until_each_has_had_the_time_to_be_heard() -> None:
    """Two heartbeats, a flush and the delivery; again when another monitor has read meanwhile."""
    # Given
    clock = FakeClock()
    pipeline = pipeline_of(app_over_sqs(), clock)

    def knows_workers(*, listening_seconds: float | None = 1.0) -> bool:
        shot = Snapshot(
            Window(0.0, 60.0), link=pipeline.state.link, listening_seconds=listening_seconds
        )
        return pipeline.complete(shot).knows_workers

    pipeline.on_connection(True)
    assert not knows_workers()
    pipeline.on_leading(True)

    # Then nothing is known for a while, and while messages wait for others
    assert not knows_workers()
    clock.advance(55.0)
    assert not knows_workers()
    clock.advance(1.0)
    assert not knows_workers(listening_seconds=None)
    assert knows_workers()

    # When SQS is away, it goes on
    pipeline.on_connection(False)
    assert knows_workers(listening_seconds=None)
    pipeline.on_connection(True)
    pipeline.on_leading(True)
    assert knows_workers(listening_seconds=None)

    # When another monitor reads in between, it begins anew
    pipeline.on_leading(False)
    assert not knows_workers()
    pipeline.on_leading(True)
    clock.advance(55.0)
    assert not knows_workers()
    clock.advance(1.0)
    assert knows_workers()


def test_what_senders_dropped_is_told_with_the_window_its_messages_were_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Known and 0 where nothing was dropped."""
    pipeline = pipeline_of(app_over_sqs())
    token = AckToken("s", 1, dropped=3)
    shot = Snapshot(Window(0.0, 60.0), ack_tokens=(token, replace(token, tag=2, dropped=4)))
    assert pipeline.complete(shot).window.events_dropped == 7
    assert pipeline.complete(Snapshot(Window(0.0, 60.0))).window.events_dropped == 0
    assert caplog.text.count("7 events were never sent") == 1


def test_a_window_that_another_monitor_may_have_counted_is_ambiguous(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, however many messages it is."""
    pipeline = pipeline_of(app_over_sqs())
    token = AckToken("s", 1, doubtful=3)
    shot = Snapshot(Window(0.0, 60.0), ack_tokens=(token, replace(token, tag=2)))
    values = [
        totals_of(pipeline.complete(one), SETTINGS, series_folded=0)["publish_ambiguous"]
        for one in (shot, Snapshot(Window(0.0, 60.0)))
    ]
    assert values == [1, 0]
    assert caplog.text.count("6 messages of the event queue were with a monitor") == 1


class _Reader:
    """What a pipeline asks its receiver for."""

    queue_length = None
    should_stop = False
    is_shared: bool | None = False


def test_what_another_reader_has_is_not_lost_though_that_is_found_out_later() -> None:
    """And what nobody has is told, once: when that is known, or at the end."""
    # Given
    pipeline, reader = pipeline_of(app_over_sqs()), _Reader()
    pipeline.receiver = reader  # type: ignore[assignment]

    def told(is_shared: bool | None, *lost: tuple[str, int]) -> dict[str, int]:
        reader.is_shared = is_shared
        window = Window(0.0, 60.0, events_lost=lost)
        return dict(pipeline.complete(Snapshot(window)).window.events_lost)

    # Then another reader explains what is missing
    assert told(False, ("w1", 1)) == {"w1": 1}
    assert told(None, ("w1", 2)) == {}
    assert told(None, ("w2", 3)) == {}
    assert told(True, ("w2", 4)) == {}
    assert told(False) == {}

    # Or there is none
    assert told(None, ("w1", 2)) == {}
    assert told(False, ("w1", 1), ("w2", 3)) == {"w1": 3, "w2": 3}

    # Or the end comes before that is known
    assert told(None, ("w1", 5)) == {}
    reader.should_stop = True
    assert told(None, ("w2", 1)) == {"w1": 5, "w2": 1}


def test_the_event_queue_is_read_whatever_the_broker() -> None:
    """It is the app's line that counts, not the transport."""
    for broker in ("memory://localhost", "redis://127.0.0.1:1/0", "sqs://key:secret@127.0.0.1:1"):
        app = app_over_sqs(broker)
        require_events(SETTINGS, app)
        receiver = pipeline_of(app).receiver_class()(app.connection_for_read(), app=app)
        subscription = subscription_to(
            receiver.connection, queue=receiver.queue, on_invalid=print, sqs=receiver.sqs
        )
        assert isinstance(subscription, SqsSubscription)
        assert subscription.shown == "the SQS queue celeryev"


@pytest.mark.parametrize(
    ("app", "settings", "error", "says"),
    [
        pytest.param(
            Celery("none", broker="sqs://", set_as_current=False),
            SETTINGS,
            UnavailableError,
            "send_events_over_sqs(app) sends them over SQS",
            id="SQS without the line",
        ),
        pytest.param(
            app_over_sqs(name="celery"),
            SETTINGS,
            SettingsError,
            "which is a queue of tasks",
            id="a queue of tasks",
        ),
        pytest.param(
            app_over_sqs(),
            replace(SETTINGS, durable_queue="q", state_dir="/x"),
            UnavailableError,
            "leave it out",
            id="a durable queue besides",
        ),
    ],
)
def test_what_can_never_work_ends_the_start_with_a_sentence(
    app: Celery, settings: Settings, error: type[EventMonitorError], says: str
) -> None:
    """It names what to change."""
    with pytest.raises(error, match=".*".join(says.split("(app)"))):
        require_events(settings, app)
