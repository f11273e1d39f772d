"""Faults: what an error of boto3 says about the PutMetricData request it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Fault", "classify"]

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
_MESSAGE_CHARACTERS = 300


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
    """Tell the kinds of failure apart.

    ``error`` is a ``ClientError`` (CloudWatch, or STS on the way to credentials, answered), a
    ``BotoCoreError`` (it did not), a ``ResponseParserError`` (the answer makes no sense), or an
    ``OSError`` or ``RuntimeError`` of botocore's credential providers.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _answered(error, namespace)
    if isinstance(error, boto.ParamValidationError):
        return Fault("invalid", _one_line(error))
    if isinstance(
        error,
        (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError),
    ) or (isinstance(error, (OSError, RuntimeError)) and not isinstance(error, boto.BotoCoreError)):
        return Fault("later", f"{_one_line(error)}: {_permission(namespace)}.")
    # Of an HTTPClientError (a time-out, a closed connection, whatever urllib3 did not name) nobody
    # knows what became of the body; nor of an answer that cannot be read. The other errors
    # (refused, no DNS, TLS, a proxy, no credentials) come before the body goes out.
    ambiguous = isinstance(error, boto.HTTPClientError) or not isinstance(error, boto.BotoCoreError)
    return Fault(
        "ambiguous" if ambiguous else "later", f"CloudWatch cannot be reached: {_one_line(error)}"
    )


def _answered(error: Any, namespace: str) -> Fault:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    details = error.response.get("Error", {})
    code = str(details.get("Code", "")) or str(status)
    message = str(details.get("Message", ""))
    if error.operation_name != _OPERATION:
        return Fault("later", f"No credentials ({code}): {_permission(namespace)}.")
    if status == 413:
        return Fault("too large", f"CloudWatch refused a request as too large ({code}).")
    if code.removesuffix("Exception") in _INVALID:
        if "parameter Namespace" in message:  # no datum is to blame: a person has to change it
            return Fault("later", f"CloudWatch refuses the namespace {namespace!r} ({code}).")
        return Fault("invalid", _one_line(f"{code}: {message}"))
    if status in (401, 403):
        return Fault(
            "later", f"CloudWatch refused the credentials ({code}): {_permission(namespace)}."
        )
    kind: Literal["ambiguous", "later"] = "ambiguous" if status >= 500 else "later"
    return Fault(kind, _one_line(f"CloudWatch answered {status} {code}: {message}"))


def _permission(namespace: str) -> str:
    return f"allow cloudwatch:PutMetricData on namespace {namespace!r} to the role it runs as"


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:_MESSAGE_CHARACTERS]
