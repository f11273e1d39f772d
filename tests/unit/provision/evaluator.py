"""Evaluator: whether an alarm is on, since moto evaluates none.

Metric math of one expression, M of N datapoints, and what no data is taken for.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from event_monitor.distribution import Distribution
from event_monitor.provision.model import Alarm, Series
from event_monitor.sinks.cloudwatch import encode

from .cluster import Period

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


def goes_off(alarm: Alarm, periods: list[Period]) -> bool:
    """Return whether the alarm is on at the end of these periods; an empty one is no data."""
    compare = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
    breaching = 0
    for metrics in periods[-alarm.periods :]:
        points = {series.id: datapoint(series, metrics) for series in alarm.series}
        known = {key: value for key, value in points.items() if value is not None}
        if len(known) < len(points):
            breaching += alarm.missing == "breaching"
            continue
        expression = alarm.expression or alarm.series[0].id
        value = evaluated(ast.parse(expression, mode="eval").body, known)
        breaching += compare[alarm.comparison](value, alarm.threshold)
    return breaching >= alarm.datapoints


def datapoint(series: Series, metrics: Period) -> float | None:
    """Return the value in one period; name and dimensions must match exactly, as in CloudWatch."""
    wanted = [{"Name": name, "Value": value} for name, value in series.dimensions]
    for metric in metrics:
        (datum,) = encode([metric])
        if metric.name == series.metric and datum.get("Dimensions", []) == wanted:
            if not isinstance(metric.value, Distribution):
                return float(metric.value)
            assert series.statistic == "p95"
            return percentile(metric.value, 0.95)
    return None


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
