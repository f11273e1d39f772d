"""Model: what CloudWatch could not evaluate cannot be made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from event_monitor.provision.model import Alarm, CompositeAlarm, Series, resource_name

GOOD = Alarm(
    name="celery-x",
    description="x",
    series=(Series(id="m0", namespace="Celery", metric="TasksFailed", statistic="Sum"),),
    comparison=">",
    threshold=0.0,
    datapoints=3,
    periods=5,
    period_seconds=60,
    missing="notBreaching",
)
TEN = tuple(replace(GOOD.series[0], id=f"m{number}") for number in range(10))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expression": "FILL(m0, 0)"}, "FILL does not belong in an alarm"),
        ({"expression": "RATE(m0)"}, "RATE does not belong in an alarm"),
        ({"expression": "SUM(SEARCH('{Celery}', 'Sum'))"}, "SEARCH does not belong in an alarm"),
        ({"expression": "m0+m1"}, "it does not use exactly its series"),
        (
            {"series": TEN, "expression": "+".join(series.id for series in TEN)},
            "more than 10 metrics",
        ),
        ({"series": TEN[:2]}, "it needs one series, or an expression"),
        ({"datapoints": 6}, "6 of 5 datapoints"),
        ({"period_seconds": 45}, "a period of 45 seconds"),
        ({"period_seconds": 3_000, "periods": 30}, "it would look back for more than 86400"),
        ({"name": "x" * 256}, "its name must have 1 to 255 characters"),
        ({"description": "x" * 1_025}, "its description is longer than 1024"),
    ],
)
def test_an_alarm_cloudwatch_could_not_evaluate_cannot_be_made(
    changes: dict[str, Any], problem: str
) -> None:
    """It would be refused, or sit in INSUFFICIENT_DATA for ever."""
    with pytest.raises(ValueError, match=problem):
        replace(GOOD, **changes)


def test_a_composite_alarm_without_children_or_with_too_many_cannot_be_made() -> None:
    """A hundred are CloudWatch's limit."""
    for children in ((), tuple(map(str, range(101)))):
        with pytest.raises(ValueError, match="too many children, or none"):
            CompositeAlarm(name="x", description="x", children=children)


def test_names_too_long_stay_different() -> None:
    """They end in a digest."""
    names = {
        resource_name("celery", "queue-length", "x" * 400),
        resource_name("celery", "queue-length", "x" * 401),
    }
    assert [len(name) for name in names] == [255, 255]
