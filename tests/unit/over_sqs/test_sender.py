"""Sender: events arrive once and in order, or are counted, whatever SQS does."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.over_sqs.sender import Sender

from ...support.answering import OK, Answering, trickle
from ...support.processes import ROOT
from ...support.sqs import EventEndpoint
from ...support.waiting import wait_until

Start = Callable[..., Sender]


@pytest.fixture
def endpoint() -> Iterator[EventEndpoint]:
    with EventEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def start(endpoint: EventEndpoint) -> Iterator[Start]:
    """Return a function that makes a sender to the endpoint; it flushes often."""
    started: list[Sender] = []

    def make(url: str = endpoint.url, **options: Any) -> Sender:
        arguments = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
        }
        started.append(Sender(EventQueue(**{"flush_seconds": 0.1, **options}), arguments))
        return started[-1]

    yield make
    for sender in started:
        sender.close()
        sender.join(60)


def event(number: int) -> dict[str, Any]:
    return {
        "type": "task-started",
        "hostname": "celery@one",
        "uuid": f"u{number}",
        "timestamp": 1_000.0 + number,
    }


def test_events_arrive_once_and_in_their_order(endpoint: EventEndpoint, start: Start) -> None:
    """Each message says which of this sender's it is."""
    # When
    sender = start()
    for number in range(1_000):
        sender.put([event(number)])
    endpoint.wait_for_events(1_000)

    # Then
    assert [one["uuid"] for one in endpoint.events] == [f"u{number}" for number in range(1_000)]
    headers = [message.header for message in endpoint.messages]
    assert [header.seq for header in headers] == list(range(len(headers)))
    assert (len({header.sender for header in headers}), {header.dropped for header in headers}) == (
        1,
        {0},
    )
    wait_until(lambda: sender.counts() == (1_000, 0, 0), 60, "all are counted as sent")
    assert endpoint.requests["GetQueueUrl"] == 1


def test_the_last_events_are_sent_at_the_end(endpoint: EventEndpoint, start: Start) -> None:
    """By the sender's own thread; the end waits for it."""
    sender = start(flush_seconds=300)
    sender.put([event(number) for number in range(3)])
    sender.close()
    sender.join(60)
    assert len(endpoint.events) == 3


