"""Search: CloudWatch's search expressions for the largest series of a metric. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...catalog import CATALOG
from ...errors import SettingsError
from ...metrics import is_split
from ...settings import Settings
from ..model import Dimensions
from ..panels import TOP, Line, Section
from ..series import encoded_dimensions

__all__ = ["dimension_label", "largest_series", "search_notes", "search_terms", "section_title"]

MAX_FOUND = 500  # series that a search gives, whatever it finds: which ones, nobody can choose
#: Dimension → what its values are called.
_SPLITS = {"TaskName": "task names", "QueueName": "queues"}


def largest_series(
    line: Line, settings: Settings, *, split: str, static: Dimensions | None = None
) -> str:
    """Return the expression for the ``TOP`` largest series of the line, split by that dimension."""
    terms = search_terms(line.metric, settings, split=split, static=static)
    order = "SUM" if line.statistic == "Sum" else "MAX"
    return f"SLICE(SORT(SEARCH('{terms}', '{line.statistic}'), {order}, DESC), 0, {TOP})"


def dimension_label(dimension: str) -> str:
    """Return the label that shows the value of the dimension of each series found."""
    return f"${{PROP('Dim.{dimension}')}}"


def search_terms(
    metric: str, settings: Settings, *, split: str, static: Dimensions | None = None
) -> str:
    """Return what finds every series with exactly the static dimensions and the split.

    ``static`` stands in for the settings' own dimensions: the same names, and variables for
    values. Raises ``SettingsError`` for a namespace or static dimension that cannot be written in
    a search.
    """
    own = encoded_dimensions(settings.dimensions)
    for text in (settings.namespace, *(part for pair in own for part in pair)):
        if any(character in text for character in "\"'\\"):
            raise SettingsError(
                f"a dashboard cannot search for {text!r}; choose a namespace and dimensions "
                "without quotes and backslashes."
            )
    schema = ",".join(f'"{name}"' for name in (settings.namespace, *(name for name, _ in own)))
    pairs = own if static is None else static
    equals = "".join(f' "{name}"="{value}"' for name, value in pairs)
    return f'{{{schema},{split}}} MetricName="{metric}"{equals}'


def section_title(section: Section, settings: Settings) -> str:
    """Return the heading; it says so where a search may not find all there is."""
    splits = {panel.split for panel in section.panels if panel.is_ranking}
    if any(_most_values(split, settings) > MAX_FOUND for split in splits):
        return f"{section.title}: the highest of the {MAX_FOUND} that CloudWatch finds"
    return section.title


def search_notes(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each split that may have more values than a search finds."""
    for split, name in _SPLITS.items():
        most = _most_values(split, settings)
        if most > MAX_FOUND:
            yield (
                f"These settings may publish up to {most:,} {name}: CloudWatch's search finds "
                f"{MAX_FOUND}, so the dashboard's highest {name} are the highest of those."
            )


def _most_values(split: str, settings: Settings) -> int:
    """Return how many values of the dimension the settings have room for, at most."""
    published = sum(
        is_split(metric, split, settings)
        for metric in CATALOG
        if metric.name not in settings.without
    )
    if not published:
        return 0
    if split == "TaskName":
        return min(settings.max_task_names, settings.series_budget // published)
    return settings.series_budget // 4 // published  # queues get a quarter of the budget
