"""Rows, words and tracebacks: what the page shows, and in which order."""

from __future__ import annotations

import pytest

from event_monitor.quantities import size, took
from event_monitor.settings import Settings
from event_monitor.snapshot import TaskCounts, WorkerState
from event_monitor.survey import QueueDepth, Survey
from event_monitor.web.rows import queue_rows, worker_rows
from event_monitor.web.tracebacks import parts_of
from event_monitor.web.words import count, ended_links, moment, url_maker

from .making import snapshot, worker

SETTINGS = Settings(queue_length_limits=(("pay", (5.0, 10.0)),))


def test_the_worst_queue_is_the_first() -> None:
    """Over a limit, then unread, then by age and length."""
    queues = (
        QueueDepth("idle", ready=0),
        QueueDepth("old", ready=1, oldest_seconds=9.0, consumers=1),
        QueueDepth("unread", ready=2, consumers=0),
        QueueDepth("pay", ready=12, consumers=1),
    )
    rows = queue_rows(snapshot(survey=Survey(queues=queues)), SETTINGS)
    assert [(row.queue.name, row.tone, row.note) for row in rows] == [
        ("pay", "bad", ""),
        ("unread", "warn", "nobody reads it"),
        ("old", "", ""),
        ("idle", "", ""),
    ]


@pytest.mark.parametrize(
    ("queue", "outlook"),
    [
        (QueueDepth("q"), "?"),
        (QueueDepth("q", ready=0), "–"),
        (QueueDepth("q", ready=5), "?"),
        (QueueDepth("q", ready=5, consumers=0), "never"),
        (QueueDepth("q", ready=5, arrivals_per_second=2.0, deliveries_per_second=1.0), "grows"),
        (QueueDepth("q", ready=5, arrivals_per_second=1.0, deliveries_per_second=1.0), "never"),
        (QueueDepth("q", ready=90, arrivals_per_second=1.0, deliveries_per_second=2.0), "1m 30s"),
    ],
)
def test_when_a_queue_will_be_empty(queue: QueueDepth, outlook: str) -> None:
    """If all goes on as it does."""
    (row,) = queue_rows(snapshot(survey=Survey(queues=(queue,))), SETTINGS)
    assert row.outlook == outlook


def test_rates_that_the_broker_does_not_tell_are_those_of_the_events() -> None:
    """Where task-sent is sent; else nothing is known of what comes in."""
    survey = Survey(queues=(QueueDepth("pay", ready=60),))
    sent = {("x", "pay"): TaskCounts(sent=60, received=120)}
    (row,) = queue_rows(snapshot(sent, survey=survey), SETTINGS)
    rates = row.queue.arrivals_per_second, row.queue.deliveries_per_second
    assert (rates, row.outlook) == ((1.0, 2.0), "1m 00s")
    mute = {("x", "pay"): TaskCounts(received=120)}
    (row,) = queue_rows(snapshot(mute, survey=survey), SETTINGS)
    assert row.queue.arrivals_per_second is None


def test_bad_workers_are_the_first() -> None:
    """Lost and stalled, then what is to be looked after, then all that is well."""
    workers = (
        worker("a"),
        worker("b", sends_task_events=False),
        worker("c", WorkerState.OFFLINE),
        worker("d", WorkerState.OFFLINE, draining=1),
        worker("e"),
        worker("f", WorkerState.LOST),
        worker("g", is_shared=True, processes=3),
    )
    rows = worker_rows(snapshot(workers=workers, survey=Survey(stalled=("e",))), orphans={"f": 3})
    assert [(row.worker.hostname, row.state, row.note) for row in rows] == [
        ("e", "stalled", "does nothing, and work waits"),
        ("f", "lost", "3 tasks unfinished"),
        ("b", "online", "sends no task events: start it with -E"),
        ("d", "draining", "1 task left"),
        ("g", "online", "3 processes have this name"),
        ("a", "online", ""),
        ("c", "offline", ""),
    ]


def test_frames_of_libraries_are_folded_and_nothing_is_lost() -> None:
    """The app's own frames, and what was raised, stay open."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 1, in x\n'
        "    return f()\n"
        '  File "/app/shop.py", line 3, in pay\n'
        "    boom()\n"
        "    ^^^^^^\n"
        "\n"
        "The above exception was the direct cause:\n"
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.11/json.py", line 1, in x\n'
        '  File "/usr/lib/python3.11/json.py", line 2, in y\n'
        "ValueError: no"
    )
    parts = parts_of(text)
    assert "\n".join(part.text for part in parts) == text
    assert [part.frames for part in parts] == [0, 1, 0, 2, 0]
    assert parts_of("") == parts_of("")[:1]


def test_numbers_are_short_and_true() -> None:
    """Unknown is a question mark."""
    assert [count(x) for x in (None, 0, 1_234, 0.0, 0.123, 9.14, 14.2, 512.6)] == [
        *("?", "0", "1,234", "0.0", "0.12", "9.1", "14.2", "513")
    ]
    assert [took(x) for x in (None, 0.0, 0.0004, 0.3124, 2.414, 59.0, 372.0)] == [
        *("?", "0 ms", "< 1 ms", "312 ms", "2.41 s", "59 s", "6m 12s")
    ]
    assert [size(x) for x in (None, 12, 1_500, 212_000_000, 3.2e12)] == [
        *("?", "12 B", "1.5 kB", "212 MB", "3,200 GB")
    ]
    assert moment(None) == "?"
    assert moment(1e300) == "?"
    assert moment(0.5, "full") == (
        '<time datetime="1970-01-01T00:00:00.500000Z" data-how="full">1970-01-01 00:00:00</time>'
    )


def test_links_of_the_users_are_filled_in_quoted() -> None:
    """One for which something is unknown is left out."""
    links = (("A", "https://a/{id}?q={name}"), ("B", "https://b/{queue}"))
    values = {"id": "a/b&c", "name": "é", "queue": None}
    assert ended_links(links, values) == [("A", "https://a/a%2Fb%26c?q=%C3%A9")]


def test_an_address_leaves_out_what_is_not_asked() -> None:
    """And quotes what is."""
    url = url_maker("/p")
    assert url("tasks", state=["failed", "retried"], name="a&b", text="", worker=None) == (
        "/p/tasks?state=failed&state=retried&name=a%26b"
    )
    assert url("", x="\ud800") == "/p/?x=%3F"
