"""Control: who is asked, whose replies are read, and that nobody is asked where it would leak."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest
from celery import Celery

from event_monitor.broker.control import Question, broadcast, collect_replies, mailbox_of
from event_monitor.broker.own_events import send_own_event
from event_monitor.clock import SYSTEM_CLOCK

from ...support.replier import replier

DEADLINE_SECONDS = 30.0


def worker(app: Celery, name: str, *, serializer: str) -> AbstractContextManager[None]:
    """A worker inside this process that replies ``[]`` to everything."""
    return replier(app, {name: []}, name=name, serializer=serializer)


def asked(app: Celery, name: str, *commands: str) -> tuple[list[str], int]:
    """Ask one worker; return the commands it replied to, and how many replies were unreadable."""
    unreadable: list[None] = []
    with mailbox_of(app, app.connection_for_read()) as mailbox:
        question = Question(
            commands=commands,
            destination=(name,),
            on_unreadable=lambda: unreadable.append(None),
        )
        deadline = SYSTEM_CLOCK.monotonic() + DEADLINE_SECONDS
        replies = collect_replies(mailbox, question, deadline=deadline)
        return [reply.command for reply in replies], len(unreadable)


def test_a_worker_that_was_asked_is_read_and_the_round_is_over() -> None:
    app = Celery("proj", broker="memory://control/", set_as_current=False)

    with worker(app, "w1@control", serializer="json"):
        assert asked(app, "w1@control", "active", "stats") == (["active", "stats"], 0)


def test_a_pickled_reply_is_not_read_and_still_an_answer() -> None:
    """Whatever the app accepts; nobody waits for more than that worker can say."""
    app = Celery("proj", broker="memory://control/", set_as_current=False)
    app.conf.accept_content = ["json", "pickle"]

    with worker(app, "w2@control", serializer="pickle"):
        assert asked(app, "w2@control", "active", "stats") == ([], 2)


def test_where_workers_take_no_commands_nobody_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    """On SQS the attempt alone would create queues: no connection is made."""
    app = Celery("proj", broker="sqs://", set_as_current=False)

    broadcast(app, app.connection_for_read(), "heartbeat")
    with (
        pytest.raises(ConnectionError, match="sqs has no remote control"),
        mailbox_of(app, app.connection_for_read()),
    ):
        pass

    assert not any(thread.name == "control" for thread in threading.enumerate())
    assert caplog.records == []


def test_a_lack_of_threads_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system has no more of them, for whoever asks in the receiving thread."""
    app = Celery("proj", broker="memory://control/", set_as_current=False)

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    broadcast(app, app.connection_for_read(), "heartbeat", "enable_events")
    sent = send_own_event(app)

    assert [record.getMessage() for record in caplog.records] == [
        "could not send the workers heartbeat and enable_events: can't start new thread"
    ]
    assert str(sent.exception(timeout=0)) == "can't start new thread"
