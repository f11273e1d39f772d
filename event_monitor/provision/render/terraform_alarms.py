"""Terraform, alarms: metric alarms and the composite as blocks. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..model import COMPARISONS, Alarm, CompositeAlarm, Series, tags_of
from .hcl import Block, Comment, Raw

__all__ = ["alarm_block", "composite_block"]


def alarm_block(alarm: Alarm, prefix: str, *, actions: Any, quiet: bool = False) -> Block:
    """A metric alarm. ``quiet``: nothing happens when it is over, as for scaling."""
    queries: tuple[Block, ...] = ()
    metric: tuple[tuple[str, Any], ...] = ()
    if alarm.expression:
        queries = (
            Block(
                "metric_query",
                body=(
                    ("id", "e0"),
                    ("expression", alarm.expression),
                    ("label", alarm.name),
                    ("return_data", True),
                ),
            ),
            *(_query(one, alarm.period_seconds) for one in alarm.series),
        )
    else:
        (series,) = alarm.series
        kind = "extended_statistic" if series.is_percentile else "statistic"
        metric = (
            ("namespace", series.namespace),
            ("metric_name", series.metric),
            ("dimensions", dict(series.dimensions) or None),
            (kind, series.statistic),
            ("period", alarm.period_seconds),
        )
    return Block(
        "resource",
        ("aws_cloudwatch_metric_alarm", _resource_name(alarm.name, prefix)),
        (
            ("alarm_name", alarm.name),
            ("alarm_description", alarm.description),
            *metric,
            ("comparison_operator", COMPARISONS[alarm.comparison]),
            ("threshold", alarm.threshold),
            ("datapoints_to_alarm", alarm.datapoints),
            ("evaluation_periods", alarm.periods),
            ("treat_missing_data", alarm.missing),
            ("alarm_actions", actions),
            ("ok_actions", None if quiet else actions),
            ("tags", tags_of(prefix)),
            *queries,
        ),
    )


def _query(series: Series, period_seconds: int) -> Block:
    return Block(
        "metric_query",
        body=(
            ("id", series.id),
            Block(
                "metric",
                body=(
                    ("namespace", series.namespace),
                    ("metric_name", series.metric),
                    ("dimensions", dict(series.dimensions) or None),
                    ("stat", series.statistic),
                    ("period", period_seconds),
                ),
            ),
        ),
    )


def composite_block(composite: CompositeAlarm, prefix: str) -> Block:
    """The alarm over the others, which must be made before it."""
    children = [
        Raw(f"aws_cloudwatch_metric_alarm.{_resource_name(one, prefix)}")
        for one in composite.children
    ]
    return Block(
        "resource",
        ("aws_cloudwatch_composite_alarm", _resource_name(composite.name, prefix)),
        (
            ("alarm_name", composite.name),
            ("alarm_description", composite.description),
            ("alarm_rule", composite.rule),
            ("alarm_actions", list(composite.actions)),
            ("ok_actions", list(composite.actions)),
            ("tags", tags_of(prefix)),
            Comment("The rule names them; it can only be made when they are there."),
            ("depends_on", children),
        ),
    )


def _resource_name(text: str, prefix: str) -> str:
    """The name of a resource, without the prefix; different texts never share one."""
    short = text.removeprefix(f"{prefix}-")
    if re.fullmatch(r"[a-z][a-z0-9-]*", short):
        return short.replace("-", "_")
    # What is no letter or digit is spelt out, `_` too, so that names cannot meet.
    return "_" + "".join(
        one if one.isascii() and one.isalnum() else f"_{ord(one):x}_" for one in short
    )
