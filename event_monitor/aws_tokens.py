"""AWS tokens: the files that botocore reads them from, and somebody else writes.

botocore reads whatever is there, and raises whatever comes of it. Here a file is read if it can be
one, and told by its name if it is damaged.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.utils import FileWebIdentityTokenLoader, JSONFileCache
from dateutil.parser import parse as parse_time  # type: ignore[import-untyped]  # as botocore does

from .redaction import remember_keys

__all__ = ["TokenFile", "TokenFileError", "TokenFiles", "remember_token", "require_short_file"]

_MOST_FILE_BYTES = 1_000_000  # a long token has a few kB
_TOKEN_TEXTS = ("refreshToken", "clientId", "clientSecret")
_TOKEN_TIMES = ("expiresAt", "registrationExpiresAt")


class TokenFileError(Exception):
    """A cached token of single sign-on is damaged; its text names the file, and what to do."""


class TokenFile(FileWebIdentityTokenLoader):  # type: ignore[misc]
    """The file with a web identity, which somebody else writes."""

    def __call__(self) -> Any:
        """Return the token."""
        require_short_file(self._web_identity_token_path)
        token = super().__call__()
        remember_token(token)
        return token


class TokenFiles(JSONFileCache):  # type: ignore[misc]
    """The cached tokens of single sign-on, of which a damaged one is told by its name."""

    def __init__(self, former: Any, *, method: str) -> None:
        super().__init__(former._working_dir, dumps_func=former._dumps)  # noqa: SLF001
        self._command = f"aws {method} login" if method == "sso" else f"aws {method}"
        self._required = ("accessToken", "expiresAt") if method == "sso" else ()

    def __contains__(self, cache_key: str) -> bool:
        return os.path.lexists(self._convert_cache_key(cache_key))

    def __getitem__(self, cache_key: str) -> Any:
        path = self._convert_cache_key(cache_key)
        require_short_file(path)
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


def remember_token(token: object) -> None:
    """Mask a token that is about to be sent: who refuses it may repeat it, whole or its last word.

    The word before that is the scheme, such as ``Bearer``.
    """
    if isinstance(token, str):
        remember_keys(token, *token.split()[-1:])


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


def require_short_file(path: str) -> None:
    """Raise ``OSError`` for what would be read for ever, or fill the memory: a pipe, a device."""
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        return  # whoever opens it says so
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is not a regular file")
    if found.st_size > _MOST_FILE_BYTES:
        raise OSError(f"{path} is longer than {_MOST_FILE_BYTES:,} bytes")
