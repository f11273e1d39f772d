"""What events of whoever may write to the broker keep in memory is bounded in bytes, too."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from event_monitor import events as ev
from event_monitor.errors import InvalidEvent
from event_monitor.settings import Settings
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.making import W1

TASKS = 500
QUEUES = 1_000  # told apart: each takes more than a task does
WIDE = "\N{GRINNING FACE}"  # four bytes, in JSON and in Python


@pytest.fixture
def state() -> State:
    return State(Settings(max_task_names=10), clock=FakeClock())


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def observe(state: State, **fields: object) -> list[str]:
    """Let one event of the worker come; return what was wrong with it."""
    invalid: list[InvalidEvent] = []
    event = {"hostname": W1, "timestamp": 1_000.0, **fields}
    body = json.dumps([event], ensure_ascii=False).encode()
    state.observe(ev.decode([body], on_invalid=invalid.append))
    return [error.kind for error in invalid]


def kept_bytes() -> int:
    return tracemalloc.get_traced_memory()[0]


def test_a_task_in_flight_takes_no_more_than_a_few_names_that_brokers_take(state: State) -> None:
    """Each with an id, a name, a queue and a nodename of its own, as long as may be."""

    def send(numbers: range) -> None:
        for number in numbers:
            unique = f"{number:05}"
            invalid = observe(
                state,
                type="task-sent",
                uuid=unique + WIDE * 250,
                name=unique + WIDE * 1_019,
                queue=unique + WIDE * 250,
                hostname=unique + WIDE * 250,
                eta="2026-11-26T10:00:00",
            )
            assert not invalid

    send(range(QUEUES))
    before = kept_bytes()
    send(range(QUEUES, QUEUES + TASKS))

    assert (kept_bytes() - before) / TASKS < 6_000


def test_queues_that_are_made_up_keep_nothing_when_there_is_no_room_for_them() -> None:
    """Beyond the bound of queues they are counted as ``other``."""
    state = State(Settings(max_tasks_in_flight=100), clock=FakeClock())

    def send(numbers: range) -> None:
        for number in numbers:
            queue = f"{number:05}" + "q" * 250
            observe(state, type="task-sent", uuid=str(number), name="job", queue=queue)
        state.freeze_while(state.expose).develop()

    send(range(2_000))
    before = kept_bytes()
    send(range(2_000, 4_000))

    assert (kept_bytes() - before) / 2_000 < 150


@pytest.mark.parametrize(
    "fields",
    [{"queue": "q" * 256}, {"hostname": "h" * 256}, {"uuid": "u" * 256}, {"eta": "9" * 101}],
)
def test_what_no_broker_takes_is_no_event(state: State, fields: dict[str, object]) -> None:
    """It is counted as invalid, and nothing of it is kept."""
    event = {"type": "task-sent", "uuid": "u1", "name": "job", **fields}
    assert observe(state, **event) == ["wrong field"]


def test_an_event_that_waits_for_a_name_does_not_keep_its_traceback(state: State) -> None:
    """Ten thousand may wait, and each came in a message of up to 16 MB."""
    state.await_names(5.0)
    before = kept_bytes()
    for number in range(TASKS):
        observe(
            state,
            type="task-failed",
            uuid=str(number),
            exception="KeyError('x')",
            traceback="x" * 20_000,
        )

    assert (kept_bytes() - before) / TASKS < 2_000


@pytest.mark.parametrize(
    ("exception", "failed", "rejected"),
    [("KeyError('x')", {"KeyError": 1}, 0), ("reject requeue=False: no", {}, 1)],
)
def test_an_event_that_waited_says_the_same_of_its_exception(
    exception: str, failed: dict[str, int], rejected: int
) -> None:
    """Its class, or that it was no failure."""
    state = State(Settings(by_exception=True), clock=FakeClock())
    state.await_names(5.0)
    observe(state, type="task-failed", uuid="u1", exception=exception, traceback="x")

    state.stop_awaiting_names()

    window = state.freeze_while(state.expose).develop().window
    assert {counts.exception: counts.failed for counts in window.exceptions} == failed
    assert sum(counts.rejected for _, counts in window.tasks) == rejected
