"""AWS: botocore's connections and child processes, which obey the exchange of their thread.

botocore has no setting for this. What is touched here is where it keeps the classes of its
connections; in a botocore that keeps them elsewhere, requests go out as they would without us.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import botocore.session
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from .exchange import MAX_ANSWER_BYTES, AnswerTooLongError, BoundedConnection, Exchange

__all__ = ["BoundedSession", "bound"]

_PIPE_BYTES = 65_536  # at a time


class _Connection(BoundedConnection, AWSHTTPConnection):  # type: ignore[misc]
    """A connection of botocore's, bounded."""


class _TlsConnection(BoundedConnection, AWSHTTPSConnection):  # type: ignore[misc]
    """The same with TLS."""


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TlsConnection


class _Process(subprocess.Popen[bytes]):
    """A ``credential_process``. It is killed, with its children, when its exchange is given up."""

    def __init__(self, command: Sequence[str], *, stdout: int, stderr: int) -> None:
        super().__init__(command, stdout=stdout, stderr=stderr, start_new_session=True)
        exchange = Exchange.current()
        if exchange is not None:
            exchange.hold_process(self)

    def communicate(self, *_arguments: object, **_options: object) -> tuple[bytes, bytes]:
        """Return what it writes to its two pipes, once it has ended; kill it if that is too much.

        Raises ``AnswerTooLongError``.
        """
        written = {"stdout": bytearray(), "stderr": bytearray()}
        with self, selectors.DefaultSelector() as selector:
            for name in written:
                selector.register(getattr(self, name), selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, _PIPE_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                    written[key.data] += data
                    if len(written[key.data]) > MAX_ANSWER_BYTES:
                        os.killpg(self.pid, signal.SIGKILL)
                        raise AnswerTooLongError(
                            f"credential_process wrote more than {MAX_ANSWER_BYTES:,} bytes"
                        )
        return bytes(written["stdout"]), bytes(written["stderr"])


class BoundedSession(botocore.session.Session):  # type: ignore[misc]
    """A session of botocore's whose clients are bounded, those that fetch credentials too."""

    _are_bounded = False  # the providers of credentials

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """Make a client as botocore does."""
        client = super().create_client(*arguments, **options)
        bound(client)
        return client

    def get_credentials(self, *arguments: Any, **options: Any) -> Any:
        """Ask the providers of credentials; those without a client are bounded here."""
        providers = self.get_component("credential_provider").providers
        for provider in () if self._are_bounded else providers:
            _bound_process(provider)
            for name in ("_fetcher", "_role_fetcher"):  # of the container, of the instance
                _bound_http(getattr(getattr(provider, name, None), "_session", None))
            # A role that is assumed makes the provider of its source profile when it needs it.
            builder: Any = getattr(provider, "_profile_provider_builder", None)
            make = getattr(builder, "_create_process_provider", None)
            if make is not None:
                builder._create_process_provider = partial(_bounded, make)  # noqa: SLF001
        self._are_bounded = True
        return super().get_credentials(*arguments, **options)


def _bounded(make: Callable[[str], Any], profile_name: str) -> Any:
    return _bound_process(make(profile_name))


def _bound_process(provider: Any) -> Any:
    if hasattr(provider, "_popen"):
        provider._popen = _Process  # noqa: SLF001
    return provider


def bound(client: Any) -> bool:
    """Let the connections that a client of botocore's will make obey their exchange.

    Return whether they will.
    """
    return _bound_http(getattr(getattr(client, "_endpoint", None), "http_session", None))


def _bound_http(http_session: Any) -> bool:
    with suppress(AttributeError):
        http_session._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)  # noqa: SLF001
        return True
    return False
