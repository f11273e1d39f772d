"""Window log: one line says what a window counted, once its metrics are where they belong."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

import pytest

from event_monitor.notices import WindowLog
from event_monitor.snapshot import (
    BrokerLink,
    MissingTask,
    MissingTasks,
    OrphanedTask,
    PublisherReport,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey
from event_monitor.testing import FakeClock

from ...support.making import W1, W2

NOON = datetime(2026, 1, 31, 12, 0).timestamp()  # noqa: DTZ001  local, as the line is
BUSY = Snapshot(
    window=Window(
        NOON,
        NOON + 60.2,
        tasks=(
            ("shop.pay", TaskCounts(succeeded=500, failed=40)),
            ("shop.mail", TaskCounts(succeeded=1_016)),
        ),
    ),
    workers=(
        WorkerStatus(W1, WorkerState.ONLINE, 0.0),
        WorkerStatus(W2, WorkerState.ONLINE, 0.0),
        WorkerStatus("w3@gone", WorkerState.OFFLINE, 90.0),
    ),
    survey=Survey(
        queues=(
            QueueDepth("pay", ready=31, oldest_seconds=4.2),
            QueueDepth("mail", ready=0),
            QueueDepth("later", missing=True),
        )
    ),
)


@pytest.fixture
def window_log(caplog: pytest.LogCaptureFixture) -> WindowLog:
    caplog.set_level(logging.INFO)
    clock = FakeClock(wall=NOON + 60.5)
    return WindowLog(
        interval_seconds=lambda: 60.0, destination=lambda: "Shop in eu-west-1", clock=clock
    )


def later(snapshot: Snapshot, seconds: float) -> Snapshot:
    window = snapshot.window
    return replace(
        snapshot,
        window=replace(
            window, opened_at=window.closed_at, closed_at=snapshot.window.closed_at + seconds
        ),
    )


def test_the_first_accepted_send_says_where_and_when_the_next_is(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """And the line of the window says how much of it was sent."""
    window_log(BUSY)
    assert caplog.messages == []
    window_log.on_accepted(95, 0)
    window_log(later(BUSY, 60))
    window_log.on_accepted(92, 0)

    counted = "1,516 succeeded, 40 failed, 0 lost · 2 workers · 31 waiting, oldest 4 s"
    assert caplog.messages == [
        "published 95 series to Shop in eu-west-1; next at 12:02:00",
        f"12:01 {counted} · 95 series sent",
        f"12:02 {counted} · 92 series sent",
    ]
    facts = vars(caplog.records[1])
    assert (facts["succeeded"], facts["waiting"], facts["series"]) == (1_516, 31, 95)


def test_a_window_that_cannot_be_sent_has_its_line_too(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """At the next shot, or at the end; what is sent later counts in the line of that time."""
    window_log(BUSY)
    window_log(replace(later(BUSY, 60), publisher=PublisherReport(unsent=95)))
    window_log.on_accepted(95, 92)
    window_log.on_accepted(92, 0)
    window_log(later(BUSY, 120))
    window_log.close(unsent=90)

    assert [message.rpartition(" · ")[2] for message in caplog.messages] == [
        "95 not sent yet",
        "published 95 series to Shop in eu-west-1; next at 12:02:00",
        "187 series sent",
        "90 not sent yet",
    ]


def test_shots_ahead_of_time_have_no_lines_of_their_own(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """They are in the line of their interval, or in the last."""
    window_log(BUSY)
    window_log.on_accepted(95, 0)
    caplog.clear()
    for seconds in (10, 20):
        window_log(later(BUSY, seconds))
        window_log.on_accepted(5, 0)
    window_log(later(BUSY, 60))
    window_log.on_accepted(92, 0)
    window_log(later(BUSY, 70))
    window_log.close(unsent=0)

    assert [" · ".join(message.split(" · ")[::3]) for message in caplog.messages] == [
        "12:02 4,548 succeeded, 120 failed, 0 lost · 102 series sent",
        "12:02:10 1,516 succeeded, 40 failed, 0 lost · 0 series sent",
    ]


def test_what_is_lost_is_named_and_what_is_unknown_is_left_out(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Never a zero for what nobody knows."""
    bad = replace(
        BUSY,
        window=replace(BUSY.window, events_lost=((W1, 3),)),
        losses=(WorkerLoss(W2, 60.0, orphans=(OrphanedTask("u1", "t"),)),),
        missing=MissingTasks((("t", 2),), (MissingTask("u2", "t", "q", 1.0),)),
        survey=Survey(queues=(QueueDepth("pay", ready=31), QueueDepth("mail", ready=None))),
        link=BrokerLink.AWAY,
    )
    window_log(bad)
    window_log.close(unsent=0)

    assert caplog.messages == [
        "12:01 1,516 succeeded, 40 failed, 3 events lost, 2 tasks missing, 1 task orphaned"
        " · the broker is away · 0 series sent"
    ]


def test_the_age_of_the_oldest_is_told_only_if_it_is_known_of_every_queue(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it would be too small."""
    partly = (QueueDepth("pay", ready=31, oldest_seconds=4.2), QueueDepth("mail", ready=2))
    window_log(replace(BUSY, survey=Survey(queues=partly, stalled=(W1,))))
    window_log.close(unsent=0)

    assert "· 2 workers (1 stalled) · 33 waiting ·" in caplog.text


def test_while_no_event_can_come_nothing_is_counted_as_zero(
    window_log: WindowLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby knows the queues, and nothing of the tasks."""
    idle = replace(BUSY, window=Window(NOON, NOON + 60), link=BrokerLink.STANDBY)
    window_log(idle)
    window_log.close(unsent=0)

    assert caplog.messages == ["12:01 standby · 31 waiting, oldest 4 s · 0 series sent"]