def test_a_queue_that_is_made_late_gets_what_waited_for_it(
    endpoint: EventEndpoint, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What was too much is counted, and told in the next message; one warning says it all."""
    # Given
    endpoint.refusal = "QueueDoesNotExist"
    sender = start(buffer_events=100)

    # When
    sender.put([event(number) for number in range(90)])
    wait_until(lambda: endpoint.requests["GetQueueUrl"] >= 2, 60, "it is tried again")
    sender.put([event(number) for number in range(90, 200)])
    endpoint.refusal = None

    # Then
    endpoint.wait_for_events(190)
    assert [one["uuid"] for one in endpoint.events] == [
        f"u{number}" for number in (*range(90), *range(100, 200))
    ]
    assert [message.header.dropped for message in endpoint.messages] == [0, 10]
    wait_until(lambda: sender.counts() == (190, 0, 10), 60, "all are counted")
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "events do not reach the SQS queue celeryev: there is no queue celeryev; "
        "90 wait, 0 were dropped so far"
    ]


def test_what_sqs_will_never_take_is_dropped(endpoint: EventEndpoint, start: Start) -> None:
    """The others do not wait behind it for ever."""
    # Given
    endpoint.refusal = "InvalidMessageContents"
    sender = start()
    sender.put([event(1), event(2)])
    wait_until(lambda: sender.counts().dropped == 2, 60, "they are dropped")

    # When
    endpoint.refusal = None
    sender.put([event(3)])

    # Then
    assert [one["uuid"] for one in endpoint.wait_for_events(1)] == ["u3"]
    assert [message.header.dropped for message in endpoint.messages] == [2]


def test_an_answer_that_is_not_sqs_s_sends_nothing(start: Start) -> None:
    """A proxy that says all is well has not kept it."""

    def answer(connection: Any, over: threading.Event) -> None:
        del over
        connection.sendall(OK + b"Content-Length: 2\r\nContent-Type: text/html\r\n\r\n{}")

    with Answering(answer) as proxy:
        sender = start(f"http://127.0.0.1:{proxy.port}", name=f"http://127.0.0.1:{proxy.port}/1/q")
        sender.put([event(1)])
        sender.close()
        sender.join(60)
    assert sender.counts() == (0, 1, 0)


def test_a_process_that_ends_twice_waits_and_warns_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """As one of multiprocessing that was spawned, which has two kinds of end."""
    with Answering(trickle(OK)) as tarpit:
        sender = start(f"http://127.0.0.1:{tarpit.port}")
        sender.put([event(1)])
        sender.close()
        sender.join(0.1)
        sender.join(10_000)  # longer than a test may take
    assert sum("are not sent" in record.message for record in caplog.records) == 1


def test_nobody_waits_for_an_answer_that_never_ends(start: Start) -> None:
    """Neither those who put, nor the end of the process; what it cost is counted."""
    with Answering(trickle(OK)) as tarpit:
        sender = start(f"http://127.0.0.1:{tarpit.port}", buffer_events=100)
        for number in range(300):
            sender.put([event(number)])
        sender.close()
        sender.join(0.1)
        counts = sender.counts()
    assert (counts.sent, counts.kept + counts.dropped) == (0, 300)


def test_a_broken_event_costs_itself_only(endpoint: EventEndpoint, start: Start) -> None:
    """Whatever an application sends as an event of a task, its threads go on."""
    sender = start()
    broken: list[dict[str, Any]] = [
        {**event(1), "type": "task-failed", "exception": "ValueError()", "timestamp": "soon"},
        {**event(2), "pid": object()},
        {"uuid": "no type"},
        event(3),
    ]
    sender.put(broken)
    endpoint.wait_for_events(1)
    assert [one["uuid"] for one in endpoint.events] == ["u3"]
    wait_until(lambda: sender.counts() == (1, 0, 3), 60, "they are counted")


IMPORTS = """\
import sys, threading
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("shop", broker="memory://")
send_events_over_sqs(app, sys.argv[1], flush_seconds=0.1)
with app.events.default_dispatcher() as dispatcher:
    before = set(sys.modules)
    dispatcher.send("shop-bought")
from event_monitor.over_sqs.sender import close_senders, sender_of

close_senders(seconds=60)
assert sender_of(app).counts() == (1, 0, 0), sender_of(app).counts()
print(sorted(set(sys.modules) - before))
"""


def test_the_sender_s_thread_imports_nothing(endpoint: EventEndpoint) -> None:
    """A process that forked meanwhile would have half a module for ever."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS, f"{endpoint.url}/123456789012/celeryev"],
        env={"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("[]\n", "")
    assert len(endpoint.events) == 1


FORKS = """\
import ctypes, os, sys, time
from celery import Celery
from event_monitor import send_events_over_sqs

from event_monitor.over_sqs.sender import close_senders, sender_of

app = Celery("shop", broker="memory://")
send_events_over_sqs(app, sys.argv[1], flush_seconds=0.1, producers=True)

def buy(what):
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send(f"shop-{what}")

buy("parent")
fork = os.fork  # the parent's thread is making its client, or sending
if sys.argv[2] == "c":  # then that may not be: its locks would stay locked in the child
    fork = ctypes.PyDLL(None).fork
    while sender_of(app).counts().sent < 1:
        time.sleep(0.01)
for number in range(8):
    if not fork():
        buy(number)
        close_senders(seconds=60)  # eight processes make a client at a time
        os._exit(0)
print({os.wait()[1] for _ in range(8)})
close_senders(seconds=60)
"""


@pytest.mark.parametrize("by", ["python", "c"])
def test_a_process_may_fork_while_its_sender_starts(endpoint: EventEndpoint, by: str) -> None:
    """Each child sends as a sender of its own, and nothing of its parent's.

    Also where Python knows nothing of the fork, as uWSGI's.
    """
    run = subprocess.run(
        [sys.executable, "-c", FORKS, f"{endpoint.url}/123456789012/celeryev", by],
        env={"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("{0}\n", "")
    assert sorted(one["type"] for one in endpoint.events) == [
        *(f"shop-{number}" for number in range(8)),
        "shop-parent",
    ]
    headers = [message.header for message in endpoint.messages]
    assert (len({header.sender for header in headers}), {header.seq for header in headers}) == (
        9,
        {0},
    )


CHILDREN = """\
import multiprocessing, sys
import billiard
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("shop", broker="memory://")
send_events_over_sqs(app, sys.argv[1], flush_seconds=300, producers=sys.argv[3] == "before")

def buy(number):
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send(f"shop-{number}")
    from event_monitor.over_sqs import sender
    sender.CHILD_SECONDS = 60.0  # a machine may be slow

if __name__ == "__main__":
    if sys.argv[2] == "billiard":
        context = billiard.get_context("fork")
    else:
        context = multiprocessing.get_context(sys.argv[2])
    children = [context.Process(target=buy, args=(number,)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    if sys.argv[2] != "billiard":
        with context.Pool(1) as pool:
            pool.map(buy, [2])
            pool.close()
            pool.join()
    print({child.exitcode for child in children})
"""


@pytest.mark.parametrize("imported", ["before", "in the child"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", "billiard"])
def test_a_process_of_multiprocessing_sends_its_last_events(
    endpoint: EventEndpoint, tmp_path: Path, method: str, imported: str
) -> None:
    """It ends without what ``atexit`` knows of; whether it was forked before or after an import."""
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    run = subprocess.run(
        [sys.executable, str(script), f"{endpoint.url}/123456789012/celeryev", method, imported],
        env={
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("{0}\n", "")
    numbers = range(2 if method == "billiard" else 3)
    assert sorted(one["type"] for one in endpoint.events) == [f"shop-{n}" for n in numbers]
