"""Endpoint: the strict CloudWatch, with an eye on what is offered and aim at single requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from event_monitor.testing import Datum, Fault, StrictCloudWatch
from event_monitor.testing.put_metric_data import MetricDatum, Refusal, Request

_SERVICE_SECONDS = 0.02  # how long each request takes, so that two at a time would be seen


class Endpoint(StrictCloudWatch):
    """A CloudWatch whose ``requests`` can be looked into, those it refused included."""

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[Request] = []
        self.struck: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._aim: tuple[Fault, Callable[[Request], object]] | None = None
        self._cursed: str | None = None
        self._looking = threading.Lock()

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to publish here, and nowhere else."""
        return environ_for(self.endpoint_url)

    def strike(self, fault: Fault, *, when: Callable[[Request], object]) -> None:
        """Do so once, at the first request of that kind; it is then in ``struck``."""
        self._aim = (fault, when)

    def curse(self, task: str) -> None:
        """Refuse as invalid, from now on, what counts a task of that name."""
        self._cursed = task

    def counts(self, *names: str) -> dict[str, float]:
        """Metric → Sum of its total."""
        return {name: self.sum(name) for name in names}

    def nonzero(self, name: str, **dimensions: str) -> list[Datum]:
        """The data of one series that counted something, in the order they came."""
        return [one for one in self.series(name, **dimensions) if any(one.values)]

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
            if self._cursed and any(total_of([one]) for one in _of(request, self._cursed)):
                raise Refusal("InvalidParameterValue", "The parameter MetricData is cursed.")
            return super().take(request, body_bytes)
        finally:
            time.sleep(_SERVICE_SECONDS)
            with self._looking:
                self._at_once -= 1


def environ_for(url: str) -> dict[str, str]:
    """What a process needs to publish to that URL, and nowhere else."""
    return {
        "AWS_ENDPOINT_URL_CLOUDWATCH": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def total_of(data: Iterable[MetricDatum]) -> float:
    """The sum of some plain values of a request."""
    return sum(float(one.get("Value", 0)) for one in data)


def successes_in(request: Request) -> float:
    """How many tasks that succeeded the request counts in its total."""
    return total_of(
        one
        for one in request["MetricData"]
        if one["MetricName"] == "TasksSucceeded" and not one.get("Dimensions")
    )


def _of(request: Request, task: str) -> list[MetricDatum]:
    label = {"Name": "TaskName", "Value": task}
    return [one for one in request["MetricData"] if label in one.get("Dimensions", ())]
