"""Strict CloudWatch: PutMetricData on loopback, with every limit enforced and faults on demand.

It understands every boto3: JSON 1.0, and the query protocol of older versions, gzipped or not.
Public through ``event_monitor.testing``.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeVar, cast
from xml.sax.saxutils import escape

from ..clock import SYSTEM_CLOCK, Clock
from .put_metric_data import MAX_BODY_BYTES, Refusal, Request, check, from_query

__all__ = ["Datum", "Fault", "StrictCloudWatch"]

Fault = Literal[
    "throttle",  # 400 Throttling
    "error",  # 500, not applied
    "too large",  # 413
    "forbid",  # 403
    "hang",  # not applied, and no answer before `behave` or the end
    "reset",  # not applied, the connection is reset
    "apply then hang",  # applied, and no answer before `behave` or the end
    "apply then error",  # applied, and 500
]


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
        self._release = threading.Event()

        class Handler(_Handler):
            cloudwatch = self

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

    def hang(self) -> None:
        """Wait for ``behave`` or the end."""
        self._release.wait()


class _Handler(BaseHTTPRequestHandler):
    """One connection. Each answer is in the protocol of its request."""

    cloudwatch: StrictCloudWatch
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            fault = self.cloudwatch.take(self._request(body), len(body))
        except Refusal as refusal:
            self._error(400, refusal.code, str(refusal))
        except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zlib.error):
            self._error(400, "SerializationException", "The request cannot be read.")
        else:
            self._answer(fault)

    def _answer(self, fault: Fault | None) -> None:
        if fault is None:
            self._send(200, b"{}" if self._json else b"<PutMetricDataResponse/>")
        elif fault == "throttle":
            self._error(400, "Throttling", "Rate exceeded")
        elif fault == "too large":
            self._error(413, "RequestEntityTooLarge", "Request size exceeded 1048576 bytes")
        elif fault == "forbid":
            self._error(403, "AccessDenied", "User is not authorized: cloudwatch:PutMetricData")
        elif fault.endswith("error"):
            self._error(500, "InternalServiceError", "Request processing has failed.", "Receiver")
        else:
            self.close_connection = True
            if fault == "reset":  # SO_LINGER with a time of 0: closing sends RST
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                self.cloudwatch.hang()

    @property
    def _json(self) -> bool:
        return "x-amz-json" in self.headers.get("Content-Type", "")

    def _request(self, body: bytes) -> Request:
        if self._json:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            request = cast(Request, dict(json.loads(body)))  # raises if it is not an object
        else:
            operation, request = from_query(body.decode("ascii"))
        if operation != "PutMetricData":
            raise Refusal("UnknownOperation", f"Only PutMetricData is known, not {operation}.")
        return request

    def _error(self, status: int, code: str, message: str, fault: str = "Sender") -> None:
        if self._json:
            body = json.dumps({"__type": f"com.amazonaws.cloudwatch#{code}", "message": message})
        else:
            body = (
                f"<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code>"
                f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
            )
        self._send(status, body.encode(), {"x-amzn-query-error": f"{code};{fault}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        kind = "application/x-amz-json-1.0" if self._json else "text/xml"
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        with suppress(ConnectionError):  # the client may have gone
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Log nothing: it is a fake."""


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
