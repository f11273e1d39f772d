"""Search: CloudWatch's search expressions for the largest series of a metric. Pure."""

from __future__ import annotations

from ...errors import SettingsError
from ...settings import Settings
from ..panels import TOP, Line
from ..series import published_series

__all__ = ["dimension_label", "largest_series", "search_terms"]


def largest_series(line: Line, settings: Settings, *, split: str) -> str:
    """Return the expression for the ``TOP`` largest series of the line, split by that dimension."""
    terms = search_terms(line.metric, settings, split=split)
    order = "SUM" if line.statistic == "Sum" else "MAX"
    return f"SLICE(SORT(SEARCH('{terms}', '{line.statistic}'), {order}, DESC), 0, {TOP})"


def dimension_label(dimension: str) -> str:
    """Return the label that shows the value of the dimension of each series found."""
    return f"${{PROP('Dim.{dimension}')}}"


def search_terms(metric: str, settings: Settings, *, split: str) -> str:
    """Return what finds every series with exactly the static dimensions and the split.

    Raises ``SettingsError`` for a namespace or static dimension that cannot be written in a search.
    """
    *static, _ = published_series(metric, settings, split=(split, "")).dimensions
    for text in (settings.namespace, *(part for pair in static for part in pair)):
        if any(character in text for character in "\"'\\"):
            raise SettingsError(
                f"a dashboard cannot search for {text!r}; choose a namespace and dimensions "
                "without quotes and backslashes."
            )
    schema = ",".join(f'"{name}"' for name in (settings.namespace, *(name for name, _ in static)))
    equals = "".join(f' "{name}"="{value}"' for name, value in static)
    return f'{{{schema},{split}}} MetricName="{metric}"{equals}'
