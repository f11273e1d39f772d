"""CloudWatch sink: metrics to datums (pure), datums to PutMetricData requests.

Retrying is the publisher's business.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Literal

from ..clock import SYSTEM_CLOCK, Clock
from ..distribution import Distribution
from ..metrics.metric import Metric
from ..settings import Settings
from .client import DEADLINE_SECONDS, READ_SECONDS, Datum
from .cloudwatch_check import check_cloudwatch
from .cloudwatch_limits import (
    MAX_AGE_SECONDS,
    Refusals,
    dimension_value,
    is_out_of_time,
    separate,
)
from .connection import Connection
from .credentials import CREDENTIALS_SECONDS, CredentialsError
from .faults import Fault
from .sink import Outcome, SinkFinding

__all__ = ["CloudWatchSink", "encode", "requests_of"]

log = logging.getLogger(__name__)

MAX_DATA = 1_000  # datums per request, from PutMetricData's API reference
MAX_BODY_BYTES = 900_000  # ours: the limit is 1 MB, and the estimate leaves out the namespace

Item = tuple[Metric, Datum]


# -- pure ----------------------------------------------------------------------------------------


def encode(metrics: Iterable[Metric], *, high_resolution: bool = False) -> list[Datum]:
    """Return the metrics as ``put_metric_data`` takes them, one datum each, in the same order."""
    return [_datum(metric, high_resolution=high_resolution) for metric in metrics]


def _datum(metric: Metric, *, high_resolution: bool) -> Datum:
    datum: Datum = {"MetricName": metric.name}
    if metric.dimensions:
        datum["Dimensions"] = [
            {"Name": name, "Value": dimension_value(value)} for name, value in metric.dimensions
        ]
    datum["Timestamp"] = datetime.fromtimestamp(metric.timestamp, timezone.utc)
    if isinstance(metric.value, Distribution):
        datum["Values"] = list(metric.value.values)
        datum["Counts"] = list(metric.value.counts)
    else:
        datum["Value"] = metric.value
    datum["Unit"] = metric.unit
    if high_resolution:
        datum["StorageResolution"] = 1
    return datum


def requests_of(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut the items into requests that keep to the limits of count and size, in order."""
    request: list[Item] = []
    size = 0
    for item in items:
        added = _body_bytes(item[1])
        if request and (len(request) == MAX_DATA or size + added > MAX_BODY_BYTES):
            yield request
            request, size = [], 0
        request.append(item)
        size += added
    if request:
        yield request


def _body_bytes(datum: Datum) -> int:
    """Return how much the datum adds to the uncompressed body.

    botocore writes JSON with ``json.dumps`` and timestamps as numbers. An older one, which writes
    the query protocol, needs up to four times as much; there 413 and halving come in.
    """
    return len(json.dumps(datum, default=datetime.timestamp)) + len(", ")


def _remedy(
    fault: Fault, request: Sequence[Item], *, now: float, age: float | None
) -> Literal["halve", "drop", "date anew", "keep"]:
    """Return what is to be done with a request that failed.

    Where CloudWatch refuses the time of a whole window, its clock is compared with ours. Both find
    it too old: it is, unless it was counted ``age`` seconds ago, by a clock that was wrong then.
    Both find it ahead: our clock was wrong when it was counted. Ours finds it in time: our clock is
    wrong now, and all is kept until it is set right.
    """
    if fault.kind in ("later", "ambiguous"):
        return "keep"
    times = {metric.timestamp for metric, _ in request}
    if fault.for_time and len(times) == 1:
        (time,) = times
        if not is_out_of_time(request[0][0], now=now):
            return "keep"
        is_old = time < now and (age is None or age > MAX_AGE_SECONDS)
        return "drop" if is_old else "date anew"
    if len(request) > 1:
        return "halve"
    return "drop" if fault.from_aws else "keep"


def _in_doubt(fault: Fault) -> Fault:
    return Fault("later", f"{fault.sentence}. Synchronise this machine's clock (chrony, ntpd).")


# -- effect --------------------------------------------------------------------------------------


