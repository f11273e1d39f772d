"""Source values: the numbers behind the metrics, by source. What is unknown is absent."""

from __future__ import annotations

from collections.abc import Mapping

from ..catalog import Source
from ..distribution import Distribution
from ..snapshot import TaskCounts

__all__ = ["SourceValues", "known", "number_of", "values_of_counts"]

#: A source that is not known has no key; mypy refuses a key that is no source of the catalog.
SourceValues = dict[Source, float | Distribution]


def known(values: Mapping[Source, float | None]) -> SourceValues:
    """Return the values that are not None."""
    return {source: value for source, value in values.items() if value is not None}


def number_of(values: SourceValues, source: Source) -> float:
    """Return the number, 0 if there is none yet."""
    value = values.get(source, 0)
    return 0 if isinstance(value, Distribution) else value


def values_of_counts(counts: TaskCounts) -> SourceValues:
    """Return the counts and times of tasks by their sources."""
    return {
        "sent": counts.sent,
        "received": counts.received,
        "started": counts.started,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "retried": counts.retried,
        "revoked": counts.revoked,
        "expired": counts.expired,
        "terminated": counts.terminated,
        "rejected": counts.rejected,
        "cancelled": counts.cancelled,
        "vanished": counts.vanished,
        "recovered": counts.recovered,
        "exhausted": counts.exhausted,
        "redelivered": counts.redelivered,
        "duplicated": counts.duplicated,
        "runtime": counts.runtime,
        "queue_time": counts.queue_time,
        "prefetch_time": counts.prefetch_time,
        "failed_runtime": counts.failed_runtime,
        "total_time": counts.total_time,
        "retries": counts.retries,
    }
