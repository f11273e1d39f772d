"""CloudWatch sink: metrics to datums (pure), datums to PutMetricData requests.

The only place that knows CloudWatch's limits. Retrying is the publisher's business.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..distribution import MAX_VALUES, Distribution
from ..errors import UnavailableError
from ..metrics import Metric
from ..settings import Settings
from ..snapshot import UNKNOWN
from . import Outcome
from .client import READ_SECONDS, client_of, session_of
from .faults import Fault, classify

__all__ = ["CloudWatchSink", "encode", "invalid", "requests_of"]

log = logging.getLogger(__name__)

# All of these are PutMetricData's own limits, from its API reference, unless they say otherwise.
MAX_DATA = 1_000  # datums per request
MAX_BODY_BYTES = 900_000  # ours: the limit is 1 MB, and the estimate leaves out the namespace
MAX_VALUE = 2.0**360  # either sign
MAX_AGE_SECONDS = 14 * 86_400.0
MAX_AHEAD_SECONDS = 2 * 3_600.0
MAX_DIMENSIONS = 30
MAX_DIMENSION_CHARACTERS = 1_024
WARNING_SECONDS = 60.0  # the same refusal is logged at most once in this time
_WARNED_KINDS = 1_000  # kinds of refusal remembered

Datum = dict[str, Any]
Item = tuple[Metric, Datum]


# -- pure ----------------------------------------------------------------------------------------


def encode(metrics: Iterable[Metric], *, high_resolution: bool = False) -> list[Datum]:
    """Metrics as boto3's ``put_metric_data`` takes them, one datum each, in the same order."""
    return [_datum(metric, high_resolution=high_resolution) for metric in metrics]


def _datum(metric: Metric, *, high_resolution: bool) -> Datum:
    datum: Datum = {"MetricName": metric.name}
    if metric.dimensions:
        datum["Dimensions"] = [
            {"Name": name, "Value": _dimension_value(value)} for name, value in metric.dimensions
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


def _dimension_value(text: str) -> str:
    """``text`` as CloudWatch allows it: printable ASCII, 1 to 1,024 characters, not blank.

    Allowed text stays as it is. Everything else is escaped as in a Python literal, and what is
    too long ends in a digest of the whole, so that different names stay different.
    """
    if not (text.isascii() and text.isprintable()):
        text = text.encode("unicode_escape").decode("ascii")
    if len(text) > MAX_DIMENSION_CHARACTERS:
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:12]
        text = f"{text[: MAX_DIMENSION_CHARACTERS - 13]}~{digest}"
    return text if text.strip() else UNKNOWN


def invalid(metric: Metric, *, now: float) -> str | None:
    """Why CloudWatch would refuse the metric, and with it its whole request; None if it would not.

    ``now`` is wall-clock seconds since the epoch.
    """
    value = metric.value
    values = value.values if isinstance(value, Distribution) else (value,)
    if not 1 <= len(values) <= MAX_VALUES:
        return f"{len(values)} values; 1 to {MAX_VALUES} are allowed"
    if not all(math.isfinite(one) for one in values):
        return "a value is not a finite number"
    if any(abs(one) > MAX_VALUE for one in values):
        return "a value is beyond 2^360"
    if not metric.timestamp >= now - MAX_AGE_SECONDS:  # so written that NaN is refused too
        return "the timestamp is more than two weeks old"
    if metric.timestamp > now + MAX_AHEAD_SECONDS:
        return "the timestamp is more than two hours ahead"
    if len(metric.dimensions) > MAX_DIMENSIONS:
        return f"more than {MAX_DIMENSIONS} dimensions"
    return None


