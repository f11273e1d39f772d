"""Faults: what an error of botocore's means for the PutMetricData request it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from ..exchange import AnswerTooLongError, LateError, NoThreadError
from ..redaction import shown_url, without_keys
from ..text import one_line
from .acknowledgement import NotCloudWatchError
from .advice import advice

__all__ = ["AnsweredError", "Fault", "classify", "code_of", "message_of", "refusal"]

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
    for the log and holds no credentials. ``renew``: the credentials were refused, so others
    have to be looked for. ``for_time``: it is invalid for the time of a datum. ``from_aws``: AWS
    has answered; else it may have been a proxy in between.
    """

    kind: Literal["later", "ambiguous", "invalid", "too large"]
    sentence: str
    renew: bool = False
    for_time: bool = False
    from_aws: bool = True


def classify(
    error: Exception, *, namespace: str, endpoint: str = "CloudWatch", begun: bool | None = None
) -> Fault:
    """Decide whether a failed request was applied, and whether it may be sent again.

    ``error`` is whatever botocore's client raised: it reads what a service, a proxy or anybody
    else wrote. ``begun`` says whether any of the request has left this machine; None: not known.
    """
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    endpoint = shown_url(endpoint)
    if isinstance(error, boto.ClientError):
        return _answered(cast("AnsweredError", error), namespace, endpoint=endpoint)
    if isinstance(error, NotCloudWatchError):
        return Fault("later", f"{one_line(error)}.")
    if isinstance(error, ResponseParserError):
        return Fault("later", f"{endpoint} does not answer as AWS does: {one_line(error)}.")
    if isinstance(error, boto.ParamValidationError) and "MetricData" in str(error):
        return Fault("invalid", one_line(error))  # else it is a parameter of STS's
    if _is_credentials(error) and not begun:
        sentence = f"No AWS credentials: {one_line(without_keys(str(error)))}."
        return Fault("later", sentence, renew=True)
    if "Invalid header value" in str(error):  # which it quotes: it may be the session token
        sentence = "The AWS credentials are damaged: they hold a character that none has."
        return Fault("later", sentence, renew=True)
    # Of a time-out, a closed connection, whatever urllib3 did not name, nobody knows what became
    # of the request; the other errors of botocore's (refused, no DNS, TLS, a proxy) come before.
    lost = isinstance(error, boto.HTTPClientError) or not isinstance(error, boto.BotoCoreError)
    return Fault(
        "ambiguous" if lost and begun is not False else "later",
        f"CloudWatch cannot be reached: {_reason(error, endpoint)}",
    )


def refusal(error: AnsweredError) -> str:
    """Return what a service refused, with its code and its own sentence, without a full stop."""
    message = message_of(error)
    message = one_line(without_keys(message)) if message else "no reason is given"
    return f"AWS refused {error.operation_name} ({code_of(error)}): {message}"


def code_of(error: AnsweredError) -> str:
    """Return the service's own code of its refusal, such as ``AccessDenied``, or the status."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(error.response.get("Error", {}).get("Code", "")) or str(status)


def message_of(error: AnsweredError) -> str:
    """Return the service's own sentence; empty for none."""
    return str(error.response.get("Error", {}).get("Message", ""))


def _answered(error: AnsweredError, namespace: str, *, endpoint: str) -> Fault:
    metadata = error.response.get("ResponseMetadata", {})
    status, from_aws = metadata.get("HTTPStatusCode", 0), bool(metadata.get("RequestId"))
    code, message = code_of(error), message_of(error)
    if error.operation_name != _OPERATION:  # of STS or single sign-on, on the way to credentials
        return Fault("later", f"No AWS credentials: {refusal(error)}.", renew=True)
    if status == 413:
        who = "CloudWatch" if from_aws else endpoint
        sentence = f"{who} refused a request as too large ({code})."
        return Fault("too large", sentence, from_aws=from_aws)
    if code.removesuffix("Exception") in _INVALID and not from_aws:
        return Fault(
            "later",
            f"{endpoint} does not answer as AWS does: it refused the data ({code}), and there is "
            "no x-amzn-RequestId; is the endpoint's URL right, and no proxy in between?",
        )
    if code.removesuffix("Exception") in _INVALID:
        if "parameter Namespace" in message:  # no datum is to blame: a person has to change it
            return Fault("later", f"CloudWatch refuses the namespace {namespace!r} ({code}).")
        sentence = one_line(f"{code}: {message}")
        return Fault("invalid", sentence, for_time="Timestamp" in message)
    known = advice(code, message, namespace=namespace)
    if known is not None:
        # Another process may have put new keys in their place, whatever was wrong with these.
        return Fault("later", f"{refusal(error)}. {known.sentence}", renew=True)
    kind: Literal["ambiguous", "later"] = "ambiguous" if status >= 500 else "later"
    return Fault(
        kind,
        one_line(f"CloudWatch answered {status} {code}: {message}"),
        renew=status in (401, 403),
    )


def _is_credentials(error: Exception) -> bool:
    """Return whether a provider of credentials raised it, while a request was being signed."""
    from botocore import exceptions as boto

    if isinstance(error, boto.BotoCoreError):
        return isinstance(
            error,
            (
                boto.NoCredentialsError,
                boto.PartialCredentialsError,
                boto.CredentialRetrievalError,
                boto.ParamValidationError,
            ),
        )
    return isinstance(error, (OSError, RuntimeError, ValueError)) and not isinstance(
        error, (AnswerTooLongError, LateError, NoThreadError)
    )


def _reason(error: Exception, endpoint: str) -> str:
    if isinstance(error, (LateError, NoThreadError)):
        return f"{endpoint}: {one_line(error)}"
    cause: BaseException | None = error
    while cause is not None:  # botocore says only that the connection was closed
        if isinstance(cause, AnswerTooLongError):
            return f"{endpoint}: {one_line(cause)}"
        cause = cause.__cause__ or cause.__context__
    return one_line(error)