class CloudWatchSink:
    """Puts metrics into the CloudWatch namespace of the settings.

    Credentials, endpoint and, unless the settings name it, the region come from botocore's own
    chain. It does not retry: that would count twice after a time-out, without a word.
    The setting ``on_ambiguous_send`` decides on the data of a request that may have been applied.
    Making it reads the configuration only; credentials are looked for by the first ``send``.
    Raises ``UnavailableError`` when the configuration can never work, for want of a region above
    all.
    """

    deadline_seconds = CREDENTIALS_SECONDS + DEADLINE_SECONDS  # of a request, at most
    request_started_at: float | None = None  # by the monotonic clock; of the last request
    #: Asked before each request; if it says no, what was not sent yet is ``unsent``.
    may_send: Callable[[], bool] = staticmethod(lambda: True)
    #: Returns how many seconds ago a window of that timestamp was counted, if that is known.
    age_of: Callable[[float], float | None] = staticmethod(lambda _timestamp: None)

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        read_seconds: float = READ_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
        credentials_seconds: float = CREDENTIALS_SECONDS,
    ) -> None:
        self._settings = settings
        self._clock: Clock = clock
        self._refusals = Refusals()
        self._connection = Connection(
            settings,
            read_seconds=read_seconds,
            deadline_seconds=deadline_seconds,
            credentials_seconds=credentials_seconds,
        )

    @property
    def destination(self) -> str:
        """Return namespace and region, for people."""
        return self._connection.destination

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Send what is valid, in as few requests as the limits allow; stop at the first failure.

        A request that is refused for one bad datum, or for its size, is halved until only the bad
        datum is left out. What is too old, or too far ahead, by our own clock goes out last and by
        itself: it may be the clock that is wrong.
        """
        now = self._clock.wall()
        valid, refused = separate(metrics)
        waiting: deque[list[Item]] = deque()
        for out_of_time in (False, True):
            chosen = [metric for metric in valid if is_out_of_time(metric, now=now) is out_of_time]
            waiting.extend(self._requests(chosen))
        failure: Fault | None = None
        unsent: list[Item] = []
        lost = 0
        while waiting:
            if not self.may_send():
                unsent.extend(item for later in waiting for item in later)
                break
            request = waiting.popleft()
            self.request_started_at = self._clock.monotonic()
            fault = self._connection.put([datum for _, datum in request])
            if fault is None:
                continue
            age = self.age_of(request[0][0].timestamp)
            remedy = _remedy(fault, request, now=now, age=age)
            if remedy == "halve":
                half = len(request) // 2
                waiting.extendleft((request[half:], request[:half]))
            elif remedy == "date anew":
                log.warning("dated %d data anew: they were counted by a wrong clock", len(request))
                dated = [replace(metric, timestamp=now - (age or 0.0)) for metric, _ in request]
                waiting.extend(self._requests(dated))
            elif remedy == "drop":
                refused.extend((metric, fault.sentence) for metric, _ in request)
            else:
                failure = _in_doubt(fault) if fault.for_time else fault
                if fault.kind == "ambiguous" and self._settings.on_ambiguous_send == "drop":
                    lost = len(request)
                    log.warning("dropped %d data that may have been applied", lost)
                else:
                    unsent.extend(request)
                unsent.extend(item for later in waiting for item in later)
                break
        self._refusals.warn(refused, now=self._clock.monotonic())
        return Outcome(
            unsent=tuple(metric for metric, _ in unsent),
            dropped=len(refused) + lost,
            failures=int(failure is not None),
            ambiguous=int(failure is not None and failure.kind == "ambiguous"),
            error=failure.sentence if failure else None,
        )

    def check(self) -> Iterator[SinkFinding]:
        """Yield findings on region, credentials, permission and clock; puts one datum."""
        return check_cloudwatch(self._settings, clock=self._clock)

    def prepare(self) -> str | None:
        """Look for credentials; return a sentence if there are none now, which ``send`` needs."""
        try:
            self._connection.connect()
        except CredentialsError as error:
            return f"{error}."
        return None

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _requests(self, metrics: Sequence[Metric]) -> Iterator[list[Item]]:
        data = encode(metrics, high_resolution=self._settings.high_resolution)
        return requests_of(zip(metrics, data, strict=True))
