"""Objectives: the alarms of one service level."""

from __future__ import annotations

from collections.abc import Callable

from ...settings.objectives import Objective
from ..definition import AlarmDefinition

__all__ = ["OBJECTIVE_ALARMS"]

# How many times faster than in 30 days an error budget is spent: at the first, a fiftieth of it is
# gone in an hour, at the second a twentieth in six. No share of failures is above all of them.
_FAST_BURN, _FAST_BURN_PERIOD = 14.4, 3_600
_SLOW_BURN, _SLOW_BURN_PERIOD = 6.0, 6 * 3_600
_HIGHEST_PERCENT = 90.0
_BURN_PERCENT = "IF(m1-m0>={min_failures}, 100*(m1-m0)/m1, 0)"


def _burning(rate: float) -> Callable[[Objective], float]:
    """Return what gives the percent that go wrong when the budget is spent so fast."""
    return lambda objective: round(min(_HIGHEST_PERCENT, rate * (100 - objective.percent)), 6)


#: The alarms of one service level.
OBJECTIVE_ALARMS: tuple[AlarmDefinition[Objective], ...] = (
    AlarmDefinition(
        key="slo-fast",
        description=(
            "The error budget of `{limits}` is spent fast: in {period} at least a fiftieth of "
            "what is for 30 days (checked only if at least {min_failures} go wrong)."
        ),
        metrics=("SloGood", "SloTotal"),
        expression=_BURN_PERCENT,
        comparison=">",
        threshold=_burning(_FAST_BURN),
        period=lambda _: _FAST_BURN_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="slo-slow",
        description=(
            "The error budget of `{limits}` will not last: in {period} at least a twentieth of "
            "what is for 30 days is gone (checked only if at least {min_failures} go wrong)."
        ),
        metrics=("SloGood", "SloTotal"),
        expression=_BURN_PERCENT,
        comparison=">",
        threshold=_burning(_SLOW_BURN),
        period=lambda _: _SLOW_BURN_PERIOD,
    ),
)
