"""Faults: what an error of botocore's means for the PutMetricData request it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from ..text import one_line

__all__ = ["AnsweredError", "Fault", "classify", "code_of", "not_connected"]

_OPERATION = "PutMetricData"
# With and without botocore's "Exception": the query protocol and newer ones name them differently.
_INVALID = frozenset(
    {
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MissingParameter",  # what the service calls a MissingRequiredParameterException
        "MissingRequiredParameter",
        "ValidationError",
        "Serialization",  # a value that the service's JSON reader does not take
    }
)


class AnsweredError(Protocol):
    """What we use of botocore's ``ClientError``: a service answered, and refused."""

    response: Mapping[str, Any]
    operation_name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed request.

    ``kind`` later: certainly not applied, may be sent again. ambiguous: may have been applied.
    invalid: refused for what it holds, for ever. too large: refused for its size. ``sentence`` is
    for the log and holds no credentials.
    """

    kind: Literal["later", "ambiguous", "invalid", "too large"]
    sentence: str


def classify(error: Exception, *, namespace: str) -> Fault:
    """Decide whether a failed request was applied, and whether it may be sent again.

    ``error`` is a ``ClientError`` (CloudWatch, or STS on the way to credentials, answered), a
    ``BotoCoreError`` (it did not), a ``ResponseParserError`` (the answer makes no sense), or an
    ``OSError``, ``RuntimeError`` or ``JSONDecodeError`` of botocore's credential providers.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _answered(cast("AnsweredError", error), namespace)
    if isinstance(error, boto.ParamValidationError) and "MetricData" in str(error):
        return Fault("invalid", one_line(error))  # else it is a parameter of STS's
    if isinstance(
        error,
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.ParamValidationError,
        ),
    ) or (
        isinstance(error, (OSError, RuntimeError, ValueError))
        and not isinstance(error, boto.BotoCoreError)
    ):
        return not_connected(error, namespace=namespace)
    # Of an HTTPClientError (a time-out, a closed connection, whatever urllib3 did not name) nobody
    # knows what became of the body; nor of an answer that cannot be read. The other errors
    # (refused, no DNS, TLS, a proxy, no credentials) come before the body goes out.
    ambiguous = isinstance(error, boto.HTTPClientError) or not isinstance(error, boto.BotoCoreError)
    return Fault(
        "ambiguous" if ambiguous else "later", f"CloudWatch cannot be reached: {one_line(error)}"
    )


def not_connected(error: Exception, *, namespace: str) -> Fault:
    """Return the fault of a request that was never made, for want of credentials above all."""
    return Fault("later", f"{one_line(error)}: {_permission(namespace)}.")


def code_of(error: AnsweredError) -> str:
    """Return the service's own code of its refusal, such as ``AccessDenied``; empty for none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _answered(error: AnsweredError, namespace: str) -> Fault:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = code_of(error) or str(status)
    message = str(error.response.get("Error", {}).get("Message", ""))
    if error.operation_name != _OPERATION:
        return Fault("later", f"No credentials ({code}): {_permission(namespace)}.")
    if status == 413:
        return Fault("too large", f"CloudWatch refused a request as too large ({code}).")
    if code.removesuffix("Exception") in _INVALID:
        if "parameter Namespace" in message:  # no datum is to blame: a person has to change it
            return Fault("later", f"CloudWatch refuses the namespace {namespace!r} ({code}).")
        return Fault("invalid", one_line(f"{code}: {message}"))
    if status in (401, 403):
        return Fault(
            "later", f"CloudWatch refused the credentials ({code}): {_permission(namespace)}."
        )
    kind: Literal["ambiguous", "later"] = "ambiguous" if status >= 500 else "later"
    return Fault(kind, one_line(f"CloudWatch answered {status} {code}: {message}"))


def _permission(namespace: str) -> str:
    return f"allow cloudwatch:PutMetricData on namespace {namespace!r} to the role it runs as"
