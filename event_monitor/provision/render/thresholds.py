"""Thresholds: the lines that alarms draw in the graphs of what they watch. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...settings import Settings
from ..model import Alarm, Comparison
from ..panels import Line, Panel

__all__ = ["Threshold", "thresholds_of", "thresholds_of_line"]

_MOST = 5  # lines in one graph, of the most urgent alarms; more hide what they are about
_MOST_CHARACTERS = 60  # of a label


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that some alarms compare with; the most urgent alarm comes first."""

    alarms: tuple[Alarm, ...]

    @property
    def value(self) -> float:
        """Return the value."""
        return self.alarms[0].threshold

    @property
    def comparison(self) -> Comparison:
        """Return how the most urgent alarm compares."""
        return self.alarms[0].comparison

    @property
    def label(self) -> str:
        """Return the names of the alarms and when they are on, such as ``unread, lost > 0``."""
        names: dict[str, list[str]] = {}
        for alarm in self.alarms:
            names.setdefault(_condition(alarm), []).append(alarm.name)
        label = ", ".join(f"{', '.join(alike)} {when}" for when, alike in names.items())
        if len(label) <= _MOST_CHARACTERS:
            return label
        first, more = self.alarms[0], len(self.alarms) - 1
        end = f" {_condition(first)}" + (f" and {more} more" if more else "")
        room = _MOST_CHARACTERS - len(end)
        return (first.name if len(first.name) <= room else f"{first.name[: room - 1]}…") + end


def thresholds_of(
    panel: Panel, settings: Settings, alarms: tuple[Alarm, ...]
) -> tuple[Threshold, ...]:
    """Return the thresholds of the alarms that watch what the panel shows, in their order.

    An alarm on an expression belongs to a panel with an expression over the same statistics. Where
    a person chooses what is shown nothing is known of its alarms.
    """
    if panel.chosen:
        return ()
    return _merged(alarm for alarm in alarms if _watches(alarm, panel, settings))


def thresholds_of_line(
    line: Line, settings: Settings, alarms: tuple[Alarm, ...]
) -> tuple[Threshold, ...]:
    """Return the thresholds of the alarms that watch this total."""
    return thresholds_of(Panel(title="", lines=(line,)), settings, alarms)


def _watches(alarm: Alarm, panel: Panel, settings: Settings) -> bool:
    dimensions = [name for name, _ in settings.dimensions]
    if panel.split:
        dimensions.append(panel.split)
    if any([name for name, _ in series.dimensions] != dimensions for series in alarm.series):
        return False
    watched = [(series.metric, series.statistic) for series in alarm.series]
    shown = [(line.metric, line.statistic) for line in panel.lines]
    if alarm.expression or panel.expression:
        return bool(alarm.expression and panel.expression) and watched == shown
    return len(watched) == 1 and watched[0] in shown


def _merged(alarms: Iterator[Alarm]) -> tuple[Threshold, ...]:
    """Return one threshold for all alarms with the same one: their labels would overlap."""
    found: dict[float, list[Alarm]] = {}
    for alarm in alarms:
        found.setdefault(alarm.threshold, []).append(alarm)
    return tuple(Threshold(tuple(alike)) for alike in found.values())[:_MOST]


def _condition(alarm: Alarm) -> str:
    """Return when it is on; of a sum, over which period: the graph's grows with its time range."""
    is_sum = not alarm.expression and alarm.series[0].statistic == "Sum"
    period = f" in {alarm.period_seconds} s" if is_sum and alarm.threshold else ""
    return f"{alarm.comparison} {alarm.threshold:,.10g}{period}"
