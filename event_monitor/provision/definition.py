"""Definition: what an alarm is about, before it has a name, a period and dimensions. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Generic, Literal, NamedTuple, TypeVar

from ..catalog import spec
from ..settings import Settings
from ..settings.objectives import Objective
from .model import Comparison, MissingData
from .options import ProvisionOptions, QueueLimits, TaskLimits
from .quantities import shown_seconds
from .series import period_seconds_of

__all__ = ["NOT_BREACHING", "AlarmDefinition", "Limits", "NextStep", "NoData", "Waiting"]

Limits = TypeVar("Limits", ProvisionOptions, QueueLimits, TaskLimits, Objective)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """How an alarm treats a period without data, and why: a sentence of its description."""

    treated_as: MissingData
    reason: str


#: Of most alarms.
NOT_BREACHING = NoData(
    treated_as="notBreaching",
    reason="No data is not a problem here: the alarm monitor-dead covers it.",
)
#: The same where the broker or the workers are asked for it.
_UNKNOWN = "No data is unknown: the alarms probe-failures and monitor-dead cover it."

#: What to type first when the alarm is on.
NextStep = Literal["status", "check", "healthcheck"]


class Waiting(NamedTuple):
    """How long an alarm waits: ``datapoints`` of the last ``periods``, of so many seconds each."""

    datapoints: int
    periods: int
    period_seconds: int

    def __str__(self) -> str:
        """Return it in words, such as `3 of 5 minutes`."""
        lasting = self.datapoints * self.period_seconds
        within = self.periods * self.period_seconds
        if lasting == within:
            return shown_seconds(within)
        if lasting % 60 == within % 60 == 0 and within < 3_600:
            return f"{lasting // 60} of {shown_seconds(within)}"
        return f"{shown_seconds(lasting)} of {shown_seconds(within)}"


def _always(_settings: Settings, _options: ProvisionOptions) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition(Generic[Limits]):
    """One alarm: on while the threshold is breached for ``lasting`` of the last ``within`` seconds.

    ``period`` is how many seconds are looked at as one. An interval that is longer than it makes
    the period longer, and there are fewer of them, but never fewer than ``fewest_periods``: so the
    time that an alarm waits stays the same as far as it can.

    ``threshold`` is a number, or a function of the limits a person gave, which returns None where
    they leave the alarm out; so may be ``period``, which is then also how long it lasts.
    ``expression`` is metric math over m0, m1, … in the order of ``metrics``; without one there is
    one metric. Descriptions and expressions are templates: the fields of the limits are
    ``{limits.…}``; ``{min_failures}`` is how many failures there must be in a period for a
    percentage to mean anything. ``pages``: it means that work stops.
    """

    key: str
    description: str
    metrics: tuple[str, ...]
    comparison: Comparison
    threshold: float | Callable[[Limits], float | None]
    lasting: int = 180
    within: int = 300
    period: int | Callable[[Limits], int] = 60
    fewest_periods: int = 1
    no_data: NoData = NOT_BREACHING
    expression: str = ""
    statistic: str = ""  # the catalog's unless given
    is_per_shot: bool = False  # the threshold is that of one shot; a period may have several
    pages: bool = False
    next_step: NextStep = "status"
    # Where it does not apply it is left out without a note.
    applies: Callable[[Settings, ProvisionOptions], bool] = _always

    def threshold_for(self, limits: Limits, settings: Settings) -> float | None:
        """Return the threshold under these limits; None if they leave the alarm out."""
        threshold = self.threshold(limits) if callable(self.threshold) else self.threshold
        if threshold is None or not self.is_per_shot:
            return threshold
        return threshold * ceil(period_seconds_of(settings) / settings.interval)

    def waiting_for(self, limits: Limits, settings: Settings) -> Waiting:
        """Return how long it waits with shots at this interval."""
        wanted = self.period(limits) if callable(self.period) else self.period
        lasting, within = (wanted, wanted) if callable(self.period) else (self.lasting, self.within)
        shortest = period_seconds_of(settings)
        seconds = shortest * ceil(wanted / shortest)
        periods = max(self.fewest_periods, ceil(within / seconds))
        datapoints = periods if lasting == within else ceil(lasting / seconds)
        return Waiting(datapoints, periods, seconds)

    def description_for(self, limits: Limits, settings: Settings, options: ProvisionOptions) -> str:
        """Return what the alarm is about, what no data means to it, and what to type next."""
        waiting = self.waiting_for(limits, settings)
        text = self.description.format(
            limits=limits,
            min_failures=options.min_failures,
            period=shown_seconds(waiting.period_seconds),
        )
        app = f" -A {options.app}" if options.app else ""
        command = {
            "status": f"event-monitor status{app}",
            "check": f"event-monitor check{app}",
            "healthcheck": "event-monitor healthcheck --monitor where it runs, and read its log",
        }[self.next_step]
        page = f" Look at {options.page_url}." if options.page_url else ""
        wait = "It goes off at once." if waiting.datapoints == 1 else f"It waits for {waiting}."
        needs = {need for metric in self.metrics for need in spec(metric).needs}
        asked_for = not needs.isdisjoint(("probe_queues", "probe_workers"))
        no_data = _UNKNOWN if asked_for and self.no_data is NOT_BREACHING else self.no_data.reason
        return f"{text} {wait} {no_data} Next: {command}.{page}"

    def expression_for(self, options: ProvisionOptions) -> str:
        """Return the metric math; it never divides by 0, even if no failures are required."""
        return self.expression.format(min_failures=max(1, options.min_failures))
