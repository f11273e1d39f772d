"""CloudWatch: an embedded one (moto's server on loopback), and what has arrived in it.

Read back raw, by exact dimensions: moto's GetMetricStatistics matches a part of the dimensions,
so that a total would also sum its splits, and it has no percentiles.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

__all__ = ["NAMESPACE", "REGION", "CloudWatch", "Reading", "percentile"]

NAMESPACE = "Celery"
REGION = "us-east-1"

Series = tuple[str, tuple[tuple[str, str], ...]]  # metric name, sorted (dimension, value) pairs


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that had arrived at one moment: values per series, oldest window first.

    A dimension is given by keyword: ``reading.sum("TasksFailed", TaskName="shop.charge_card")``.
    Without any, only the series without dimensions is meant, as in CloudWatch itself.
    """

    series: Mapping[Series, tuple[float, ...]] = field(default_factory=dict)

    def values(self, metric: str, **dimensions: str) -> tuple[float, ...]:
        """Every value that arrived, distributions unfolded."""
        return self.series.get((metric, tuple(sorted(dimensions.items()))), ())

    def sum(self, metric: str, **dimensions: str) -> int:
        """The Sum statistic over all time, of a count."""
        return round(math.fsum(self.values(metric, **dimensions)))

    def latest(self, metric: str, **dimensions: str) -> float | None:
        """The newest value of a gauge; None before the first."""
        values = self.values(metric, **dimensions)
        return values[-1] if values else None

    def split_by(self, dimension: str) -> tuple[str, ...]:
        """The values a dimension has in any series, sorted."""
        found = {dict(dimensions).get(dimension) for _, dimensions in self.series}
        return tuple(sorted(one for one in found if one is not None))


def percentile(values: tuple[float, ...], rank: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(rank / 100 * len(values)) - 1)]


class CloudWatch:
    """A CloudWatch of our own while the ``with`` block lasts."""

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        """Its host and port, on loopback."""
        host, port = self._server.get_host_and_port()
        return f"{host}:{port}"

    def read(self) -> Reading:
        """What has arrived up to now."""
        arrived: dict[Series, list[Any]] = {}
        # The server's threads append to this list; a copy is a moment of it.
        for datum in tuple(self._backend.metric_data):
            if datum.namespace == NAMESPACE:
                dimensions = tuple(sorted((one.name, one.value) for one in datum.dimensions))
                arrived.setdefault((datum.name, dimensions), []).append(datum)
        return Reading(
            {
                series: tuple(one.value for one in sorted(data, key=lambda one: one.timestamp))
                for series, data in arrived.items()
            }
        )
