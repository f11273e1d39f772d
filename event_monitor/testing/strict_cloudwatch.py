"""Strict CloudWatch: PutMetricData on loopback, with every limit enforced and faults on demand.

Speaks what boto3 speaks: JSON 1.0, and the query protocol of older ones, gzipped or not. Public
through ``event_monitor.testing``.
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
from typing import Any, Literal
from xml.sax.saxutils import escape

from ..clock import SYSTEM_CLOCK, Clock
from .put_metric_data import MAX_BODY_BYTES, Refusal, check, from_query

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
    """One accepted datum. A plain ``Value`` is one value counted once. Dimensions are sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    timestamp: float
    unit: str
    values: tuple[float, ...]
    counts: tuple[float, ...]
    storage_resolution: int


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
        self._server.block_on_close = False  # a kept-alive connection would be waited for
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="strict-cloudwatch", daemon=True
        )

    def __enter__(self) -> StrictCloudWatch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.behave()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # -- misbehaving ---------------------------------------------------------------------------

    def misbehave(self, fault: Fault, *, times: int | None = None, after: int = 0) -> None:
        """Do so for ``times`` requests (None: until told), once ``after`` more were served.

        What is ordered for a number of times lines up behind what was ordered before.
        """
        with self._changed:
            self._faults.extend([None] * after)
            if times is None:
                self._always = fault
            else:
                self._faults.extend([fault] * times)
            self._release.clear()

    def behave(self) -> None:
        """No more faults; what hangs is let go, its connection closed without an answer."""
        with self._changed:
            self._faults.clear()
            self._always = None
            self._release.set()

    # -- reading back --------------------------------------------------------------------------

    @property
    def data(self) -> tuple[Datum, ...]:
        """Every accepted datum, in the order it came."""
        with self._changed:
            return tuple(self._data)

    @property
    def requests(self) -> tuple[int, ...]:
        """The uncompressed size in bytes of every request, refused and failed ones included."""
        with self._changed:
            return tuple(self._requests)

    def series(self, name: str, /, **dimensions: str) -> tuple[Datum, ...]:
        """What was accepted for one series; the dimensions must match exactly."""
        wanted = tuple(sorted(dimensions.items()))
        return tuple(one for one in self.data if (one.name, one.dimensions) == (name, wanted))

    def sum(self, name: str, /, **dimensions: str) -> float:
        """The Sum statistic of one series over all time; 0 when there is no such series."""
        return sum(
            value * count
            for one in self.series(name, **dimensions)
            for value, count in zip(one.values, one.counts, strict=True)
        )

    def sample_count(self, name: str, /, **dimensions: str) -> float:
        """The SampleCount statistic of one series over all time."""
        return sum(sum(one.counts) for one in self.series(name, **dimensions))

    def wait_for_requests(self, requests: int, *, timeout_seconds: float = 10.0) -> bool:
        """Block until so many requests came, and were applied if they are; False if too late."""
        with self._changed:
            return self._changed.wait_for(
                lambda: len(self._requests) >= requests, timeout=timeout_seconds
            )

    # -- serving -------------------------------------------------------------------------------

    def take(self, request: dict[str, Any], body_bytes: int) -> Fault | None:
        """Apply a request, unless a fault is due or it breaks a rule (raises ``Refusal``)."""
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
    """One connection. What goes out has the shape of the protocol that came in."""

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

    def _request(self, body: bytes) -> dict[str, Any]:
        if self._json:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            request = json.loads(body)
        else:
            request = from_query(body.decode("ascii"))
            operation = request.pop("Action")
        if operation != "PutMetricData":
            raise Refusal("UnknownOperation", f"Only PutMetricData is known, not {operation}.")
        return dict(request)

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


def _data_of(request: dict[str, Any], now: float) -> Iterator[Datum]:
    for datum in request["MetricData"]:
        values = datum.get("Values", [datum.get("Value")])
        yield Datum(
            namespace=request["Namespace"],
            name=datum["MetricName"],
            dimensions=tuple(sorted((d["Name"], d["Value"]) for d in datum.get("Dimensions", ()))),
            timestamp=float(datum.get("Timestamp", now)),
            unit=datum.get("Unit", "None"),
            values=tuple(map(float, values)),
            counts=tuple(map(float, datum.get("Counts", [1] * len(values)))),
            storage_resolution=int(datum.get("StorageResolution", 60)),
        )
