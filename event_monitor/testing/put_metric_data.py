"""PutMetricData's rules, and its query protocol. Sources: the API reference, botocore's model.

The limits are written here once more on purpose: a referee must not share a mistake of the sinks.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["MAX_BODY_BYTES", "Refusal", "check", "from_query"]

MAX_BODY_BYTES = 1_000_000  # "1 MB", read strictly: of the uncompressed body
MAX_DATA = 1_000
MAX_VALUES = 150
MAX_DIMENSIONS = 30
MAX_VALUE = 2.0**360
MAX_AGE_SECONDS = 14 * 86_400
MAX_AHEAD_SECONDS = 2 * 3_600
_SIZES = ("", "Kilo", "Mega", "Giga", "Tera")
_AMOUNTS = [f"{size}{what}".capitalize() for what in ("bytes", "bits") for size in _SIZES]
UNITS = frozenset(
    ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"]
    + _AMOUNTS
    + [f"{amount}/Second" for amount in _AMOUNTS]
)


class Refusal(Exception):  # noqa: N818  it is the service's answer, not a failure of the fake
    """The request breaks a rule. ``code`` is the service's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(request: dict[str, Any], *, now: float) -> None:
    """Raise ``Refusal`` for the first broken rule; one bad datum refuses the whole request."""
    namespace = request.get("Namespace")
    _text(namespace, "Namespace", 255)
    if str(namespace).startswith((":", "AWS/")):
        raise _bad("Namespace", f"must not start with a colon or AWS/: {namespace}")
    data = request.get("MetricData")
    if not data:
        raise Refusal("MissingParameter", "The parameter MetricData is required.")
    if len(data) > MAX_DATA:
        raise Refusal(
            "InvalidParameterValue",
            f"The collection MetricData must not have a size greater than {MAX_DATA}.",
        )
    for number, datum in enumerate(data, 1):
        _datum(datum, f"MetricData.member.{number}", now)


def _datum(datum: dict[str, Any], at: str, now: float) -> None:
    _text(datum.get("MetricName"), f"{at}.MetricName", 255)
    dimensions = datum.get("Dimensions", [])
    if len(dimensions) > MAX_DIMENSIONS:
        raise _bad(f"{at}.Dimensions", f"must not have a size greater than {MAX_DIMENSIONS}")
    for number, dimension in enumerate(dimensions, 1):
        where = f"{at}.Dimensions.member.{number}"
        _text(dimension.get("Name"), f"{where}.Name", 255)
        _text(dimension.get("Value"), f"{where}.Value", 1_024)
        if dimension["Name"].startswith(":"):
            raise _bad(f"{where}.Name", "must not start with a colon")
    if datum.get("Unit", "None") not in UNITS:
        raise _bad(f"{at}.Unit", "must be a value of StandardUnit")
    if datum.get("StorageResolution", 60) not in (1, 60):
        raise _bad(f"{at}.StorageResolution", "must be 1 or 60")
    if not now - MAX_AGE_SECONDS <= float(datum.get("Timestamp", now)) <= now + MAX_AHEAD_SECONDS:
        raise _bad(f"{at}.Timestamp", "must be within two weeks past and two hours ahead")
    _values(datum, at)


def _values(datum: dict[str, Any], at: str) -> None:
    given = sorted({"Value", "Values", "StatisticValues"} & datum.keys())
    if not given:
        raise Refusal("MissingParameter", f"One of Value, Values must be given for {at}.")
    if len(given) > 1 or ("Counts" in datum and "Values" not in datum):
        raise Refusal("InvalidParameterCombination", f"{at} has {given}, which exclude each other.")
    if given == ["StatisticValues"]:
        raise _bad(f"{at}.StatisticValues", "is a rule of this fake: they lose percentiles")
    values = datum["Values"] if given == ["Values"] else [datum["Value"]]
    counts = datum.get("Counts", [1] * len(values))
    if not 1 <= len(values) <= MAX_VALUES:
        raise _bad(f"{at}.Values", f"must have a size from 1 to {MAX_VALUES}")
    if len(counts) != len(values):
        raise _bad(f"{at}.Counts", "must have the size of Values")
    for number in (*values, *counts):
        # botocore writes NaN and the infinities as strings
        if not math.isfinite(float(number)) or abs(float(number)) > MAX_VALUE:
            raise _bad(f"{at}.Value", f"must be a number within 2^360, not {number}")
    if min(map(float, counts)) < 0:
        raise _bad(f"{at}.Counts", "must not be negative")


def _text(text: object, name: str, most: int) -> None:
    if text is None:
        raise Refusal("MissingParameter", f"The parameter {name} is required.")
    if not isinstance(text, str) or not 1 <= len(text) <= most:
        raise _bad(name, f"must have 1 to {most} characters")
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise _bad(name, "must be printable ASCII and not blank")


def _bad(name: str, rule: str) -> Refusal:
    return Refusal("InvalidParameterValue", f"The parameter {name} {rule}.")


def from_query(body: str) -> dict[str, Any]:
    """A body of the query protocol in the shape of a JSON one.

    ``MetricData.member.1.Values.member.2=5`` becomes ``{"MetricData": [{"Values": [..., 5.0]}]}``.
    """
    tree: dict[str, Any] = {}
    for path, text in parse_qsl(body, keep_blank_values=True, strict_parsing=True):
        *parents, last = path.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = text
    request: dict[str, Any] = _lists(tree)
    for datum in request.get("MetricData", ()):
        for name in datum.keys() & {"Value", "StorageResolution"}:
            datum[name] = float(datum[name])
        for name in datum.keys() & {"Values", "Counts"}:
            datum[name] = [float(text) for text in datum[name]]
        if "Timestamp" in datum:
            written = datum["Timestamp"].replace("Z", "+00:00")  # Python 3.10 does not read the Z
            datum["Timestamp"] = datetime.fromisoformat(written).timestamp()
    return request


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {"member"}:
        members = node["member"]
        return [_lists(members[number]) for number in sorted(members, key=int)]
    return {name: _lists(value) for name, value in node.items()}