def requests_of(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut into requests that keep to the limits of count and size, order kept."""
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
    """The datum's part of the uncompressed body.

    botocore writes JSON with ``json.dumps`` and timestamps as numbers. An older one, which writes
    the query protocol, needs up to four times as much; there 413 and halving come in.
    """
    return len(json.dumps(datum, default=datetime.timestamp)) + len(", ")


# -- effect --------------------------------------------------------------------------------------


class CloudWatchSink:
    """Puts metrics into the CloudWatch namespace of the settings.

    Credentials, endpoint and, unless the settings name it, the region come from botocore's own
    chain. It does not retry: that would count twice after a time-out, without a word.
    The setting ``on_ambiguous_send`` decides on the data of a request that may have been applied.
    Raises ``UnavailableError`` when no client can be made, for want of a region above all.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._namespace = settings.namespace
        self._high_resolution = settings.high_resolution
        self._drop_ambiguous = settings.on_ambiguous_send == "drop"
        self._clock: Clock = clock
        self._read_seconds = read_seconds
        self._warned: dict[tuple[str, str], float] = {}
        self._region = settings.region
        self._client = _connect(self._region, read_seconds)

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Send what is valid, in as few requests as the limits allow; stop at the first failure.

        A request that is refused for one bad datum, or for its size, is halved until only the bad
        datum is left out.
        """
        now = self._clock.wall()
        good: list[Metric] = []
        refused: list[tuple[Metric, str]] = []
        for metric in metrics:
            reason = invalid(metric, now=now)
            if reason is None:
                good.append(metric)
            else:
                refused.append((metric, reason))
        data = encode(good, high_resolution=self._high_resolution)
        waiting = deque(requests_of(zip(good, data, strict=True)))
        failure: Fault | None = None
        unsent: list[Item] = []
        lost = 0
        while waiting:
            request = waiting.popleft()
            fault = self._put(request)
            if fault is None:
                continue
            if fault.kind in ("invalid", "too large"):
                if len(request) == 1:
                    refused.append((request[0][0], fault.sentence))
                else:
                    half = len(request) // 2
                    waiting.extendleft((request[half:], request[:half]))
                continue
            failure = fault
            if fault.kind == "ambiguous" and self._drop_ambiguous:
                lost = len(request)
                log.warning("dropped %d data that may have been applied", lost)
            else:
                unsent.extend(request)
            unsent.extend(item for later in waiting for item in later)
            break
        self._warn_of(refused, now=self._clock.monotonic())
        return Outcome(
            unsent=tuple(metric for metric, _ in unsent),
            dropped=len(refused) + lost,
            failures=int(failure is not None),
            ambiguous=int(failure is not None and failure.kind == "ambiguous"),
            error=failure.sentence if failure else None,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _put(self, request: list[Item]) -> Fault | None:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError

        try:
            self._client.put_metric_data(
                Namespace=self._namespace, MetricData=[datum for _, datum in request]
            )
        # OSError and RuntimeError come from botocore's credential providers, before the request:
        # a web identity token file that is missing, credentials that expired while refreshed.
        except (ClientError, BotoCoreError, ResponseParserError, OSError, RuntimeError) as error:
            if isinstance(error, NoCredentialsError):
                self._reconnect()
            return classify(error, namespace=self._namespace)
        return None

    def _reconnect(self) -> None:
        """Make a new client: one made without credentials never looks for them again."""
        with suppress(UnavailableError):
            stale, self._client = self._client, _connect(self._region, self._read_seconds)
            stale.close()

    def _warn_of(self, refused: list[tuple[Metric, str]], *, now: float) -> None:
        if len(self._warned) > _WARNED_KINDS:
            self._warned.clear()
        kinds = Counter((metric.name, reason) for metric, reason in refused)
        for (name, reason), count in kinds.items():
            if now - self._warned.get((name, reason), -math.inf) >= WARNING_SECONDS:
                self._warned[name, reason] = now
                log.warning("dropped %d of %s, which CloudWatch refuses: %s", count, name, reason)


def _connect(region: str, read_seconds: float) -> Any:
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        return client_of(session_of(), region, read_seconds=read_seconds)
    except NoRegionError:
        raise UnavailableError(
            "There is no AWS region to publish to: set AWS_REGION, such as AWS_REGION=eu-west-1, "
            "the setting `region`, or `region` in the AWS configuration file."
        ) from None
    except (BotoCoreError, ValueError) as error:
        fault = str(error).rstrip(".")
        raise UnavailableError(
            f"The AWS configuration cannot be used: {fault}. Correct it and start again."
        ) from error
