"""HTTP handler: reads requests as boto3 sends them, and answers or fails as CloudWatch does.

It understands every boto3: JSON 1.0, and the query protocol of older versions, gzipped or not.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import uuid
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Literal, Protocol, cast
from xml.sax.saxutils import escape

from .put_metric_data import Refusal, Request, from_query

__all__ = ["Fault", "RequestHandler", "Service"]

Fault = Literal[
    "throttle",  # 400 Throttling
    "error",  # 500, not applied
    "too large",  # 413
    "forbid",  # 403 AccessDenied
    "expire",  # 403 ExpiredToken
    "page",  # not applied: 200 with a web page, as a proxy answers
    "trickle",  # not applied: a header that comes byte by byte, without end
    "endless",  # not applied: 200 with a body without end
    "hang",  # not applied, and no answer before `behave` or the end
    "reset",  # not applied, the connection is reset
    "apply then hang",  # applied, and no answer before `behave` or the end
    "apply then error",  # applied, and 500
    "apply then cut",  # applied, and 200 with a body that is cut off
]

_TRICKLE_SECONDS = 0.2


class Service(Protocol):
    """What requests are handed to. Any thread may call it."""

    def take(self, request: Request, body_bytes: int) -> Fault | None:
        """Apply a request unless a fault is due; return the fault. Raises ``Refusal``."""
        ...

    def note_access_key(self, access_key: str) -> None:
        """Keep who signed a request."""
        ...

    def hang(self, seconds: float | None = None) -> bool:
        """Block for as long as a request hangs, at most so long; return whether that is over."""
        ...


class RequestHandler(BaseHTTPRequestHandler):
    """One connection. Each answer is in the protocol of its request."""

    service: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signature = self.headers.get("Authorization", "")
        self.service.note_access_key(signature.partition("Credential=")[2].partition("/")[0])
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            fault = self.service.take(self._request(body), len(body))
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
        elif fault == "expire":
            self._error(403, "ExpiredToken", "The security token in the request is expired")
        elif fault == "page":
            self._write_head(200, {"Content-Type": "text/html", "Content-Length": "21"})
            self.wfile.write(b"<html>Sign in.</html>")
        elif fault == "apply then cut":
            self.close_connection = True
            self._send(200, b"{", {"Content-Length": "3"})
        elif fault in ("trickle", "endless"):
            self.close_connection = True
            self._go_on(fault)
        elif fault.endswith("error"):
            self._error(500, "InternalServiceError", "Request processing has failed.", "Receiver")
        else:
            self.close_connection = True
            if fault == "reset":  # SO_LINGER with a time of 0: closing sends RST
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                self.service.hang()

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
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "x-amzn-RequestId": str(uuid.uuid4()),
            **(headers or {}),
        }
        with suppress(ConnectionError):  # the client may have gone
            self._write_head(status, headers)
            self.wfile.write(body)

    def _write_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _go_on(self, fault: Fault) -> None:
        """Answer until the client has gone, or the fault is over."""
        piece, pause = (b".", _TRICKLE_SECONDS) if fault == "trickle" else (bytes(1 << 20), 0.0)
        with suppress(ConnectionError):
            if fault == "trickle":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: ")
            else:
                self._write_head(200, {"x-amzn-RequestId": str(uuid.uuid4())})
            while not self.service.hang(pause):
                self.wfile.write(piece)

    def log_message(self, *arguments: object) -> None:
        """Log nothing: it is a fake."""
