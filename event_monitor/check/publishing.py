"""Publishing: whether CloudWatch takes our data, and whether its clock and ours agree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ..settings import Settings
from ..sinks.client import client_of, session_of
from ..sinks.faults import classify
from ..sinks.permission import put_metric_data_statement
from .finding import Finding

__all__ = ["CHECK_METRIC", "examine_publishing", "judge_clock"]

CHECK_METRIC = "MonitorCheck"  # the one datum that check leaves behind

SKEW_WARNING_SECONDS = 60.0
SKEW_FAILURE_SECONDS = 900.0  # AWS refuses requests that were signed this far from its own time

_NOT_PERMITTED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_BAD_KEYS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_METHODS = {  # botocore's word for how credentials were found: ours
    "assume-role": "an assumed role of the AWS configuration file",
    "assume-role-with-web-identity": "a web identity (IRSA)",
    "config-file": "the AWS configuration file",
    "container-role": "the container's role (ECS, EKS)",
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "iam-role": "the instance's role (EC2)",
    "shared-credentials-file": "the shared credentials file",
    "sso": "single sign-on",
}


def examine_publishing(settings: Settings) -> Iterator[Finding]:
    """Findings on region, credentials, permission and clock. Puts one datum if all is well."""
    if settings.sink != "cloudwatch":
        yield Finding("cloudwatch", "skipped", f"metrics go to the {settings.sink}")
        return
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        session = session_of()
        client = client_of(session, settings.region)
    except NoRegionError:
        yield Finding(
            "region",
            "failed",
            "no AWS region is set",
            "Set AWS_REGION, such as AWS_REGION=eu-west-1.",
        )
        return
    except (BotoCoreError, ValueError) as error:
        yield Finding("region", "failed", f"the AWS configuration cannot be used: {error}")
        return
    yield Finding("region", "ok", f"{client.meta.region_name}, at {client.meta.endpoint_url}")
    credentials = _judge_credentials(session)
    yield credentials
    if credentials.status == "failed":
        return
    permission, date = _put(client, settings)
    yield permission
    if date is not None:
        yield judge_clock(date, now=time.time())


def _put(client: Any, settings: Settings) -> tuple[Finding, str | None]:
    """Put one datum; what came of it, and the ``Date`` header of the answer if one came."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client.put_metric_data(Namespace=settings.namespace, MetricData=[_datum(settings)])
    except ClientError as error:
        return _refused(error, settings.namespace), _date(error.response)
    except BotoCoreError as error:
        sentence = _sentence(classify(error, namespace=settings.namespace).sentence)
        return Finding("permission", "failed", sentence), None
    finally:
        client.close()
    message = f"put one datum {CHECK_METRIC} into namespace {settings.namespace!r}"
    return Finding("permission", "ok", message), _date(answer)


def _date(answer: Mapping[str, Any]) -> str | None:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return None if date is None else str(date)


def judge_clock(date: str, *, now: float) -> Finding:
    """Compare the ``Date`` header of an answer with our wall clock."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return Finding("clock", "skipped", f"the endpoint's Date header makes no sense: {date!r}")
    skew = now - theirs
    if abs(skew) <= SKEW_WARNING_SECONDS:
        return Finding("clock", "ok", f"within {max(1.0, abs(skew)):.0f} s of the endpoint's")
    direction = "ahead of" if skew > 0 else "behind"
    failed = abs(skew) > SKEW_FAILURE_SECONDS
    effect = "AWS refuses requests" if failed else "data lands in the wrong minutes"
    return Finding(
        "clock",
        "failed" if failed else "warning",
        f"our clock is {abs(skew):,.0f} s {direction} the endpoint's; {effect}",
        "Synchronise this machine's clock (chrony, ntpd).",
    )


def _judge_credentials(session: Any) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    remedy = "Give the process a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID as for any AWS tool."
    try:
        credentials = session.get_credentials()
        if credentials is None:
            return Finding("credentials", "failed", "no AWS credentials are found", remedy)
        credentials.get_frozen_credentials()  # roles are fetched here
    except (BotoCoreError, ClientError) as error:
        return Finding("credentials", "failed", _sentence(error), remedy)
    method = credentials.method
    return Finding("credentials", "ok", f"from {_METHODS.get(method, method)}")


def _refused(error: Any, namespace: str) -> Finding:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _NOT_PERMITTED:
        return Finding(
            "permission",
            "failed",
            f"CloudWatch refuses PutMetricData in namespace {namespace!r} ({code})",
            "Add this statement to the policy of the role:\n"
            + json.dumps(put_metric_data_statement(namespace), indent=2),
        )
    if code in _BAD_KEYS:
        return Finding(
            "permission",
            "failed",
            f"CloudWatch does not accept the credentials ({code})",
            "Renew or correct them.",
        )
    fault = classify(error, namespace=namespace)
    throttled = code.startswith("Throttling")
    return Finding("permission", "warning" if throttled else "failed", _sentence(fault.sentence))


def _datum(settings: Settings) -> dict[str, Any]:
    return {
        "MetricName": CHECK_METRIC,
        "Dimensions": [{"Name": name, "Value": value} for name, value in settings.dimensions],
        "Timestamp": datetime.now(timezone.utc),
        "Value": 1.0,
        "Unit": "Count",
    }


def _sentence(what: object) -> str:
    return " ".join(str(what).split()).rstrip(".")
