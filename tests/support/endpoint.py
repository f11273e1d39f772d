"""Endpoint: the strict CloudWatch; it keeps all requests, and can fail a chosen one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from event_monitor.testing import Datum, Fault, StrictCloudWatch
from event_monitor.testing.put_metric_data import MetricDatum, Refusal, Request

Matches = Callable[[Request], object]  # true for the requests that are meant

_SERVICE_SECONDS = 0.02  # how long each request takes, so that two at a time would be seen


class Endpoint(StrictCloudWatch):
    """A CloudWatch that keeps every request in ``offered``, those it refused included.

    ``struck`` are those that were made to fail, ``most_at_once`` how many came at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[Request] = []
        self.struck: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._aim: tuple[Fault, Matches] | None = None
        self._cursed: str | None = None
        self._looking = threading.Lock()

    def __enter__(self) -> Endpoint:
        super().__enter__()
        return self

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs to publish here, and nowhere else."""
        return environ_for(self.endpoint_url)

    def strike(self, fault: Fault, *, when: Matches) -> None:
        """Fail the first request that matches, once; it is then in ``struck``."""
        self._aim = (fault, when)

    def curse(self, task: str) -> None:
        """Refuse as invalid, from now on, whatever counts a task of that name."""
        self._cursed = task

    def counts(self, *names: str) -> dict[str, float]:
        """Return metric → Sum of its total."""
        return {name: self.sum(name) for name in names}

    def nonzero(self, name: str, **dimensions: str) -> list[Datum]:
        """Return the data of one series that counted something, in the order of arrival."""
        return [datum for datum in self.series(name, **dimensions) if any(datum.values)]

    def take(self, request: Request, body_bytes: int) -> Fault | None:
        with self._looking:
            self.offered.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if self._aim is not None and self._aim[1](request):
                self.misbehave(self._aim[0], times=1)
                self.struck.append(request)
                self._aim = None
        try:
            if self._cursed and any(total_of([datum]) for datum in _of(request, self._cursed)):
                raise Refusal("InvalidParameterValue", "The parameter MetricData is cursed.")
            return super().take(request, body_bytes)
        finally:
            time.sleep(_SERVICE_SECONDS)
            with self._looking:
                self._at_once -= 1


def environ_for(url: str) -> dict[str, str]:
    """Return what a process needs to publish to that URL, and nowhere else."""
    return {
        "AWS_ENDPOINT_URL_CLOUDWATCH": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def total_of(data: Iterable[MetricDatum]) -> float:
    """Return the sum of some plain values of a request."""
    return sum(float(datum.get("Value", 0)) for datum in data)


def successes_in(request: Request) -> float:
    """Return how many succeeded tasks the request counts in its total."""
    return total_of(
        datum
        for datum in request["MetricData"]
        if datum["MetricName"] == "TasksSucceeded" and not datum.get("Dimensions")
    )


def _of(request: Request, task: str) -> list[MetricDatum]:
    label = {"Name": "TaskName", "Value": task}
    return [datum for datum in request["MetricData"] if label in datum.get("Dimensions", ())]
