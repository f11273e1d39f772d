"""Buffer: what waits to be sent, and when it is time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from event_monitor.over_sqs.buffer import FULL_EVENTS, Buffer

from ...support.waiting import wait_until


class Time:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    wall = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def buffer(time: Time) -> Buffer:
    return Buffer(most_events=500, flush_seconds=10.0, clock=time)


def started(number: int) -> dict[str, Any]:
    return {"type": "task-started", "uuid": f"u{number}"}


def beat(number: int) -> dict[str, Any]:
    return {"type": "worker-heartbeat", "processed": number}


def test_the_oldest_events_make_room_and_are_counted(buffer: Buffer) -> None:
    """The newest say what is the case now."""
    buffer.put([started(number) for number in range(501)])
    buffer.put([started(501)])
    assert (len(buffer), buffer.dropped) == (500, 2)
    assert buffer.take(1) == [started(2)]


def test_events_wait_for_others_until_they_are_due(buffer: Buffer, time: Time) -> None:
    """From the first of them on."""
    buffer.put([started(1)])
    time.now = 109.0
    buffer.put([started(2)])
    time.now = 110.0
    assert buffer.wait(retry_at=None) == "flush"


def test_a_full_message_waits_for_nothing(buffer: Buffer) -> None:
    """More events would make a second message."""
    buffer.put([started(number) for number in range(FULL_EVENTS)])
    assert buffer.wait(retry_at=None) == "flush"


def test_a_worker_that_is_there_is_told_at_once(buffer: Buffer) -> None:
    """Somebody looks at the screen."""
    buffer.put([{"type": "worker-online"}], at_once=True)
    assert buffer.wait(retry_at=None) == "flush"


def test_after_a_fault_not_even_a_full_buffer_is_tried_before_its_time(
    buffer: Buffer, time: Time
) -> None:
    """Else a busy worker would try all the time."""
    # Given
    buffer.put([started(number) for number in range(400)], at_once=True)
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(buffer.wait(retry_at=120.0)))
    thread.start()

    # When
    buffer.note_beat()
    wait_until(lambda: reasons, 60, "the beat is noticed")

    # Then
    assert reasons == ["beat"]
    time.now = 120.0
    assert buffer.wait(retry_at=120.0) == "flush"


def test_of_heartbeats_that_pile_up_only_the_newest_is_sent(buffer: Buffer) -> None:
    """In its place among the task events; those left out are no loss."""
    for number in range(3):
        buffer.put([started(number)])
        buffer.put_heartbeat(beat(number))
    assert (len(buffer), buffer.dropped) == (4, 0)
    assert buffer.take(10) == [started(0), started(1), started(2), beat(2)]


def test_a_heartbeat_that_was_taken_is_not_taken_back(buffer: Buffer) -> None:
    """It is in a message by now."""
    buffer.put_heartbeat(beat(0))
    taken = buffer.take(10)
    buffer.put_heartbeat(beat(1))
    assert (taken, buffer.take(10)) == ([beat(0)], [beat(1)])


def test_the_last_beat_comes_before_the_end(buffer: Buffer) -> None:
    """The goodbye of a worker is one."""
    buffer.note_beat()
    buffer.close()
    assert [buffer.wait(retry_at=None) for _ in range(2)] == ["beat", "end"]


def test_whoever_waits_wakes_up_at_the_end(buffer: Buffer) -> None:
    """Though nothing was ever put."""
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(buffer.wait(retry_at=None)))
    thread.start()
    buffer.close()
    thread.join(60)
    assert reasons == ["end"]
