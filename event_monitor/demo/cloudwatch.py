"""CloudWatch: an embedded one (moto's server on loopback), and what has arrived in it.

Read back raw, by exact dimensions: moto's GetMetricStatistics matches a part of the dimensions,
so that a total would also sum its splits, and it has no percentiles.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..distribution import Distribution
from .identity import REGION

__all__ = ["NAMESPACE", "REGION", "CloudWatch", "Reading"]

NAMESPACE = "Celery"

Series = tuple[str, tuple[tuple[str, str], ...]]  # metric name, sorted (dimension, value) pairs


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that had arrived at one moment: values per series, oldest window first.

    A dimension is given by keyword: ``reading.sum("TasksFailed", TaskName="shop.charge_card")``.
    Without any, only the series without dimensions is meant, as in CloudWatch itself.
    """

    series: Mapping[Series, tuple[float, ...]] = field(default_factory=dict)

    def values(self, metric: str, **dimensions: str) -> tuple[float, ...]:
        """Return every value that arrived, distributions unfolded."""
        return self.series.get((metric, tuple(sorted(dimensions.items()))), ())

    def sum(self, metric: str, **dimensions: str) -> int:
        """Return the Sum statistic over all time, of a count."""
        return round(math.fsum(self.values(metric, **dimensions)))

    def percentile(self, metric: str, percent: float, **dimensions: str) -> float | None:
        """Return the nearest-rank percentile over all time, exactly; None of nothing."""
        counts = Counter(self.values(metric, **dimensions))
        values = tuple(sorted(counts))
        arrived = Distribution(values, tuple(counts[value] for value in values))
        return arrived.percentile(percent) if arrived else None

    def latest(self, metric: str, **dimensions: str) -> float | None:
        """Return the newest value of a gauge; None before the first."""
        values = self.values(metric, **dimensions)
        return values[-1] if values else None

    def split_by(self, dimension: str) -> tuple[str, ...]:
        """Return the values that a dimension has in any series, sorted."""
        found = {dict(dimensions).get(dimension) for _, dimensions in self.series}
        return tuple(sorted(value for value in found if value is not None))


class _Dimension(Protocol):
    name: str
    value: str


class _StoredValue(Protocol):
    """moto's ``MetricDatum``: one value; a datum with Values and Counts is stored as many."""

    namespace: str
    name: str
    value: float
    timestamp: datetime
    dimensions: list[_Dimension]


class CloudWatch:
    """An embedded CloudWatch; it serves while the ``with`` block lasts."""

    def __init__(self) -> None:
        from moto.cloudwatch.models import cloudwatch_backends
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        self._backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION]
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # it logs every request
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> CloudWatch:
        self._backend.reset()  # it lives as long as this Python process
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        """Its host and port, on loopback."""
        host, port = self._server.get_host_and_port()
        return f"{host}:{port}"

    def read(self) -> Reading:
        """Return what has arrived up to now."""
        arrived: dict[Series, list[_StoredValue]] = {}
        # The server's threads append to this list; the copy is its content at one moment.
        stored: tuple[_StoredValue, ...] = tuple(self._backend.metric_data)
        for datum in stored:
            if datum.namespace == NAMESPACE:
                pairs = sorted((pair.name, pair.value) for pair in datum.dimensions)
                arrived.setdefault((datum.name, tuple(pairs)), []).append(datum)
        return Reading(
            {
                series: tuple(
                    datum.value for datum in sorted(data, key=lambda datum: datum.timestamp)
                )
                for series, data in arrived.items()
            }
        )
