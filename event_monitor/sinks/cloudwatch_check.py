"""CloudWatch check: whether it takes our data, and whether its clock and ours agree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

from ..clock import Clock
from ..settings import Settings
from ..text import one_line
from .client import Datum, Session, client_of, session_of, target_of
from .faults import AnsweredError, classify, code_of
from .permission import put_metric_data_statement
from .sink import SinkFinding

__all__ = ["CHECK_METRIC", "check_cloudwatch", "judge_clock"]

CHECK_METRIC = "MonitorCheck"  # the one datum that a check leaves behind

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
_SOURCES = {  # botocore's name for where credentials were found: ours
    "assume-role": "an assumed role of the AWS configuration file",
    "assume-role-with-web-identity": "a web identity (IRSA)",
    "config-file": "the AWS configuration file",
    "container-role": "the container's role (ECS, EKS)",
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "iam-role": "the instance's role (EC2)",
    "shared-credentials-file": "the shared credentials file",
    "sso": "single sign-on",
}


def check_cloudwatch(settings: Settings, *, clock: Clock) -> Iterator[SinkFinding]:
    """Yield findings on region, credentials, permission and clock; put one datum if all is well."""
    from botocore.exceptions import BotoCoreError

    session = session_of()
    try:
        target = target_of(session, settings.region)
    except (BotoCoreError, ValueError) as error:
        message = f"the AWS configuration cannot be used: {one_line(error)}"
        yield SinkFinding("region", "failed", message)
        return
    yield SinkFinding("region", "ok", f"{target.region_name}, at {target.endpoint_url}")
    credentials = _judge_credentials(session)
    yield credentials
    if credentials.status == "failed":
        return
    permission, date = _put(session, settings, now=clock.wall())
    yield permission
    if date is not None:
        yield judge_clock(date, now=clock.wall())


def judge_clock(date: str, *, now: float) -> SinkFinding:
    """Compare the ``Date`` header of an answer with our wall clock."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        message = f"the endpoint's Date header makes no sense: {date!r}"
        return SinkFinding("clock", "skipped", message)
    skew = now - theirs
    if abs(skew) <= SKEW_WARNING_SECONDS:
        return SinkFinding("clock", "ok", f"within {max(1.0, abs(skew)):.0f} s of the endpoint's")
    direction = "ahead of" if skew > 0 else "behind"
    failed = abs(skew) > SKEW_FAILURE_SECONDS
    effect = "AWS refuses requests" if failed else "data lands in the wrong minutes"
    return SinkFinding(
        "clock",
        "failed" if failed else "warning",
        f"our clock is {abs(skew):,.0f} s {direction} the endpoint's; {effect}",
        "Synchronise this machine's clock (chrony, ntpd).",
    )


def _judge_credentials(session: Session) -> SinkFinding:
    from botocore.exceptions import BotoCoreError, ClientError

    remedy = "Give the process a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID as for any AWS tool."
    try:
        credentials = session.get_credentials()
        if credentials is None:
            return SinkFinding("credentials", "failed", "no AWS credentials are found", remedy)
        credentials.get_frozen_credentials()  # roles are fetched here
    except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:
        return SinkFinding("credentials", "failed", one_line(error), remedy)
    method = credentials.method
    return SinkFinding("credentials", "ok", f"from {_SOURCES.get(method, method)}")


def _put(session: Session, settings: Settings, *, now: float) -> tuple[SinkFinding, str | None]:
    """Put one datum; return what came of it, and the answer's ``Date`` header if one came."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    namespace = settings.namespace
    try:
        with closing(client_of(session, settings.region)) as client:
            answer = client.put_metric_data(
                Namespace=namespace, MetricData=[_datum(settings, now=now)]
            )
    except ClientError as refusal:
        answered = cast("AnsweredError", refusal)
        return _refused(answered, namespace), _date(answered.response)
    except (BotoCoreError, ResponseParserError, OSError, RuntimeError, ValueError) as error:
        sentence = one_line(classify(error, namespace=namespace).sentence)
        return SinkFinding("permission", "failed", sentence), None
    message = f"put one datum {CHECK_METRIC} into namespace {namespace!r}"
    return SinkFinding("permission", "ok", message), _date(answer)


def _date(answer: Mapping[str, Any]) -> str | None:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return None if date is None else str(date)


def _refused(error: AnsweredError, namespace: str) -> SinkFinding:
    code = code_of(error)
    if code in _NOT_PERMITTED:
        return SinkFinding(
            "permission",
            "failed",
            f"CloudWatch refuses PutMetricData in namespace {namespace!r} ({code})",
            "Add this statement to the policy of the role:\n"
            + json.dumps(put_metric_data_statement(namespace), indent=2),
        )
    if code in _BAD_KEYS:
        return SinkFinding(
            "permission",
            "failed",
            f"CloudWatch does not accept the credentials ({code})",
            "Renew or correct them.",
        )
    fault = classify(cast("Exception", error), namespace=namespace)
    throttled = code.startswith("Throttling")  # the permission is there; the moment was wrong
    return SinkFinding("permission", "warning" if throttled else "failed", one_line(fault.sentence))


def _datum(settings: Settings, *, now: float) -> Datum:
    return {
        "MetricName": CHECK_METRIC,
        "Dimensions": [{"Name": name, "Value": value} for name, value in settings.dimensions],
        "Timestamp": datetime.fromtimestamp(now, timezone.utc),
        "Value": 1.0,
        "Unit": "Count",
    }
