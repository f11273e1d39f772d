"""CloudWatch: a local endpoint, and a reader of exactly what was put there.

It reads the endpoint's store, not GetMetricStatistics: that one matches subsets of dimensions.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
Dimensions = tuple[tuple[str, str], ...]


_store_one_by_one = CloudWatchBackend.put_metric_data
_storing = threading.Lock()
_request = threading.local()  # its `key`: who signed the request that this thread answers
_old_keys: set[str] = set()  # of tests that are over
_numbers = count(1)


def _store_whole(backend: object, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """Store a whole request, so that nobody reads half of it; not that of a test that is over."""
    with _storing:
        if getattr(_request, "key", "") not in _old_keys:
            _store_one_by_one(backend, namespace, metric_data)


CloudWatchBackend.put_metric_data = _store_whole


class _MotoDimension(Protocol):
    name: str
    value: str


class _MotoDatum(Protocol):
    """What is read of a datum in the endpoint's store; moto has no types."""

    name: str
    namespace: str
    value: float
    dimensions: list[_MotoDimension]


class CloudWatch:
    """The endpoint at ``url``. Dimensions always match exactly; none means the total."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self._access_key = f"testing{next(_numbers)}"
        self._application = self._server._server.app
        self._server._server.app = self._answer

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs to publish here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL_CLOUDWATCH": self.url,
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def values(self, metric: str, *, namespace: str = "Celery", **dimensions: str) -> list[float]:
        """Return each value of one series, in the order of arrival (Values repeated by Counts)."""
        wanted = tuple(sorted(dimensions.items()))
        return [value for at, value in self._data(metric, namespace) if at == wanted]

    def sum(self, metric: str, **dimensions: str) -> float:
        """Return the Sum statistic of one series over all time; 0 when there is no such series."""
        return sum(self.values(metric, **dimensions))

    def count(self, metric: str, **dimensions: str) -> int:
        """Return the SampleCount statistic of one series over all time."""
        return len(self.values(metric, **dimensions))

    def last(self, metric: str, **dimensions: str) -> float | None:
        """Return the newest value of one series; None when there is no such series."""
        values = self.values(metric, **dimensions)
        return values[-1] if values else None

    def series(self, metric: str, *, namespace: str = "Celery") -> dict[Dimensions, float]:
        """Return dimensions → sum, for each series of that metric."""
        sums: dict[Dimensions, float] = {}
        for dimensions, value in self._data(metric, namespace):
            sums[dimensions] = sums.get(dimensions, 0) + value
        return sums

    def by_task(self, metric: str) -> dict[str, float]:
        """Return task name → sum, where it is not zero."""
        return {
            dimensions[0][1]: value
            for dimensions, value in self.series(metric).items()
            if value and [name for name, _ in dimensions] == ["TaskName"]
        }

    def names(self, *, namespace: str = "Celery") -> set[str]:
        """Return the names of all metrics that have arrived."""
        return {datum.name for datum in self._store() if datum.namespace == namespace}

    def begin(self) -> None:
        """Forget everything for a new test, and what processes of the last one have on its way."""
        _old_keys.add(self._access_key)
        self._access_key = f"testing{next(_numbers)}"
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        with _storing:
            cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION].reset()

    def stop(self) -> None:
        """Close the endpoint."""
        self._server.stop()

    def _data(self, metric: str, namespace: str) -> Iterator[tuple[Dimensions, float]]:
        for datum in self._store():
            if datum.name == metric and datum.namespace == namespace:
                yield tuple(sorted((d.name, d.value) for d in datum.dimensions)), datum.value

    def _store(self) -> list[_MotoDatum]:
        with _storing:
            return list(cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION].metric_data)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        signed = re.search("Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        _request.key = signed[1] if signed else ""
        return self._application(environ, start_response)
