"""Evaluator: that it judges an alarm as the CloudWatch user guide says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.metrics import Metric
from event_monitor.provision.model import Alarm, CompositeAlarm, MissingData, Series

from .cluster import Period
from .evaluator import Notification, State, notifications, timeline

ARN = "arn:aws:sns:eu-west-1:123456789012:alerts"
SERIES = Series(id="m0", namespace="Celery", metric="M", statistic="Sum")
ALARM = Alarm(
    name="a",
    description="",
    series=(SERIES,),
    comparison=">",
    threshold=0,
    datapoints=3,
    periods=3,
    period_seconds=60,
    missing="notBreaching",
    actions=(ARN,),
)


def minutes(text: str) -> list[Period]:
    """Return a period for each character: `X` breaches, `0` does not, `-` is no data."""
    datum = {"X": 1.0, "0": 0.0}
    return [
        () if character == "-" else (Metric("M", "Count", 0.0, datum[character], ()),)
        for character in text
    ]


@pytest.mark.parametrize(
    ("points", "missing", "state"),
    [
        ("0-X-X", "breaching", "OK"),  # enough have data, and one does not breach
        ("----0", "breaching", "OK"),  # two are filled in, and the third does not breach
        ("-----", "breaching", "ALARM"),
        ("-----", "notBreaching", "OK"),
        ("-----", "ignore", "OK"),  # it stays as it was
        ("0XX-X", "notBreaching", "ALARM"),  # the latest three that have data
        ("0XX-X", "breaching", "ALARM"),
        ("--X--", "breaching", "ALARM"),
        ("--X--", "notBreaching", "OK"),
    ],
)
def test_missing_data_is_filled_in_only_where_too_little_has_any(
    points: str, missing: MissingData, state: State
) -> None:
    """The rows of the guide's table for three of three."""
    assert timeline(replace(ALARM, missing=missing), minutes("00000" + points))[-1] == state


def test_m_of_n_need_not_follow_each_other() -> None:
    alarm = replace(ALARM, datapoints=2, periods=4)
    assert [state == "ALARM" for state in timeline(alarm, minutes("X00X0X00"))] == [
        *(False, False, False, True),
        *(False, True, True, False),
    ]


def test_ignored_data_keeps_the_state() -> None:
    alarm = replace(ALARM, missing="ignore")
    assert set(timeline(alarm, minutes("XXX---------"))[3:]) == {"ALARM"}


def test_a_longer_period_is_a_window_that_slides_by_the_minute() -> None:
    """Five minutes are looked at as one, and two shots in a minute are two data."""
    alarm = replace(ALARM, datapoints=1, periods=1, period_seconds=300, threshold=2)
    two = minutes("X")[0] * 2
    assert timeline(alarm, [*minutes("X"), two, *minutes("00000")]) == [
        "OK",
        *["ALARM"] * 4,
        *["OK"] * 2,
    ]


def test_a_minimum_is_the_lowest_of_the_window() -> None:
    lowest = replace(SERIES, statistic="Minimum")
    alarm = replace(ALARM, series=(lowest,), datapoints=1, periods=1, period_seconds=120)
    assert timeline(alarm, minutes("0XX"))[1:] == ["OK", "ALARM"]


def test_an_alarm_notifies_when_it_goes_off_and_a_composite_when_the_first_does() -> None:
    """What is on keeps the composite silent about what follows."""
    once = replace(ALARM, datapoints=1, periods=1)
    other = replace(once, name="b", threshold=-1)  # on, whatever there is
    composite = CompositeAlarm(name="c", description="", children=("a", "b"), actions=(ARN,))

    assert notifications(ARN, [once, other], minutes("-0X0X"), composite) == [
        Notification(2, "b"),
        Notification(2, "c"),
        Notification(3, "a"),
        Notification(5, "a"),
    ]
    assert notifications("another", [once], minutes("X")) == []
