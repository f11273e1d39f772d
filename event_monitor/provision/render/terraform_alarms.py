"""Terraform, alarms: metric alarms and the composite as blocks, with what can be varied. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import COMPARISONS, Alarm, CompositeAlarm, Dimensions, Series
from ..references import short_name
from ..stack import Stack
from .hcl import Attribute, Block, Call, Comment, Joined, Raw, inline, output, variable
from .local_name import local_name
from .threshold_text import split_at_threshold

__all__ = ["alarm_parts", "scaling_alarm_block", "thresholds_variable"]

_TOPICS = Raw("list(string)")
#: A new alarm, or the composite without the old one, comes before the old one goes: CloudWatch does
#: not delete an alarm that a composite names.
_LIFECYCLE = Block("lifecycle", body=(("create_before_destroy", True),))


def alarm_parts(stack: Stack) -> Iterator[Block | Comment]:
    """Yield the variables, every alarm, the composite, and the outputs.

    ``stack`` has references in it.
    """
    yield from _variables(stack)
    for alarm in stack.alarms:
        yield _alarm_block(alarm, stack.dimensions)
    if stack.composite is not None:
        yield _composite_block(stack.composite)
    yield from _outputs(stack)


def thresholds_variable(alarms: tuple[Alarm, ...]) -> Block:
    """Return the variable for the thresholds of these alarms."""
    thresholds = {
        _key(alarm.name): Call("optional", Raw("number"), float(alarm.threshold))
        for alarm in alarms
    }
    return variable(
        "thresholds",
        "Threshold of each alarm, in the unit of its metric.",
        kind=Call("object", thresholds),
        default={},
    )


def scaling_alarm_block(alarm: Alarm, stack: Stack, *, policy: Raw) -> Block:
    """Return a metric alarm that triggers a scaling policy, and does nothing when it is over."""
    return _block(
        alarm,
        stack.dimensions,
        description=alarm.description,
        alarm_actions=[policy],
        ok_actions=None,
    )


def _variables(stack: Stack) -> Iterator[Block]:
    yield variable(
        "topics",
        "ARNs of the SNS topics that every alarm notifies.",
        kind=_TOPICS,
        default=list(stack.topics),
    )
    yield variable(
        "pages",
        "ARNs of the SNS topics that alarms notify too if somebody has to get up for them.",
        kind=_TOPICS,
        default=list(stack.pages),
    )


def _outputs(stack: Stack) -> Iterator[Block]:
    alarms = [Raw(_address(alarm.name)) for alarm in stack.alarms]
    yield Block("locals", body=(("alarms", alarms),))
    yield output(
        "alarm_arns",
        "ARN of each alarm, by its name.",
        Raw("{ for alarm in local.alarms : alarm.alarm_name => alarm.arn }"),
    )
    if stack.composite is not None:
        composite = f"aws_cloudwatch_composite_alarm.{_key(stack.composite.name)}"
        yield output(
            "composite_alarm_name", "Name of the composite alarm.", Raw(f"{composite}.alarm_name")
        )
        yield output("composite_alarm_arn", "ARN of the composite alarm.", Raw(f"{composite}.arn"))


def _alarm_block(alarm: Alarm, static: Dimensions) -> Block:
    """Return a metric alarm that notifies when it goes off, and when it is over."""
    actions = Raw("distinct(concat(var.topics, var.pages))" if alarm.pages else "var.topics")
    return _block(
        alarm,
        static,
        description=_description(alarm),
        alarm_actions=actions,
        ok_actions=actions,
    )


def _composite_block(composite: CompositeAlarm) -> Block:
    children = [Raw(f"{_address(child)}.alarm_name") for child in composite.children]
    return Block(
        "resource",
        ("aws_cloudwatch_composite_alarm", _key(composite.name)),
        (
            ("alarm_name", composite.name),
            ("alarm_description", composite.description),
            ("alarm_rule", Call("join", " OR ", Call("formatlist", 'ALARM("%s")', children))),
            ("alarm_actions", Raw("var.topics")),
            ("ok_actions", Raw("var.topics")),
            ("tags", Raw("local.tags")),
        ),
    )


def _block(
    alarm: Alarm,
    static: Dimensions,
    *,
    description: str | Joined,
    alarm_actions: list[Raw] | Raw,
    ok_actions: Raw | None,
) -> Block:
    queries = _queries(alarm, static) if alarm.expression else ()
    metric = () if alarm.expression else _only_metric(alarm, static)
    return Block(
        "resource",
        ("aws_cloudwatch_metric_alarm", _key(alarm.name)),
        (
            ("alarm_name", alarm.name),
            ("alarm_description", description),
            *metric,
            ("comparison_operator", COMPARISONS[alarm.comparison]),
            ("threshold", alarm.threshold),
            ("datapoints_to_alarm", alarm.datapoints),
            ("evaluation_periods", alarm.periods),
            ("treat_missing_data", alarm.missing),
            ("alarm_actions", alarm_actions),
            ("ok_actions", ok_actions),
            ("tags", Raw("local.tags")),
            *queries,
            _LIFECYCLE,
        ),
    )


def _only_metric(alarm: Alarm, static: Dimensions) -> tuple[Attribute, ...]:
    (series,) = alarm.series
    statistic = "extended_statistic" if series.is_percentile else "statistic"
    return (
        *_metric(series, static),
        (statistic, series.statistic),
        ("period", alarm.period_seconds),
    )


def _queries(alarm: Alarm, static: Dimensions) -> tuple[Block, ...]:
    expression = Block(
        "metric_query",
        body=(
            ("id", "e0"),
            ("expression", alarm.expression),
            ("label", alarm.name),
            ("return_data", True),
        ),
    )
    series = (_query(series, static, alarm.period_seconds) for series in alarm.series)
    return (expression, *series)


def _query(series: Series, static: Dimensions, period_seconds: int) -> Block:
    statistic = (("stat", series.statistic), ("period", period_seconds))
    metric = Block("metric", body=(*_metric(series, static), *statistic))
    return Block("metric_query", body=(("id", series.id), metric))


def _metric(series: Series, static: Dimensions) -> tuple[Attribute, ...]:
    return (
        ("namespace", series.namespace),
        ("metric_name", series.metric),
        ("dimensions", _dimensions(series, static)),
    )


def _dimensions(series: Series, static: Dimensions) -> Raw | Call | dict[str, str]:
    """Return the static dimensions, with those by which the series is split; AWS's have none."""
    if series.namespace.startswith("AWS/"):
        return dict(series.dimensions)
    shared = Raw("var.dimensions")
    own = dict(series.dimensions[len(static) :])
    return Call("merge", shared, own) if own else shared


def _description(alarm: Alarm) -> str | Joined:
    """Return the description; where it says the threshold, it goes on saying what is in force."""
    parts = split_at_threshold(alarm)
    if parts is None:
        return alarm.description
    before, after = parts
    return Joined((before, Raw(inline(alarm.threshold)), after))


def _address(name: str) -> str:
    return f"aws_cloudwatch_metric_alarm.{_key(name)}"


def _key(name: str) -> str:
    """Return what the alarm is called within the module: its name without the prefix."""
    return local_name(short_name(name))
