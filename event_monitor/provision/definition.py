"""Definition: what an alarm is about, before it has a name, a period and dimensions. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..settings import Settings
from .model import Comparison, MissingData
from .options import ProvisionOptions, QueueLimits, TaskLimits

__all__ = ["NOT_BREACHING", "AlarmDefinition", "Limits", "NoData"]

Limits = TypeVar("Limits", ProvisionOptions, QueueLimits, TaskLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """How an alarm treats a period without data, and why: the end of the alarm's description."""

    treated_as: MissingData
    reason: str


#: Of most alarms.
NOT_BREACHING = NoData(
    treated_as="notBreaching",
    reason="No data is not a problem here: the alarm monitor-dead covers it.",
)


def _always(_settings: Settings) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition(Generic[Limits]):
    """One alarm: on while ``datapoints`` of the last ``periods`` breach the threshold.

    ``threshold`` is a number, or a function of the limits a person gave, which returns None where
    they leave the alarm out. ``expression`` is metric math over m0, m1, … in the order of
    ``metrics``; without one there is one metric. Descriptions and expressions are templates: the
    fields of the limits are ``{limits.…}``; ``{min_tasks}`` is how many tasks must end in a period
    for a percentage to mean anything.
    """

    key: str
    description: str
    metrics: tuple[str, ...]
    comparison: Comparison
    threshold: float | Callable[[Limits], float | None]
    datapoints: int = 3
    periods: int = 5
    no_data: NoData = NOT_BREACHING
    expression: str = ""
    statistic: str = ""  # the catalog's unless given
    applies: Callable[[Settings], bool] = _always  # else it is left out without a note

    def threshold_for(self, limits: Limits) -> float | None:
        """Return the threshold under these limits; None if they leave the alarm out."""
        return self.threshold(limits) if callable(self.threshold) else self.threshold

    def description_for(self, limits: Limits, options: ProvisionOptions) -> str:
        """Return what the alarm is about, and what no data means to it."""
        text = self.description.format(limits=limits, min_tasks=options.min_tasks)
        return f"{text} {self.no_data.reason}"

    def expression_for(self, options: ProvisionOptions) -> str:
        """Return the metric math; it never divides by 0, even if no tasks are required."""
        return self.expression.format(min_tasks=max(1, options.min_tasks))
