"""Terraform, alarms: metric alarms and the composite as blocks. Pure."""

from __future__ import annotations

import re

from ..model import COMPARISONS, Alarm, CompositeAlarm, Series, alarm_tags
from .hcl import Attribute, Block, Comment, Raw

__all__ = ["alarm_block", "composite_block", "scaling_alarm_block"]


def alarm_block(alarm: Alarm, prefix: str) -> Block:
    """Return a metric alarm that notifies when it goes off, and when it is over."""
    actions = list(alarm.actions)
    return _alarm_block(alarm, prefix, alarm_actions=actions, ok_actions=actions)


def scaling_alarm_block(alarm: Alarm, prefix: str, *, policy: Raw) -> Block:
    """Return a metric alarm that triggers a scaling policy, and does nothing when it is over."""
    return _alarm_block(alarm, prefix, alarm_actions=[policy], ok_actions=None)


def composite_block(composite: CompositeAlarm, prefix: str) -> Block:
    """Return the alarm over the others, which must be created before it."""
    children = [
        Raw(f"aws_cloudwatch_metric_alarm.{_local_name(child, prefix)}")
        for child in composite.children
    ]
    return Block(
        "resource",
        ("aws_cloudwatch_composite_alarm", _local_name(composite.name, prefix)),
        (
            ("alarm_name", composite.name),
            ("alarm_description", composite.description),
            ("alarm_rule", composite.rule),
            ("alarm_actions", list(composite.actions)),
            ("ok_actions", list(composite.actions)),
            ("tags", alarm_tags(prefix)),
            Comment("The rule refers to them, so they must exist first."),
            ("depends_on", children),
        ),
    )


def _alarm_block(
    alarm: Alarm,
    prefix: str,
    *,
    alarm_actions: list[str] | list[Raw],
    ok_actions: list[str] | None,
) -> Block:
    queries = tuple(_queries(alarm)) if alarm.expression else ()
    metric = () if alarm.expression else _only_metric(alarm)
    return Block(
        "resource",
        ("aws_cloudwatch_metric_alarm", _local_name(alarm.name, prefix)),
        (
            ("alarm_name", alarm.name),
            ("alarm_description", alarm.description),
            *metric,
            ("comparison_operator", COMPARISONS[alarm.comparison]),
            ("threshold", alarm.threshold),
            ("datapoints_to_alarm", alarm.datapoints),
            ("evaluation_periods", alarm.periods),
            ("treat_missing_data", alarm.missing),
            ("alarm_actions", alarm_actions),
            ("ok_actions", ok_actions),
            ("tags", alarm_tags(prefix)),
            *queries,
        ),
    )


def _only_metric(alarm: Alarm) -> tuple[Attribute, ...]:
    (series,) = alarm.series
    statistic = "extended_statistic" if series.is_percentile else "statistic"
    return (*_metric(series), (statistic, series.statistic), ("period", alarm.period_seconds))


def _queries(alarm: Alarm) -> list[Block]:
    expression = Block(
        "metric_query",
        body=(
            ("id", "e0"),
            ("expression", alarm.expression),
            ("label", alarm.name),
            ("return_data", True),
        ),
    )
    return [expression, *(_query(series, alarm.period_seconds) for series in alarm.series)]


def _query(series: Series, period_seconds: int) -> Block:
    statistic = (("stat", series.statistic), ("period", period_seconds))
    metric = Block("metric", body=(*_metric(series), *statistic))
    return Block("metric_query", body=(("id", series.id), metric))


def _metric(series: Series) -> tuple[Attribute, ...]:
    return (
        ("namespace", series.namespace),
        ("metric_name", series.metric),
        ("dimensions", dict(series.dimensions) or None),
    )


def _local_name(name: str, prefix: str) -> str:
    """Return Terraform's own name of the resource; different names never share one."""
    short = name.removeprefix(f"{prefix}-")
    if re.fullmatch(r"[a-z][a-z0-9-]*", short):
        return short.replace("-", "_")
    # What is no letter or digit is spelt out, `_` too, so that two names cannot become the same.
    return "_" + "".join(
        character if character.isascii() and character.isalnum() else f"_{ord(character):x}_"
        for character in short
    )
