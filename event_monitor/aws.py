"""AWS: botocore's connections and child processes, which obey the exchange of their thread.

botocore has no setting for this. What is touched here is where it keeps the classes of its
connections; in a botocore that keeps them elsewhere, requests go out as they would without us.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import stat
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import botocore.session
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import FileWebIdentityTokenLoader, JSONFileCache
from dateutil.parser import parse as parse_time  # type: ignore[import-untyped]

from .exchange import MAX_ANSWER_BYTES, AnswerTooLongError, BoundedConnection, Exchange
from .redaction import remember_keys

__all__ = ["BoundedSession", "ProviderError", "TokenFileError", "bound"]

_PIPE_BYTES = 65_536  # at a time
_PIPE_SECONDS = 1.0  # how long a child's child may keep the pipes open when the child has ended
_MOST_FILE_BYTES = 1_000_000  # of a token; a long one has a few kB
_TOKEN_TEXTS = ("refreshToken", "clientId", "clientSecret")
_TOKEN_TIMES = ("expiresAt", "registrationExpiresAt")
_BUILDERS = tuple(
    f"_create_{name}_provider" for name in ("process", "sso", "login", "web_identity", "config")
)

_running: WeakSet[_Process] = WeakSet()


class ProviderError(Exception):
    """A provider of credentials raised what it should not: ``cause``. ``method`` is its name."""

    def __init__(self, method: str, cause: Exception) -> None:
        super().__init__(f"{method}: {cause}")
        self.method = method
        self.cause = cause


class TokenFileError(Exception):
    """A cached token of single sign-on is damaged; its text names the file, and what to do."""


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
        _running.add(self)
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
            _bound_provider(provider)
        self._are_bounded = True
        return super().get_credentials(*arguments, **options)


def _bound_provider(provider: Any) -> Any:
    if hasattr(provider, "_popen"):
        provider._popen = _Process  # noqa: SLF001
    if hasattr(provider, "_token_loader_cls"):
        provider._token_loader_cls = _TokenFile  # noqa: SLF001
    if hasattr(provider, "_build_headers"):
        provider._build_headers = partial(_headers, provider, provider._build_headers)  # noqa: SLF001
    tokens = getattr(provider, "_token_provider", None)  # of single sign-on
    for owner in (provider, tokens, getattr(tokens, "_token_loader", None)):
        for name in ("_token_cache", "_cache"):
            cache = getattr(owner, name, None)
            if isinstance(cache, JSONFileCache):
                setattr(owner, name, _TokenFiles(cache, method=provider.METHOD))
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
        _require_short_file(path)
    return build()


class _TokenFile(FileWebIdentityTokenLoader):  # type: ignore[misc]
    """The file with a web identity, which somebody else writes."""

    def __call__(self) -> Any:
        _require_short_file(self._web_identity_token_path)
        return super().__call__()


class _TokenFiles(JSONFileCache):  # type: ignore[misc]
    """The cached tokens of single sign-on, of which a damaged one is told by its name."""

    def __init__(self, former: Any, *, method: str) -> None:
        super().__init__(former._working_dir, dumps_func=former._dumps)  # noqa: SLF001
        self._command = f"aws {method} login" if method == "sso" else f"aws {method}"
        self._required = ("accessToken", "expiresAt") if method == "sso" else ()

    def __contains__(self, cache_key: str) -> bool:
        return os.path.lexists(self._convert_cache_key(cache_key))

    def __getitem__(self, cache_key: str) -> Any:
        path = self._convert_cache_key(cache_key)
        _require_short_file(path)
        try:
            token = json.loads(Path(path).read_text("utf-8"))
        except (ValueError, RecursionError):
            token = None
        flaw = _flaw_of(token, self._required)
        if flaw is not None:
            raise TokenFileError(
                f"the sign-on token in {path} is damaged ({flaw}); "
                f"sign in again with `{self._command}`"
            )
        secrets = (token.get(name) for name in ("accessToken", *_TOKEN_TEXTS))
        remember_keys(*(secret for secret in secrets if isinstance(secret, str)))
        return token


def _flaw_of(token: object, required: Sequence[str]) -> str | None:
    """Return why a cached token is none, without anything of it."""
    if not isinstance(token, dict):
        return "it is not a JSON object"
    missing = [name for name in required if name not in token]
    if missing:
        return f"it has no {missing[0]}"
    if not isinstance(token.get("accessToken", ""), (str, dict)):
        return "its accessToken is not a string"
    for name in _TOKEN_TEXTS:
        if not isinstance(token.get(name, ""), str):
            return f"its {name} is not a string"
    for name in _TOKEN_TIMES:
        try:
            is_time = name not in token or parse_time(token[name]).tzinfo is not None
        except (ValueError, TypeError, OverflowError):
            is_time = False
        if not is_time:
            return f"its {name} is not a time with a time zone"
    return None


def _require_short_file(path: str) -> None:
    """Raise ``OSError`` for what would be read for ever, or fill the memory: a pipe, a device."""
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        return  # whoever opens it says so
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is not a regular file")
    if found.st_size > _MOST_FILE_BYTES:
        raise OSError(f"{path} is longer than {_MOST_FILE_BYTES:,} bytes")


@atexit.register
def _end_processes() -> None:
    """Leave no ``credential_process`` behind that hangs, nor its children."""
    for process in tuple(_running):
        if process.returncode is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


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
