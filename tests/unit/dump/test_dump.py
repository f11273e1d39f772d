"""Dump: which events are shown, and as what."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from celery import Celery

from event_monitor import events as ev
from event_monitor.dump import Dump, EventFilter
from event_monitor.dump.known_tasks import KnownTask, KnownTasks
from event_monitor.dump.lines import as_json, as_text
from event_monitor.errors import UnavailableError
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.settings import Only
from event_monitor.snapshot import TaskInFlight

from ...support.making import W1, W2, beat, online, task

PAY = KnownTask("shop.pay", "mail")
NOBODY = KnownTask()
TRACEBACK = msgspec.Raw(
    b'"Traceback (most recent call last):\\n  File \\"/app/shop.py\\", line 88, in charge\\n'
    b"    pay()\\nKeyError: 'x'\\n\""
)
FAILED = task("failed", at=0.25, exception=msgspec.Raw(b"\"KeyError('x')\""), traceback=TRACEBACK)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def text(event: ev.Event, known: KnownTask = PAY, *, with_details: bool = False) -> str:
    return as_text(event, known, at=1.0, with_details=with_details)


# -- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({}, "failed started online custom"),
        ({"types": ("task-*",)}, "failed started"),
        ({"types": ("failed", "heartbeat")}, "failed heartbeat"),
        ({"workers": ("*@two",)}, "started"),
        ({"tasks": ("shop.*",)}, "failed"),
        ({"queues": ("mail",)}, "failed"),
        ({"ids": ("u2",)}, "started"),
        ({"tasks": ("shop.*",), "types": ("started",)}, ""),
        ({"tasks": ("!shop.*",)}, "started"),
        ({"workers": ("!*@two",)}, "failed online custom"),
        ({"only": Only(tasks=("shop.*",))}, "failed online custom"),
        ({"only": Only(tasks=("!shop.*",))}, "started online custom"),
        ({"only": Only(queues=("mail",))}, "failed online custom"),
        ({"only": Only(workers=("*@two",))}, "started custom"),
    ],
)
def test_an_event_has_to_be_all_that_is_asked_for(wanted: dict[str, Any], shown: str) -> None:
    """Without a word no heartbeats; what is asked of tasks leaves out all others."""
    events: dict[str, tuple[ev.Event, KnownTask]] = {
        "failed": (FAILED, PAY),
        "started": (task("started", "u2", on=W2), NOBODY),
        "heartbeat": (beat(), NOBODY),
        "online": (online(), NOBODY),
        "custom": (ev.CustomEvent(type="shop-opened"), NOBODY),
    }
    wants = EventFilter(**wanted).wants

    assert " ".join(name for name, pair in events.items() if wants(*pair)) == shown


def test_names_and_queues_are_known_from_other_events_and_from_workers() -> None:
    """Most events do not say them; an event knows better than an answer."""
    known = KnownTasks()
    assert known.complete(task("started", "u1")) == NOBODY
    known.learn((TaskInFlight("u1", "proj.late"), TaskInFlight("u2", "proj.held")))
    assert known.complete(task("succeeded", "u2")) == ("proj.held", None)
    known.complete(task("sent", "u3", queue="mail"))
    known.learn((TaskInFlight("u3", "proj.other"),))
    assert known.complete(task("failed", "u3")) == ("proj.add", "mail")


# -- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            task("sent", queue="mail", retries=1, on="gen1@web"),
            "00:16:40.000 task-sent      shop.pay[u1] by gen1@web: queue mail, retry 1",
        ),
        (
            task("succeeded", runtime=0.51234),
            f"00:16:40.000 task-succeeded shop.pay[u1] on {W1}: in 0.512 s",
        ),
        (
            FAILED,
            f"00:00:00.250 task-failed    shop.pay[u1] on {W1}: KeyError at "
            "/app/shop.py:88 in charge",
        ),
        (
            task("revoked", terminated=True, expired=False),
            f"00:16:40.000 task-revoked   shop.pay[u1] on {W1}: terminated",
        ),
        (beat(), f"00:16:40.000 worker-heartbeat {W1}: 0 active, 0 processed, load 0.5"),
        (ev.CustomEvent(type="shop-opened"), "00:00:01.000 shop-opened"),
    ],
)
def test_an_event_is_one_line(event: ev.Event, line: str) -> None:
    """What it is, of which task, by whom, and what else it says."""
    assert text(event) == line


def test_a_name_that_is_not_known_is_a_question_mark_and_none_steers_the_terminal() -> None:
    """Names come from whoever may write to the broker."""
    assert f" ?[u1] on {W1}" in text(task("started"), NOBODY)
    evil = text(task("started", "a\nb", on="w\x1b[2J@x"), KnownTask("t\x07"))
    assert [character for character in evil if not character.isprintable()] == []


def test_details_are_shown_only_when_asked_for_and_without_secrets() -> None:
    """Reprs as the worker sent them; each line of a traceback is escaped."""
    received = ev.DetailedTaskEvent(
        type="task-received",
        hostname=W1,
        uuid="u1",
        name="shop.pay",
        timestamp=1.0,
        args=msgspec.Raw(b"\"('redis://:geheim@db', 7)\""),
        kwargs=msgspec.Raw(b'"{}"'),
    )
    assert "\n" not in text(received)
    first, *details = text(received, with_details=True).split("\n")
    assert first == text(received)
    assert details == ["    args: ('redis://:**@db', 7)", "    kwargs: {}"]

    failed = text(FAILED, with_details=True).split("\n")
    assert failed[1] == "    exception: KeyError('x')"
    assert failed[2] == "    traceback: Traceback (most recent call last):"
    assert failed[-1] == "    KeyError: 'x'"


def test_json_has_what_the_event_says_and_what_is_known_besides() -> None:
    """One object a line; what nobody said is not there."""
    document = json.loads(as_json(FAILED, PAY, at=1.0, with_details=False))

    assert document == {
        "type": "task-failed",
        "received": "1970-01-01T00:00:01.000Z",
        "time": "1970-01-01T00:00:00.250Z",
        "hostname": W1,
        "pid": 7,
        "task": "shop.pay",
        "uuid": "u1",
        "queue": "mail",
        "exception_type": "KeyError",
        "place": "/app/shop.py:88 in charge",
    }
    with_details = json.loads(as_json(FAILED, PAY, at=1.0, with_details=True))
    assert with_details["exception"] == "KeyError('x')"
    worker = json.loads(as_json(beat(), NOBODY, at=1.0, with_details=True))
    assert (worker["active"], worker["loadavg"]) == (0, [0.5, 0.4, 0.3])


# -- the whole -----------------------------------------------------------------------------------


@pytest.fixture
def app() -> Celery:
    return Celery("dump-test", broker="redis://nowhere.invalid", set_as_current=False)


def test_what_comes_before_the_workers_have_named_their_tasks_waits_for_that(app: Celery) -> None:
    """Else a filter would leave out what it should show."""
    lines: list[str] = []
    dump = Dump(app, EventFilter(tasks=("shop.*",)), write=lines.append)
    dump.on_events([task("started", "u1")], None)
    dump.on_reading()
    assert lines == []

    dump.on_answers((TaskInFlight("u1", "shop.pay"),))
    dump.on_reading()
    dump.on_events([task("succeeded", "u1")], None)
    assert [line[13:40] for line in lines] == [
        "task-started   shop.pay[u1]",
        "task-succeeded shop.pay[u1]",
    ]


def test_it_shows_as_many_as_were_asked_for_and_has_counts(app: Celery) -> None:
    """Those that were not shown are counted, too; our own events are none."""
    lines: list[str] = []
    dump = Dump(app, EventFilter(types=("failed",)), write=lines.append, limit=2)
    dump.on_answers(())
    own = ev.CustomEvent(type=ev.OWN_EVENT)
    dump.on_events([own, task("started"), FAILED, FAILED, FAILED, FAILED], None)

    assert len(lines) == 2
    assert dump.summary(seconds=3.4) == "2 of 3 events shown in 3 s: 2 task-failed"


def test_a_reader_that_has_gone_is_no_broker_that_has_gone(app: Celery) -> None:
    """As under `| head`: the receiver must not take it for a lost connection."""
    written: list[str] = []

    def closed(text: str) -> None:
        written.append(text)
        raise BrokenPipeError

    dump = Dump(app, EventFilter(), write=closed)
    dump.on_answers(())
    dump.on_events([FAILED, FAILED], None)

    assert len(written) == 1
    with pytest.raises(BrokenPipeError):
        dump.run()


def test_where_no_events_are_carried_it_says_so() -> None:
    """In one sentence."""
    app = Celery("dump-sqs", broker="sqs://", set_as_current=False)
    with pytest.raises(UnavailableError, match="Celery sends no events over the sqs transport"):
        Dump(app, EventFilter(), write=print)


@pytest.mark.parametrize("broker", ["sqs://", "memory://"])
def test_events_that_only_the_monitor_may_take_are_not_shown(broker: str) -> None:
    """What is received from the queue here would be missing in its counts."""
    app = Celery("dump-over-sqs", broker=broker, set_as_current=False)
    remember_event_queue(app, EventQueue())
    with pytest.raises(UnavailableError, match="of which the monitor is the only reader"):
        Dump(app, EventFilter(), write=print)
