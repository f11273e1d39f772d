"""Own metrics: those of the catalog that celery-exporter does not have, under their names here.

``TasksOrphaned`` is ``celery_tasks_orphaned_total``, ``OldestMessageAge`` of each queue
``celery_oldest_message_age_seconds``: the catalog's name in Prometheus's way, with its unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace

from ..catalog import CATALOG, MetricSpec, Source
from ..metrics.gauges import values_by_queue
from ..metrics.source_values import SourceValues, number_of
from ..metrics.totals import totals_of
from ..settings import Settings
from ..snapshot import Role, Snapshot, TaskCounts

__all__ = ["BY_QUEUE", "OF_MONITOR", "OWN_METRICS", "OwnMetrics", "name_of"]

#: Sources that celery-exporter's metrics have already, by task, worker or queue.
_EXPORTERS: frozenset[Source] = frozenset(
    {
        *("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected"),
        *("queue_length", "queue_consumers"),
    }
)
_SUFFIX = {"Count/Second": "_per_second", "Seconds": "_seconds", "Percent": "_percent"}
_SUFFIX["Bytes"] = "_bytes"
_COUNTS = tuple(field.name for field in fields(TaskCounts) if field.default == 0)
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def name_of(spec: MetricSpec) -> str:
    """Return the name of a metric's family, without the ``_total`` of a counter."""
    return "celery_" + _WORD.sub("_", spec.name).lower() + _SUFFIX.get(spec.unit, "")


#: Those that have a family of their own; times have none.
OWN_METRICS: tuple[MetricSpec, ...] = tuple(
    spec for spec in CATALOG if spec.kind != "times" and spec.source not in _EXPORTERS
)


#: Of those, the ones that each queue has.
BY_QUEUE: frozenset[Source] = frozenset(
    spec.source for spec in OWN_METRICS if spec.group == "queues" and "QueueName" in spec.splits
)


#: About the monitor itself: those that a standby has, too.
OF_MONITOR: frozenset[Source] = frozenset(
    spec.source for spec in OWN_METRICS if spec.group == "monitor"
)


class OwnMetrics:
    """Adds up the counts of all snapshots, and keeps the gauges of the last. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts: dict[Source, float] = dict.fromkeys(
            (spec.source for spec in OWN_METRICS if spec.kind == "count"), 0.0
        )
        self._gauges: dict[Source, float] = {}
        #: The gauges of each queue that were known last.
        self.by_queue: Mapping[str, SourceValues] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Add the counts of a snapshot, and take its gauges."""
        totals = totals_of(_without_times(snapshot), self._settings, series_folded=0)
        for source in self._counts:
            if snapshot.role is not Role.STANDBY or source in OF_MONITOR:
                self._counts[source] += number_of(totals, source)
        self._gauges = {
            spec.source: number_of(totals, spec.source)
            for spec in OWN_METRICS
            if spec.kind == "gauge"
            and spec.source in totals
            and (snapshot.knows_workers or not spec.needs_listening)
        }
        self.by_queue = values_by_queue(snapshot.survey, self._settings)

    def totals(self, *, series_folded: int) -> Mapping[Source, float]:
        """Return the counts so far, and the gauges that were known last.

        ``series_folded`` is how many there are here besides those of the snapshot.
        """
        if not self._gauges:
            return self._counts
        folded = self._gauges["series_folded"] + series_folded
        return {**self._counts, **self._gauges, "series_folded": folded}


def _without_times(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with one sum of all its counts: times cost most, and are not asked."""
    counts = {
        name: sum(getattr(part, name) for _, part in snapshot.window.tasks) for name in _COUNTS
    }
    tasks = (("", TaskCounts(**counts)),)
    return replace(snapshot, window=replace(snapshot.window, tasks=tasks))
