"""Evaluator: what state an alarm is in, minute by minute, since moto evaluates none.

As the CloudWatch user guide describes it: every minute the alarm looks at windows of its period
that end there. It reads somewhat more of them than it needs; where enough have data, only these
count, the latest first, and what is missing is filled in otherwise.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

from event_monitor.distribution import Distribution
from event_monitor.provision.model import Alarm, CompositeAlarm, Series
from event_monitor.sinks.cloudwatch import encode

from .cluster import Period

__all__ = ["Notification", "State", "goes_off", "notifications", "timeline"]

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Value = float | Distribution
#: From one minute to before another → the statistic, None without data.
Reader = Callable[[int, int], float | None]

_MORE = 2  # windows that are read beyond those that are needed

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
_COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class Notification(NamedTuple):
    """An alarm that went off: the minute, from 1, at whose end it did, and its name."""

    minute: int
    alarm: str


def goes_off(alarm: Alarm, minutes: Sequence[Period]) -> bool:
    """Return whether the alarm is on at the end of these minutes; an empty one is no data."""
    return timeline(alarm, minutes)[-1] == "ALARM"


def timeline(alarm: Alarm, minutes: Sequence[Period]) -> list[State]:
    """Return the state at the end of each minute; before the first there is no data."""
    points = {series.id: _reader(series, minutes) for series in alarm.series}
    states: list[State] = []
    for end in range(1, len(minutes) + 1):
        values = [_value(alarm, points, end, place) for place in range(alarm.periods + _MORE)]
        states.append(_state(alarm, values, states[-1] if states else "INSUFFICIENT_DATA"))
    return states


def notifications(
    arn: str,
    alarms: Sequence[Alarm],
    minutes: Sequence[Period],
    composite: CompositeAlarm | None = None,
) -> list[Notification]:
    """Return when something went off that notifies this topic. Each does when *its* state changes,
    a composite as well.
    """
    states = {alarm.name: timeline(alarm, minutes) for alarm in alarms}
    actions = {alarm.name: alarm.actions for alarm in alarms}
    if composite is not None:
        children = [states[name] for name in composite.children]
        states[composite.name] = [
            "ALARM" if "ALARM" in now else "OK" for now in zip(*children, strict=True)
        ]
        actions[composite.name] = composite.actions
    return sorted(
        Notification(minute, name)
        for name, of_alarm in states.items()
        if arn in actions[name]
        for minute, state in enumerate(of_alarm, 1)
        if state == "ALARM" and (minute == 1 or of_alarm[minute - 2] != "ALARM")
    )


def _state(alarm: Alarm, values: Sequence[float | None], before: State) -> State:
    """Return the new state, of the values of the windows, the latest first."""
    real = [value for value in values if value is not None][: alarm.periods]
    compare = _COMPARISONS[alarm.comparison]
    breaching = sum(compare(value, alarm.threshold) for value in real)
    missing = alarm.periods - len(real)
    if alarm.missing == "breaching":
        breaching += missing
    if breaching >= alarm.datapoints:
        return "ALARM"
    return before if missing and alarm.missing == "ignore" else "OK"


def _value(alarm: Alarm, points: dict[str, Reader], end: int, place: int) -> float | None:
    """Return what is compared in one window; None if a series of it has no data there.

    ``place`` counts the windows back from the one that ends with minute ``end``.
    """
    length = alarm.period_seconds // 60
    last = end - place * length
    values: dict[str, float] = {}
    for series in alarm.series:
        value = points[series.id](max(0, last - length), max(0, last))
        if value is None:
            return None
        values[series.id] = value
    expression = alarm.expression or alarm.series[0].id
    return evaluated(_parsed(expression), values)


def _reader(series: Series, minutes: Sequence[Period]) -> Reader:
    """Return what gives the statistic of the minutes from one to before another."""
    seen: dict[int, list[Value]] = {}  # many minutes of a month are one and the same
    for shots in minutes:
        if id(shots) not in seen:
            seen[id(shots)] = _points(series, shots)
    points = [seen[id(shots)] for shots in minutes]
    if series.statistic != "Sum":
        return lambda start, end: _statistic(
            series, [p for part in points[start:end] for p in part]
        )
    # Of a month, minute by minute, sums of hours cannot be added up anew each time.
    sums = list(accumulate((_statistic(series, part) or 0.0 for part in points), initial=0.0))
    known = list(accumulate(map(len, points), initial=0))
    return lambda start, end: sums[end] - sums[start] if known[end] > known[start] else None


def _points(series: Series, metrics: Period) -> list[Value]:
    """Return what was published; name and dimensions must match exactly, as in CloudWatch."""
    wanted = [{"Name": name, "Value": value} for name, value in series.dimensions]
    named = [metric for metric in metrics if metric.name == series.metric]
    return [metric.value for metric in named if encode([metric])[0].get("Dimensions", []) == wanted]


@lru_cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _statistic(series: Series, points: Sequence[Value]) -> float | None:
    if not points:
        return None
    if series.statistic == "p95":
        merged = [point for point in points if isinstance(point, Distribution)]
        return percentile(Distribution.merged(merged), 0.95)
    numbers = [float(point) for point in points if not isinstance(point, Distribution)]
    if series.statistic == "Sum":
        return sum(numbers)
    return max(numbers) if series.statistic == "Maximum" else min(numbers)


def percentile(distribution: Distribution, share: float) -> float:
    """Return the value below which that share of all values is."""
    values = sorted(
        value
        for value, count in zip(distribution.values, distribution.counts, strict=True)
        for _ in range(count)
    )
    return values[min(len(values) - 1, int(share * len(values)))]


def evaluated(node: ast.expr, values: dict[str, float]) -> float:
    """Return the value of metric math, which is written as Python is, at one point in time."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=operation, right=right):
            return _OPERATORS[type(operation)](evaluated(left, values), evaluated(right, values))
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            compare = _OPERATORS[type(comparison)]
            return float(compare(evaluated(left, values), evaluated(right, values)))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            return evaluated(then if evaluated(condition, values) else otherwise, values)
        case _:
            raise AssertionError(f"unknown metric math: {ast.unparse(node)}")
