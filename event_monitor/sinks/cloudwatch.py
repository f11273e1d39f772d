"""CloudWatch sink: metrics to datums (pure), datums to PutMetricData requests.

Retrying is the publisher's business.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from ..clock import SYSTEM_CLOCK, Clock
from ..distribution import Distribution
from ..metrics.metric import Metric
from ..settings import Settings
from ..text import one_line
from .client import READ_SECONDS, Client, Datum, Session, client_of, session_of, target_of
from .cloudwatch_check import check_cloudwatch
from .cloudwatch_limits import Refusals, dimension_value, separate
from .faults import Fault, classify, not_connected
from .sink import Outcome, SinkFinding, SinkUnavailableError

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

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._settings = settings
        self._clock: Clock = clock
        self._read_seconds = read_seconds
        self._refusals = Refusals()
        self._client: Client | None = None
        # Kept for the first connection: it has read the service's model, which takes 0.2 s.
        self._session: Session | None = _session_with_target(settings.region)

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Send what is valid, in as few requests as the limits allow; stop at the first failure.

        A request that is refused for one bad datum, or for its size, is halved until only the bad
        datum is left out.
        """
        valid, refused = separate(metrics, now=self._clock.wall())
        data = encode(valid, high_resolution=self._settings.high_resolution)
        waiting = deque(requests_of(zip(valid, data, strict=True)))
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

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _put(self, request: list[Item]) -> Fault | None:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError

        namespace = self._settings.namespace
        if self._client is None:
            session, self._session = self._session or session_of(), None
            try:
                self._client = client_of(
                    session, self._settings.region, read_seconds=self._read_seconds
                )
            except (ClientError, BotoCoreError, OSError, RuntimeError, ValueError) as error:
                return not_connected(error, namespace=namespace)
        try:
            self._client.put_metric_data(
                Namespace=namespace, MetricData=[datum for _, datum in request]
            )
        # Those after ResponseParserError come from botocore's credential providers, before the
        # request: a web identity token file that is missing, credentials that expired while
        # refreshed, a credential_process that printed something else.
        except (
            ClientError,
            BotoCoreError,
            ResponseParserError,
            OSError,
            RuntimeError,
            json.JSONDecodeError,
        ) as error:
            if isinstance(error, NoCredentialsError):
                self.close()  # a client made without credentials never looks for them again
            return classify(error, namespace=namespace)
        return None


def _session_with_target(region: str) -> Session:
    """Return a session that knows where to publish to; ``SinkUnavailableError`` if none does."""
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        session = session_of()
        target_of(session, region)
    except NoRegionError:
        raise SinkUnavailableError(
            "There is no AWS region to publish to: set AWS_REGION, such as AWS_REGION=eu-west-1, "
            "the setting `region`, or `region` in the AWS configuration file.",
            SinkFinding(
                "region",
                "failed",
                "no AWS region is set",
                "Set AWS_REGION, such as AWS_REGION=eu-west-1.",
            ),
        ) from None
    except (BotoCoreError, ValueError) as error:
        message = f"the AWS configuration cannot be used: {one_line(error)}"
        raise SinkUnavailableError(
            f"{message[0].upper()}{message[1:]}. Correct it and start again.",
            SinkFinding("region", "failed", message),
        ) from error
    return session
