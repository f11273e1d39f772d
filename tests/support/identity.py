"""Identity: STS on loopback, which gives keys for a web identity, refuses, hangs, or is no STS."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from xml.sax.saxutils import escape

Behaviour = Literal["give", "refuse", "hang", "page"]

REFUSAL = "No OpenIDConnect provider found in your account for https://oidc.example"


class Identity:
    """STS's AssumeRoleWithWebIdentity at ``url``; a context manager. ``behaviour`` may change."""

    def __init__(self, behaviour: Behaviour = "give") -> None:
        self.behaviour = behaviour
        self.asked = 0
        self._over = threading.Event()
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                identity.asked += 1
                if identity.behaviour == "hang":
                    identity._over.wait()
                    return
                status, body = identity._answer()
                with suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "text/xml")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Identity:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environ(self, token_file: object) -> dict[str, str]:
        """Return what a process needs to assume a role here."""
        return {
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/monitor",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        }

    def _answer(self) -> tuple[int, bytes]:
        if self.behaviour == "page":
            return 200, b"<html>Sign in.</html>"
        if self.behaviour == "refuse":
            return 400, (
                "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>"
                f"<Message>{escape(REFUSAL)}</Message></Error></ErrorResponse>"
            ).encode()
        until = datetime.now(timezone.utc) + timedelta(hours=1)
        return 200, (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            "<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>token</SessionToken><Expiration>{until:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
            "</Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/monitor/x"
            "</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode()
