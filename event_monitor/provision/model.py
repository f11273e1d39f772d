"""Model: what is wanted of AWS, as frozen values. Refuses what CloudWatch could not evaluate."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "COMPARISONS",
    "Alarm",
    "Comparison",
    "CompositeAlarm",
    "Dimensions",
    "MissingData",
    "PlaceholderText",
    "ScaledService",
    "ScalingPolicy",
    "ScalingStep",
    "Series",
    "alarm_tags",
    "resource_name",
]

Comparison = Literal[">", ">=", "<", "<="]
MissingData = Literal["breaching", "notBreaching", "ignore"]
Dimensions = tuple[tuple[str, str], ...]

#: Comparison → CloudWatch's name for it.
COMPARISONS: dict[Comparison, str] = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}

# CloudWatch's own limits on alarms, from the reference of PutMetricAlarm and PutCompositeAlarm.
MAX_NAME_CHARACTERS = 255
MAX_DESCRIPTION_CHARACTERS = 1_024
MAX_METRICS = 10  # in one metric math expression
MAX_EVALUATED_SECONDS = 86_400  # periods × their length; a week if a period is an hour or more
MAX_EVALUATED_LONG_SECONDS = 7 * 86_400
MAX_RULE_CHARACTERS = 10_240
MAX_CHILDREN = 100

# SEARCH and METRICS give many series, or none; FILL hides exactly what `missing` is to judge;
# RATE and DIFF are nothing where a datum is missing.
_NOT_IN_ALARMS = re.compile(r"\b(SEARCH|METRICS|FILL|RATE|DIFF|SORT|SLICE)\s*\(", re.IGNORECASE)
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS = frozenset({"IF", "AND", "OR"})


class PlaceholderText(str):
    """Text with the placeholders ``{{partition}}``, ``{{region}}`` and ``{{account}}``.

    Each form replaces them with its own expressions, only the first of each: what follows may be
    the name of a task or queue that looks like one.
    """

    __slots__ = ()

    def filled(self, *, partition: str, region: str, account: str) -> str:
        """Return the text with the placeholders replaced."""
        filled = str(self).replace("{{partition}}", partition, 1)
        return filled.replace("{{region}}", region, 1).replace("{{account}}", account, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One published series and its statistic: Sum, Maximum, …, or a percentile such as p95."""

    id: str
    namespace: str
    metric: str
    statistic: str
    dimensions: Dimensions = ()

    @property
    def is_percentile(self) -> bool:
        """Return whether CloudWatch takes it as an extended statistic."""
        return self.statistic.startswith("p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One metric alarm: on while ``datapoints`` of the last ``periods`` breach the threshold.

    The value compared is the ``expression`` over the ids of the series or, without one, the only
    series. Raises ``ValueError`` for what CloudWatch would refuse or never evaluate.
    """

    name: str
    description: str
    series: tuple[Series, ...]
    comparison: Comparison
    threshold: float
    datapoints: int
    periods: int
    period_seconds: int
    missing: MissingData
    expression: str = ""
    actions: tuple[str, ...] = ()  # ARNs notified when it goes off, and when it is over
    pages: bool = False  # whether it notifies those that page as well
    cluster_wide: bool = True  # False: of one queue or one task, or for scaling

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ValueError(f"alarm {self.name!r}: {problem}")

    def _problem(self) -> str:
        if not 1 <= len(self.name) <= MAX_NAME_CHARACTERS:
            return f"its name must have 1 to {MAX_NAME_CHARACTERS} characters"
        if len(self.description) > MAX_DESCRIPTION_CHARACTERS:
            return f"its description is longer than {MAX_DESCRIPTION_CHARACTERS} characters"
        if not 1 <= self.datapoints <= self.periods:
            return f"{self.datapoints} of {self.periods} datapoints"
        seconds = self.period_seconds
        if seconds not in (10, 30) and (seconds < 60 or seconds % 60):
            return f"a period of {seconds} seconds"
        limit = MAX_EVALUATED_LONG_SECONDS if seconds >= 3_600 else MAX_EVALUATED_SECONDS
        if seconds * self.periods > limit:
            return f"it would look back for more than {limit} seconds"
        return self._expression_problem()

    def _expression_problem(self) -> str:
        ids = [series.id for series in self.series]
        if len(set(ids)) < len(ids) or not all(map(_ID.fullmatch, ids)):
            return "the ids of its series are not well-formed"
        if not self.expression:
            return "" if len(ids) == 1 else "it needs one series, or an expression"
        if not 1 <= len(ids) < MAX_METRICS:
            return f"more than {MAX_METRICS} metrics"
        found = _NOT_IN_ALARMS.search(self.expression)
        if found:
            return f"{found[1]} does not belong in an alarm"
        words = set(_WORD.findall(self.expression))
        return "" if words - _FUNCTIONS == set(ids) else "it does not use exactly its series"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeAlarm:
    """An alarm that goes off when any of its ``children`` does; these are names of alarms."""

    name: str
    description: str
    children: tuple[str, ...]
    actions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.children) <= MAX_CHILDREN or len(self.rule) > MAX_RULE_CHARACTERS:
            raise ValueError(f"composite alarm {self.name!r}: too many children, or none")

    @property
    def rule(self) -> str:
        """Return the rule as CloudWatch reads it."""
        return " OR ".join(f'ALARM("{name}")' for name in self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStep:
    """What to do while the metric is ``low`` to ``high`` above the alarm's threshold."""

    low: float | None = None
    high: float | None = None
    change: int  # workers to add; to remove if negative


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """One scaling policy of an ECS service.

    With a ``target`` it tracks ``series`` upwards only; else ``alarm`` triggers it and ``steps``
    say what to do.
    """

    key: str
    name: str
    comment: str
    cooldown_seconds: int
    series: Series | None = None
    target: float = 0.0
    alarm: Alarm | None = None
    steps: tuple[ScalingStep, ...] = ()

    @property
    def policy_type(self) -> str:
        """Return the type as Application Auto Scaling names it."""
        return "StepScaling" if self.series is None else "TargetTrackingScaling"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledService:
    """One ECS service of workers and its policies.

    ``queue`` is the one it is scaled by, as its dimension is written, "" for all together;
    ``service`` its name in ECS, "" if only the reader of what is written knows it.
    """

    queue: str = ""
    service: str = ""
    policies: tuple[ScalingPolicy, ...]


def resource_name(prefix: str, key: str, entry: str = "") -> str:
    """Return ``prefix-key`` or ``prefix-key-entry``; one that is too long ends in a digest."""
    own = f"{key}-{entry}" if entry else key
    name = f"{prefix}-{own}"
    if len(name) > MAX_NAME_CHARACTERS:
        digest = hashlib.sha256(own.encode()).hexdigest()[:12]  # whatever the prefix will be
        name = f"{name[: MAX_NAME_CHARACTERS - 13]}~{digest}"
    return name


def alarm_tags(prefix: str) -> dict[str, str]:
    """Return the tags of an alarm in every form."""
    return {"event-monitor-prefix": prefix}
