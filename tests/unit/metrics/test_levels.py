"""Levels: the worse of length and age, by the first limits whose glob matches."""

from __future__ import annotations

import pytest

from event_monitor.metrics.gauges import queue_values
from event_monitor.metrics.levels import Level, level_of
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth, Survey

LIMITED = Settings(
    queue_length_limits=(("bulk.*", (1_000, 10_000)), ("*", (10, 100))),
    queue_age_limits=(("*", (60, 600)),),
)


@pytest.mark.parametrize(
    ("queue", "level"),
    [
        (QueueDepth("q", ready=9, oldest_seconds=59.0), Level.OK),
        (QueueDepth("q", ready=10, oldest_seconds=0.0), Level.WARNING),
        (QueueDepth("q", ready=1, oldest_seconds=60.0), Level.WARNING),
        (QueueDepth("q", ready=100, oldest_seconds=0.0), Level.CRITICAL),
        (QueueDepth("q", ready=1, oldest_seconds=600.0), Level.CRITICAL),
        (QueueDepth("q", ready=50), Level.WARNING),
        (QueueDepth("q", oldest_seconds=700.0), Level.CRITICAL),
        (QueueDepth("q", ready=0), Level.OK),
        (QueueDepth("q"), None),
    ],
)
def test_level_is_the_worse_of_length_and_age(queue: QueueDepth, level: Level | None) -> None:
    assert level_of(queue, LIMITED) is level


def test_level_goes_by_the_first_glob_that_matches() -> None:
    assert level_of(QueueDepth("bulk.mail", ready=999), LIMITED) is Level.OK
    assert level_of(QueueDepth("mail", ready=999), LIMITED) is Level.CRITICAL


def test_level_is_unknown_without_limits() -> None:
    assert level_of(QueueDepth("q", ready=10**9), Settings()) is None


def test_a_level_that_is_published_is_a_plain_number() -> None:
    """Sinks and the spool know numbers only."""
    values = queue_values(QueueDepth("q", ready=10), Survey(), LIMITED)

    assert type(values["queue_status"]) is int
