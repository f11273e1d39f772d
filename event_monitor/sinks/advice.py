"""Advice: what to do when AWS refuses a request for who sent it. Pure.

AWS's own sentence says it best, and is shown first; the advice follows it and fits its cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Advice", "advice"]

Cause = Literal["clock", "expired", "keys", "policy", "permission"]

_CLOCK_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})
_CLOCK_WORDS = ("signature expired", "signature not yet current", "time too skewed")
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenFault"})
_KEYS = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignature",
        "InvalidToken",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
    }
)
_PERMISSION = frozenset(
    {"AccessDenied", "AuthorizationError", "UnauthorizedOperation", "AccessDeniedByVpcEndpoint"}
)
# As AWS names them: "with an explicit deny in a service control policy", "because no VPC endpoint
# policy allows the cloudwatch:PutMetricData action".
_POLICIES = (
    "service control policy",
    "resource control policy",
    "VPC endpoint policy",
    "permissions boundary",
    "session policy",
)


@dataclass(frozen=True, slots=True)
class Advice:
    """Why a request was refused, and what a person can do: a sentence with its full stop."""

    cause: Cause
    sentence: str


def advice(code: str, message: str, *, namespace: str) -> Advice | None:
    """Return what to do about a refusal; None if it is not for who sent the request.

    ``code`` and ``message`` are the service's own. Codes come with and without "Exception": the
    query protocol and newer ones name them differently.
    """
    code = code.removesuffix("Exception")
    said = message.lower()
    if code in _CLOCK_CODES or any(words in said for words in _CLOCK_WORDS):
        return Advice("clock", "Synchronise this machine's clock (chrony, ntpd).")
    if code in _EXPIRED:
        return Advice("expired", "Renew the credentials; new ones are found without a restart.")
    if code in _KEYS:
        return Advice(
            "keys",
            "Correct the keys, and look whether this endpoint and region are theirs; new ones "
            "are found without a restart.",
        )
    if code in _PERMISSION:
        return _permission(said, f"cloudwatch:PutMetricData on namespace {namespace!r}")
    return None


def _permission(said: str, right: str) -> Advice:
    policy = next((name for name in _POLICIES if name.lower() in said), None)
    if "explicit deny" in said:
        where = f"the {policy}" if policy else "the policy"
        return Advice("policy", f"Take {right} out of what {where} denies: no allow overrules it.")
    if policy is not None:
        return Advice("policy", f"Allow {right} in the {policy} too, which limits the role's own.")
    return Advice("permission", f"Allow {right} to the role it runs as.")
