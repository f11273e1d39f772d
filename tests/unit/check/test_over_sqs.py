"""Over SQS: what was heard in the event queue proves what it proves, and no more."""

from __future__ import annotations

import pytest
from celery import Celery

from event_monitor.check.answers import Answers
from event_monitor.check.broker import examine_broker
from event_monitor.check.event_messages import Heard
from event_monitor.check.finding import Finding
from event_monitor.check.listener import ReceivedEvent
from event_monitor.check.over_sqs import judge_heard
from event_monitor.events import OWN_EVENT, OwnEvent
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.settings import Settings

from ...support.making import W1, beat, task
from .making import outcomes

NOW = 1_000.0


def judged(heard: Heard) -> list[Finding]:
    return list(judge_heard(EventQueue(), heard, Answers(), listened_seconds=5.0, now=NOW))


def received(*ats: float) -> tuple[ReceivedEvent, ...]:
    """Heartbeats of those times, and a task that began with each."""
    return tuple(
        ReceivedEvent(event, at)
        for at in ats
        for event in (task("started", f"u{at}", at=at), beat(at=at, freq=20.0))
    )


def test_a_worker_that_beats_and_tells_of_its_tasks_is_ready() -> None:
    found = judged(Heard(received=received(NOW - 20.0, NOW)))

    assert outcomes(found) == [
        ("workers", "ok"),
        ("task events", "ok"),
        ("heartbeats", "ok"),
        ("worker clocks", "ok"),
    ]
    assert found[0].message == f"1 send events: {W1}"


@pytest.mark.parametrize(
    ("heard", "status", "said"),
    [
        (Heard(), "failed", "no heartbeat came in 5 s"),
        (
            Heard(received=received(NOW - 3_600.0)),
            "failed",
            "no heartbeat came in 5 s; older events wait, and nobody reads them",
        ),
        (Heard(received=received(NOW - 3_600.0), is_all=False), "warning", "many events wait"),
        (Heard(is_all=False), "warning", "many events wait"),
    ],
)
def test_where_no_heartbeat_of_now_is_seen_it_says_what_that_proves(
    heard: Heard, status: str, said: str
) -> None:
    """A sample of a backlog proves nothing; all that waits does."""
    (finding,) = judged(heard)

    assert (finding.name, finding.status) == ("workers", status)
    assert finding.message.startswith(said)


def test_what_this_command_sends_is_no_event_that_waits() -> None:
    """In a queue that nobody has sent to, it hears its own."""
    own = ReceivedEvent(OwnEvent(type=OWN_EVENT), NOW)
    (finding,) = judged(Heard(received=(own,)))
    assert finding.message == "no heartbeat came in 5 s"


def test_with_a_monitor_that_reads_nothing_is_missing() -> None:
    """What it has received is not to be seen."""
    found = judged(Heard(in_flight=7))

    assert outcomes(found) == [("monitor", "ok"), ("workers", "note")]
    assert "7 of its messages are being counted" in found[0].message


def test_messages_of_others_are_a_warning() -> None:
    found = judged(Heard(received=received(NOW), invalid=3))

    assert ("event format", "warning") in outcomes(found)


def test_a_broker_of_tasks_that_is_down_is_named_first() -> None:
    """Events over SQS are of no use without it."""
    app = Celery("proj", broker="redis://127.0.0.1:1/0", set_as_current=False)
    remember_event_queue(app, EventQueue())

    findings = list(examine_broker(app, Settings(sink="console"), listen_seconds=0))

    assert outcomes(findings) == [("transport", "ok"), ("broker", "failed"), ("workers", "skipped")]


def test_an_event_queue_that_is_out_of_reach_is_said_in_one_sentence() -> None:
    """The broker's own address is that of SQS."""
    app = Celery("proj", broker="sqs://id:key@127.0.0.1:1", set_as_current=False)
    remember_event_queue(app, EventQueue())

    findings = list(examine_broker(app, Settings(sink="console"), listen_seconds=0))

    assert outcomes(findings) == [
        ("transport", "ok"),
        ("event queue", "failed"),
        ("workers", "skipped"),
    ]
    assert "celeryev cannot be used: Could not connect" in findings[1].message
