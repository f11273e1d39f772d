"""PutMetricData's rules, and its query protocol. Sources: the API reference, botocore's model.

An independent referee: it keeps limits of its own on purpose and shares none with the sink, so that
a limit which is wrong there is found here.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TypeAlias, TypedDict
from urllib.parse import parse_qsl

__all__ = [
    "MAX_BODY_BYTES",
    "Dimension",
    "MetricDatum",
    "Refusal",
    "Request",
    "check",
    "from_query",
]

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


Form: TypeAlias = dict[str, str]  # a part of a request in the query protocol
Number: TypeAlias = float | str  # botocore writes NaN and the infinities as strings


class Dimension(TypedDict, total=False):
    """One dimension of a datum."""

    Name: str
    Value: str


class MetricDatum(TypedDict, total=False):
    """One datum as it was sent."""

    MetricName: str
    Dimensions: list[Dimension]
    Timestamp: float
    Value: Number
    Values: list[Number]
    Counts: list[Number]
    StatisticValues: dict[str, str]
    Unit: str
    StorageResolution: float


class Request(TypedDict, total=False):
    """A request as it was sent; anybody may send another shape, so reading it may raise."""

    Namespace: str
    MetricData: list[MetricDatum]


class Refusal(Exception):  # noqa: N818  it is the service's answer, not a failure of the fake
    """The request breaks a rule. ``code`` is the service's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(request: Request, *, now: float) -> None:
    """Raise ``Refusal`` for the first broken rule; one bad datum refuses the whole request.

    ``now`` is wall-clock seconds since the epoch. What does not have the shape of a request raises
    ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError``.
    """
    namespace = request.get("Namespace")
    _check_text(namespace, "Namespace", 255)
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
        _check_datum(datum, f"MetricData.member.{number}", now)


def _check_datum(datum: MetricDatum, at: str, now: float) -> None:
    _check_text(datum.get("MetricName"), f"{at}.MetricName", 255)
    dimensions = datum.get("Dimensions", [])
    if len(dimensions) > MAX_DIMENSIONS:
        raise _bad(f"{at}.Dimensions", f"must not have a size greater than {MAX_DIMENSIONS}")
    for number, dimension in enumerate(dimensions, 1):
        where = f"{at}.Dimensions.member.{number}"
        _check_text(dimension.get("Name"), f"{where}.Name", 255)
        _check_text(dimension.get("Value"), f"{where}.Value", 1_024)
        if dimension["Name"].startswith(":"):
            raise _bad(f"{where}.Name", "must not start with a colon")
    if datum.get("Unit", "None") not in UNITS:
        raise _bad(f"{at}.Unit", "must be a value of StandardUnit")
    if datum.get("StorageResolution", 60) not in (1, 60):
        raise _bad(f"{at}.StorageResolution", "must be 1 or 60")
    if not now - MAX_AGE_SECONDS <= float(datum.get("Timestamp", now)) <= now + MAX_AHEAD_SECONDS:
        raise _bad(f"{at}.Timestamp", "must be within two weeks past and two hours ahead")
    _check_values(datum, at)


def _check_values(datum: MetricDatum, at: str) -> None:
    given = sorted({"Value", "Values", "StatisticValues"} & datum.keys())
    if not given:
        raise Refusal("MissingParameter", f"One of Value, Values must be given for {at}.")
    if len(given) > 1 or ("Counts" in datum and "Values" not in datum):
        raise Refusal("InvalidParameterCombination", f"{at} has {given}, which exclude each other.")
    if given == ["StatisticValues"]:
        raise _bad(f"{at}.StatisticValues", "is a rule of this fake: they lose percentiles")
    values = datum["Values"] if given == ["Values"] else [datum["Value"]]
    counts = datum["Counts"] if "Counts" in datum else [1] * len(values)
    if not 1 <= len(values) <= MAX_VALUES:
        raise _bad(f"{at}.Values", f"must have a size from 1 to {MAX_VALUES}")
    if len(counts) != len(values):
        raise _bad(f"{at}.Counts", "must have the size of Values")
    for number in (*values, *counts):
        if not math.isfinite(float(number)) or abs(float(number)) > MAX_VALUE:
            raise _bad(f"{at}.Value", f"must be a number within 2^360, not {number}")
    if min(map(float, counts)) < 0:
        raise _bad(f"{at}.Counts", "must not be negative")


def _check_text(text: object, name: str, most: int) -> None:
    if text is None:
        raise Refusal("MissingParameter", f"The parameter {name} is required.")
    if not isinstance(text, str) or not 1 <= len(text) <= most:
        raise _bad(name, f"must have 1 to {most} characters")
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise _bad(name, "must be printable ASCII and not blank")


def _bad(name: str, rule: str) -> Refusal:
    return Refusal("InvalidParameterValue", f"The parameter {name} {rule}.")


# -- the query protocol --------------------------------------------------------------------------


def from_query(body: str) -> tuple[str, Request]:
    """Return a form's operation, and its request in the shape that the JSON protocol has.

    ``MetricData.member.1.Values.member.2=5`` becomes ``{"MetricData": [{"Values": [..., 5.0]}]}``.
    Raises ``ValueError`` or ``KeyError`` when it is no such form.
    """
    fields = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
    request: Request = {
        "MetricData": [_datum_of(datum) for datum in _members(fields, "MetricData")]
    }
    if "Namespace" in fields:
        request["Namespace"] = fields["Namespace"]
    return fields["Action"], request


def _datum_of(fields: Form) -> MetricDatum:
    datum: MetricDatum = {}
    if "MetricName" in fields:
        datum["MetricName"] = fields["MetricName"]
    if dimensions := _members(fields, "Dimensions"):
        datum["Dimensions"] = [_dimension_of(dimension) for dimension in dimensions]
    if "Unit" in fields:
        datum["Unit"] = fields["Unit"]
    if "StorageResolution" in fields:
        datum["StorageResolution"] = float(fields["StorageResolution"])
    if "Timestamp" in fields:
        written = fields["Timestamp"].replace("Z", "+00:00")  # Python 3.10 does not read the Z
        datum["Timestamp"] = datetime.fromisoformat(written).timestamp()
    if "Value" in fields:
        datum["Value"] = float(fields["Value"])
    if values := _members(fields, "Values"):
        datum["Values"] = [float(value[""]) for value in values]
    if counts := _members(fields, "Counts"):
        datum["Counts"] = [float(count[""]) for count in counts]
    statistics = {name: text for name, text in fields.items() if name.startswith("StatisticValues")}
    if statistics:
        datum["StatisticValues"] = statistics
    return datum


def _dimension_of(fields: Form) -> Dimension:
    dimension: Dimension = {}
    if "Name" in fields:
        dimension["Name"] = fields["Name"]
    if "Value" in fields:
        dimension["Value"] = fields["Value"]
    return dimension


def _members(fields: Form, name: str) -> list[Form]:
    """Return the fields of each member of a list, in order; the field of a plain member is ``""``.

    Of ``MetricData``, ``MetricData.member.2.Unit`` is the field ``Unit`` of the second member.
    """
    prefix = f"{name}.member."
    members: dict[int, Form] = {}
    for path, text in fields.items():
        if path.startswith(prefix):
            number, _, field = path.removeprefix(prefix).partition(".")
            members.setdefault(int(number), {})[field] = text
    return [members[number] for number in sorted(members)]
