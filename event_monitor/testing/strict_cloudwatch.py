"""Strict CloudWatch: PutMetricData on loopback, with every limit enforced and faults on demand.

Public through ``event_monitor.testing``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TypeVar

from ..clock import SYSTEM_CLOCK, Clock
from .http_handler import Fault, RequestHandler
from .put_metric_data import MAX_BODY_BYTES, Request, check

__all__ = ["Datum", "Fault", "StrictCloudWatch"]


@dataclass(frozen=True, slots=True)
class Datum:
    """One accepted datum, its dimensions sorted. A plain ``Value`` is one value, counted once."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    timestamp: float
    unit: str
    values: tuple[float, ...]
    counts: tuple[float, ...]
    storage_resolution: int


_Self = TypeVar("_Self", bound="StrictCloudWatch")  # typing.Self needs Python 3.11


class StrictCloudWatch:
    """A CloudWatch endpoint for tests; use it as a context manager. Thread-safe.

    Point boto3 at ``endpoint_url``, for example through ``AWS_ENDPOINT_URL_CLOUDWATCH``. A request
    that breaks one of PutMetricData's rules is refused as a whole, as by the service.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock: Clock = clock
        self._changed = threading.Condition()
        self._data: list[Datum] = []
        self._faults: deque[Fault | None] = deque()
        self._always: Fault | None = None
        self._requests: list[int] = []
        self._access_keys: list[str] = []
        self._release = threading.Event()

        class Handler(RequestHandler):
            service = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # it would wait for connections that are kept alive
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="strict-cloudwatch", daemon=True
        )

    def __enter__(self: _Self) -> _Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.behave()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint_url(self) -> str:
        """The URL it listens on."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # -- misbehaving ---------------------------------------------------------------------------

    def misbehave(self, fault: Fault, *, times: int | None = None, after: int = 0) -> None:
        """Answer the next ``times`` requests with a fault, after serving ``after`` more.

        Faults with a number of times queue up, in the order they were asked for. Without one, the
        fault applies whenever the queue is empty, until ``behave``.
        """
        with self._changed:
            self._faults.extend([None] * after)
            if times is None:
                self._always = fault
            else:
                self._faults.extend([fault] * times)
            self._release.clear()

    def behave(self) -> None:
        """End all faults; connections of requests that hang are closed without an answer."""
        with self._changed:
            self._faults.clear()
            self._always = None
            self._release.set()

    # -- reading back --------------------------------------------------------------------------

    @property
    def data(self) -> tuple[Datum, ...]:
        """Every accepted datum, in the order of arrival."""
        with self._changed:
            return tuple(self._data)

    @property
    def requests(self) -> tuple[int, ...]:
        """The uncompressed size in bytes of every request, refused and failed ones included."""
        with self._changed:
            return tuple(self._requests)

    @property
    def access_keys(self) -> tuple[str, ...]:
        """The id of the access key that signed each request; empty for one that is not signed."""
        with self._changed:
            return tuple(self._access_keys)

    def series(self, name: str, /, **dimensions: str) -> tuple[Datum, ...]:
        """Return what was accepted for one series; the dimensions must match exactly."""
        wanted = tuple(sorted(dimensions.items()))
        return tuple(
            datum for datum in self.data if (datum.name, datum.dimensions) == (name, wanted)
        )

    def sum(self, name: str, /, **dimensions: str) -> float:
        """Return the Sum statistic of one series over all time; 0 when there is no such series."""
        return sum(
            value * count
            for datum in self.series(name, **dimensions)
            for value, count in zip(datum.values, datum.counts, strict=True)
        )

    def sample_count(self, name: str, /, **dimensions: str) -> float:
        """Return the SampleCount statistic of one series over all time."""
        return sum(sum(datum.counts) for datum in self.series(name, **dimensions))

    def wait_for_requests(self, requests: int, *, timeout_seconds: float = 10.0) -> bool:
        """Block until so many requests were handled; return False if that takes too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: len(self._requests) >= requests, timeout=timeout_seconds
            )

    # -- serving -------------------------------------------------------------------------------

    def note_access_key(self, access_key: str) -> None:
        """Keep who signed a request."""
        with self._changed:
            self._access_keys.append(access_key)

    def take(self, request: Request, body_bytes: int) -> Fault | None:
        """Apply a request unless a fault is due; return the fault. Raises ``Refusal``."""
        with self._changed:
            self._requests.append(body_bytes)
            self._changed.notify_all()
            fault = self._faults.popleft() if self._faults else self._always
            if fault is not None and not fault.startswith("apply"):
                return fault
            if body_bytes > MAX_BODY_BYTES:
                return "too large"
            now = self._clock.wall()
            check(request, now=now)
            self._data += _data_of(request, now)
            return fault

    def hang(self, seconds: float | None = None) -> bool:
        """Wait for ``behave`` or the end, at most so long; return whether it has come."""
        return self._release.wait(seconds)


def _data_of(request: Request, now: float) -> Iterator[Datum]:
    for datum in request["MetricData"]:
        values = datum["Values"] if "Values" in datum else [datum["Value"]]
        counts = datum["Counts"] if "Counts" in datum else [1] * len(values)
        yield Datum(
            namespace=request["Namespace"],
            name=datum["MetricName"],
            dimensions=tuple(sorted((d["Name"], d["Value"]) for d in datum.get("Dimensions", ()))),
            timestamp=float(datum.get("Timestamp", now)),
            unit=datum.get("Unit", "None"),
            values=tuple(map(float, values)),
            counts=tuple(map(float, counts)),
            storage_resolution=int(datum.get("StorageResolution", 60)),
        )
