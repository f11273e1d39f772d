"""Credentials: what botocore's providers give, in time, or one sentence why they give nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from ..exchange import Exchange, LateError
from ..redaction import ACCESS_KEY, remember_keys, without_keys
from ..text import one_line
from .faults import AnsweredError, refusal

__all__ = ["CREDENTIALS_SECONDS", "Credentials", "CredentialsError", "keys_checked", "wait_for"]

CREDENTIALS_SECONDS = 60.0  # a credential_process may be slow, and one role come by way of another

# By botocore's names; single sign-on has words of its own.
_PROVIDERS = {
    "custom-process": "credential_process",
    "container-role": "the container's endpoint for credentials",
    "iam-role": "the instance's metadata service",
    "assume-role": "assuming the role",
    "assume-role-with-web-identity": "assuming the role with a web identity",
    "sso": "single sign-on",
    "login": "`aws login`",
}
_TIME_WORDS = ("offset-naive", "Parser must be a string")  # of datetime, of dateutil

T = TypeVar("T")


class CredentialsError(Exception):
    """There are no credentials now; its text is a sentence without a full stop that says why."""


class Keys(Protocol):
    """What we use of botocore's frozen credentials."""

    access_key: str | None
    secret_key: str | None
    token: str | None


class Credentials(Protocol):
    """What we use of botocore's credentials."""

    method: str

    def get_frozen_credentials(self) -> Keys:
        """Return the keys; fetches those of a role when they are missing or about to expire."""
        ...


def keys_checked(credentials: Credentials | None) -> Credentials:
    """Fetch the keys, and return the credentials if they could sign a request.

    Raises ``CredentialsError`` if not, and whatever a provider raises.
    """
    if credentials is None:
        raise CredentialsError(
            "No AWS credentials are found: give the process a role, or set AWS_PROFILE or "
            "AWS_ACCESS_KEY_ID as for any AWS tool"
        )
    keys = _fetched(credentials)
    # They may be anything that JSON can say.
    remember_keys(*(key for key in (keys.secret_key, keys.token) if isinstance(key, str)))
    if isinstance(keys.access_key, str) and not ACCESS_KEY.fullmatch(keys.access_key):
        remember_keys(keys.access_key)  # the two may be swapped, and AWS repeats what it is sent
    for name, text in (
        ("access key", keys.access_key),
        ("secret key", keys.secret_key),
        ("session token", keys.token),
    ):
        if text is None and name == "session token":
            continue
        # They go into a header: what breaks it would be shown by the error that http.client raises.
        is_text = isinstance(text, str) and text.isascii() and text.isprintable()
        if not text or not is_text or " " in text:
            raise CredentialsError(
                f"The AWS credentials ({credentials.method}) are damaged: the {name} is empty, or "
                "has a blank, a line break or another character that none has"
            )
    return credentials


def _fetched(credentials: Credentials) -> Keys:
    from botocore.exceptions import BotoCoreError, ClientError

    from ..aws import ProviderError
    from ..aws_tokens import TokenFileError

    try:
        return credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError, OSError, ProviderError, TokenFileError):
        raise
    except Exception as error:
        raise ProviderError(credentials.method, error) from error


def wait_for(ask: Callable[[], T], *, seconds: float = CREDENTIALS_SECONDS) -> T:
    """Return what ``ask`` gets of botocore's providers, or raise ``CredentialsError``.

    A provider may hang, and may raise anything: what it reads was written by a command, a service
    or another process.
    """
    try:
        return Exchange(seconds).run(ask)
    except CredentialsError:
        raise
    except LateError:
        cause = f"their provider did not give any within {seconds:g} s"
    except Exception as error:  # noqa: BLE001  see above
        cause = _cause(error)
    raise CredentialsError(f"No AWS credentials: {cause}")


def _cause(error: Exception) -> str:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        SSOTokenLoadError,
        TokenRetrievalError,
    )

    from ..aws import ProviderError
    from ..aws_tokens import TokenFileError

    if isinstance(error, ClientError):
        return refusal(cast("AnsweredError", error))
    if isinstance(error, TokenFileError):
        return one_line(error)
    if isinstance(
        error, (SSOTokenLoadError, TokenRetrievalError)
    ):  # of single sign-on; others say so themselves
        return f"{one_line(error)}; sign in again with `aws sso login`"
    if isinstance(error, ProviderError):
        who = _PROVIDERS.get(error.method, f"their provider ({error.method})")
        return f"{who} failed: {_flaw(error.cause)}"
    said = one_line(without_keys(str(error)) or error)
    if isinstance(error, (BotoCoreError, OSError)):
        return said
    return f"their provider failed with {type(error).__name__}: {said}"


def _flaw(error: Exception) -> str:
    """Return what is wrong with what a provider gives, with no more of it than is safe."""
    said = one_line(without_keys(str(error)) or error)
    if isinstance(error, json.JSONDecodeError):
        return f"what it gives is not JSON: {said}"
    if isinstance(error, KeyError):
        return f"what it gives has no {one_line(error)}"
    if type(error).__name__ == "ParserError" or any(words in said for words in _TIME_WORDS):
        return (
            "the keys' expiration is not a time with a time zone"  # dateutil quotes whatever it is
        )
    if isinstance(error, (TypeError, AttributeError)):
        form = f"{type(error).__name__}: {said}"
        return f"what it gives has not the expected form ({form})"
    return said if isinstance(error, RuntimeError) else f"{type(error).__name__}: {said}"
