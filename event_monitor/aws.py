"""AWS: botocore's connections and child processes, which obey the exchange of their thread.

botocore has no setting for this. What is touched here is where it keeps the classes of its
connections; in a botocore that keeps them elsewhere, requests go out as they would without us.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import JSONFileCache

from .aws_tokens import (
    TokenFile,
    TokenFileError,
    TokenFiles,
    remember_token,
    require_short_file,
)
from .children import end_with_us, starting
from .exchange import MAX_ANSWER_BYTES, AnswerTooLongError, BoundedConnection, Exchange
from .redaction import remember_secrets

__all__ = ["BoundedSession", "ProviderError", "bound"]

_REGION_VARIABLES = ("AWS_DEFAULT_REGION", "AWS_REGION")  # botocore reads the first only
_PIPE_BYTES = 65_536  # at a time
_PIPE_SECONDS = 1.0  # how long a child's child may keep the pipes open when the child has ended
_BUILDERS = tuple(
    f"_create_{name}_provider" for name in ("process", "sso", "login", "web_identity", "config")
)
_ENDPOINTS = ("endpoint_url", "ec2_metadata_service_endpoint")  # of a profile, of a service


class ProviderError(Exception):
    """A provider of credentials raised what it should not: ``cause``. ``method`` is its name."""

    def __init__(self, method: str, cause: Exception) -> None:
        super().__init__(f"{method}: {cause}")
        self.method = method
        self.cause = cause


class _Connection(BoundedConnection, AWSHTTPConnection):  # type: ignore[misc]
    """A connection of botocore's, bounded."""


class _TlsConnection(BoundedConnection, AWSHTTPSConnection):  # type: ignore[misc]
    """The same with TLS."""


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TlsConnection


class _Process(subprocess.Popen[bytes]):
    """A ``credential_process``. It is killed, with its children, when its exchange is given up.

    So it is at the end of our process.
    """

    def __init__(self, command: Sequence[str], *, stdout: int, stderr: int) -> None:
        with starting():
            super().__init__(command, stdout=stdout, stderr=stderr, start_new_session=True)
            end_with_us(self)
        exchange = Exchange.current()
        if exchange is not None:
            exchange.hold_process(self)

    def communicate(self, *_arguments: object, **_options: object) -> tuple[bytes, bytes]:
        """Return what it writes to its two pipes, once it has ended; kill it if that is too much.

        A process that it leaves behind may keep them open for ever. Raises ``AnswerTooLongError``,
        and ``LateError`` when its exchange is given up.
        """
        exchange = Exchange.current()
        written = {"stdout": bytearray(), "stderr": bytearray()}
        with self, selectors.DefaultSelector() as selector:
            for name in written:
                selector.register(getattr(self, name), selectors.EVENT_READ, name)
            while selector.get_map():
                ready = selector.select(_PIPE_SECONDS)
                if exchange is not None:
                    exchange.check()
                if not ready and self.poll() is not None:
                    break
                for key, _ in ready:
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
    """A session of botocore's whose clients are bounded, those that fetch credentials too.

    Where a profile has ``mfa_serial``, a code is asked for only if it ``may_prompt``.
    """

    may_prompt = False

    _are_bounded = False  # the providers of credentials
    _is_known = False  # what is secret in the shared configuration

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.session_var_map["region"] = ("region", list(_REGION_VARIABLES), None, None)

    @property
    def full_config(self) -> Any:
        """Return the shared configuration; the passwords in its endpoints are masked from then on.

        botocore quotes a URL that it can make nothing of.
        """
        config = super().full_config
        if not self._is_known:
            remember_secrets(*_endpoints_in(config))
            self._is_known = True
        return config

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """Make a client as botocore does."""
        client = super().create_client(*arguments, **options)
        bound(client)
        return client

    def get_credentials(self, *arguments: Any, **options: Any) -> Any:
        """Ask the providers of credentials; those without a client are bounded here."""
        providers = self.get_component("credential_provider").providers
        for provider in () if self._are_bounded else providers:
            _bound_provider(provider)
            if not self.may_prompt and hasattr(provider, "_prompter"):  # for a role's second factor
                provider._prompter = _refuse_prompt  # noqa: SLF001
        self._are_bounded = True
        return super().get_credentials(*arguments, **options)


def _endpoints_in(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _endpoints_in(value)
        elif name in _ENDPOINTS and isinstance(value, str):
            yield value


def _bound_provider(provider: Any) -> Any:
    if hasattr(provider, "_popen"):
        provider._popen = _Process  # noqa: SLF001
    if hasattr(provider, "_token_loader_cls"):
        provider._token_loader_cls = TokenFile  # noqa: SLF001
    if hasattr(provider, "_build_headers"):
        provider._build_headers = partial(_headers, provider, provider._build_headers)  # noqa: SLF001
    tokens = getattr(provider, "_token_provider", None)  # of single sign-on
    for owner in (provider, tokens, getattr(tokens, "_token_loader", None)):
        for name in ("_token_cache", "_cache"):
            cache = getattr(owner, name, None)
            if isinstance(cache, JSONFileCache):
                setattr(owner, name, TokenFiles(cache, method=provider.METHOD))
    for name in ("_fetcher", "_role_fetcher"):  # of the container, of the instance
        _bound_http(getattr(getattr(provider, name, None), "_session", None))
    # A role that is assumed makes the providers of its source profile when it needs them.
    builder: Any = getattr(provider, "_profile_provider_builder", None)
    for name in _BUILDERS:
        make = getattr(builder, name, None)
        if make is not None:
            setattr(builder, name, partial(_bounded, make))
    provider.load = partial(_loaded, provider.METHOD, provider.load)
    return provider


def _refuse_prompt(_prompt: str) -> str:
    raise RuntimeError(
        "the profile has mfa_serial, and nobody types a code in here; use a profile without it"
    )


def _bounded(make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return _bound_provider(make(*arguments, **options))


def _loaded(method: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (BotoCoreError, ClientError, OSError, ProviderError, TokenFileError):
        raise
    except Exception as error:
        raise ProviderError(method, error) from error


def _headers(provider: Any, build: Callable[[], Any]) -> Any:
    """Return the headers of a request to the container's endpoint, which hold a token."""
    path = provider._environ.get(provider.ENV_VAR_AUTH_TOKEN_FILE)  # noqa: SLF001
    if path:
        require_short_file(path)
    headers = build()
    remember_token((headers or {}).get("Authorization"))
    return headers


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
