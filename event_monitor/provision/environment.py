"""Environment: which series an alarm or a dashboard that exists is about. Pure.

Prefixes are chosen by people, and two environments of one account may get the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..catalog import DIMENSIONS
from .model import Dimensions

__all__ = ["Environment", "environments_of_alarm", "environments_of_dashboard"]


@dataclass(frozen=True, slots=True)
class Environment:
    """What all series of one monitor share: the namespace, and the static dimensions."""

    namespace: str
    dimensions: Dimensions

    @classmethod
    def of(cls, namespace: str, dimensions: Iterable[tuple[str, str]]) -> Environment:
        """Return that of a series with these dimensions; what it is split by does not count."""
        static = (pair for pair in dimensions if pair[0] not in DIMENSIONS)
        return cls(namespace, tuple(sorted(static)))

    def __str__(self) -> str:
        shared = ", ".join(f"{name}={value}" for name, value in self.dimensions)
        return f"{self.namespace} with {shared}" if shared else f"{self.namespace} alone"


def environments_of_alarm(alarm: Mapping[str, object]) -> set[Environment]:
    """Return those that the alarm watches, as CloudWatch describes it; a composite watches none."""
    queries = alarm.get("Metrics")
    metrics = [alarm] if "MetricName" in alarm else []
    for query in queries if isinstance(queries, list) else ():
        metrics += [query["MetricStat"]["Metric"]] if "MetricStat" in query else []
    return {Environment.of(str(metric["Namespace"]), _dimensions(metric)) for metric in metrics}


def environments_of_dashboard(body: object) -> set[Environment]:
    """Return those whose series the body of a dashboard names."""
    widgets = body.get("widgets") if isinstance(body, dict) else None
    found = set()
    for widget in widgets if isinstance(widgets, list) else ():
        properties = widget.get("properties") if isinstance(widget, dict) else None
        rows = properties.get("metrics") if isinstance(properties, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, list) and row and isinstance(row[0], str):
                # Namespace, name, dimensions and their values, and how to show it.
                namespace, *parts = (part for part in row if isinstance(part, str))
                pairs = zip(parts[1::2], parts[2::2], strict=False)
                found.add(Environment.of(namespace, pairs))
    return found


def _dimensions(metric: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    pairs = metric.get("Dimensions")
    for pair in pairs if isinstance(pairs, list) else ():
        yield str(pair["Name"]), str(pair["Value"])
