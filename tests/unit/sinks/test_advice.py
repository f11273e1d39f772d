"""Advice: fits the cause that AWS's own sentence names."""

from __future__ import annotations

import pytest

from event_monitor.sinks.advice import advice

WHO = "User: arn:aws:sts::123456789012:assumed-role/monitor/i-1 is not authorized to perform: "
DOES = f"{WHO}cloudwatch:PutMetricData"


@pytest.mark.parametrize(
    ("code", "message", "cause", "says"),
    [
        ("RequestExpired", "Request has expired", "clock", "clock"),
        ("InvalidSignatureException", "Signature expired: 20230101T000000Z is", "clock", "clock"),
        ("SignatureDoesNotMatch", "Signature not yet current: 2030", "clock", "clock"),
        ("InvalidSignatureException", "The request signature we calculated", "keys", "keys"),
        ("ExpiredToken", "The security token included is expired", "expired", "Renew"),
        ("ExpiredTokenException", "The security token included is expired", "expired", "Renew"),
        ("InvalidClientTokenId", "The security token is invalid", "keys", "region"),
        ("UnrecognizedClientException", "The security token is invalid", "keys", "region"),
        ("MissingAuthenticationTokenException", "Missing Token", "keys", "keys"),
        ("AccessDenied", DOES, "permission", "Allow cloudwatch:PutMetricData on namespace 'N' to"),
        (
            "AccessDeniedException",
            f"{DOES} because no identity-based policy allows the action",
            "permission",
            "to the role it runs as",
        ),
        (
            "AccessDenied",
            f"{DOES} with an explicit deny in a service control policy",
            "policy",
            "out of what the service control policy denies",
        ),
        (
            "AccessDenied",
            f"{DOES} with an explicit deny in an identity-based policy",
            "policy",
            "out of what the policy denies",
        ),
        (
            "AccessDenied",
            f"{DOES} because no VPC endpoint policy allows the action",
            "policy",
            "in the VPC endpoint policy too",
        ),
        (
            "AccessDenied",
            f"{DOES} because no permissions boundary allows the action",
            "policy",
            "in the permissions boundary too",
        ),
    ],
)
def test_the_advice_fits_the_cause(code: str, message: str, cause: str, says: str) -> None:
    """A wrong clock needs no new keys, and a forbidden endpoint no new role."""
    known = advice(code, message, namespace="N")

    assert known is not None
    assert known.cause == cause
    assert says in known.sentence
    assert known.sentence.endswith(".")


@pytest.mark.parametrize("code", ["Throttling", "InternalFailure", "InvalidParameterValue", "404"])
def test_what_has_to_do_with_something_else_gets_none(code: str) -> None:
    """Only refusals of the sender are advised on."""
    assert advice(code, "no", namespace="N") is None
