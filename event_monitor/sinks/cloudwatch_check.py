"""CloudWatch check: whether it takes our data, and whether its clock and ours agree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

from ..clock import Clock
from ..exchange import Exchange
from ..redaction import shown_url
from ..settings import Settings
from ..text import one_line
from .acknowledgement import NotCloudWatchError
from .advice import advice
from .client import DEADLINE_SECONDS, Datum, Session, client_of, session_of, target_of
from .credentials import Credentials, CredentialsError, keys_checked, wait_for
from .faults import AnsweredError, classify, code_of, message_of, refusal
from .permission import put_metric_data_statement
from .sink import SinkFinding

__all__ = ["CHECK_METRIC", "check_cloudwatch", "judge_clock"]

CHECK_METRIC = "MonitorCheck"  # the one datum that a check leaves behind

SKEW_WARNING_SECONDS = 60.0
SKEW_FAILURE_SECONDS = 900.0  # AWS refuses requests that were signed this far from its own time

_SOURCES = {  # botocore's name for where credentials were found: ours
    "assume-role": "an assumed role of the AWS configuration file",
    "assume-role-with-web-identity": "a web identity (IRSA)",
    "config-file": "the AWS configuration file",
    "custom-process": "the credential_process of the AWS configuration file",
    "container-role": "the container's role (ECS, EKS)",
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "iam-role": "the instance's role (EC2)",
    "shared-credentials-file": "the shared credentials file",
    "sso": "single sign-on",
}


def check_cloudwatch(settings: Settings, *, clock: Clock) -> Iterator[SinkFinding]:
    """Yield findings on region, credentials, permission and clock; put one datum if all is well."""
    from botocore.exceptions import BotoCoreError

    try:
        session = session_of()
        target = target_of(session, settings.region)
    except (BotoCoreError, OSError, ValueError) as error:
        message = f"the AWS configuration cannot be used: {one_line(error)}"
        yield SinkFinding("region", "failed", message)
        return
    yield SinkFinding("region", "ok", f"{target.region_name}, at {shown_url(target.endpoint_url)}")
    try:
        credentials: Credentials = wait_for(lambda: keys_checked(session.get_credentials()))
    except CredentialsError as error:
        yield SinkFinding("credentials", "failed", str(error))
        return
    source = _SOURCES.get(credentials.method, credentials.method)
    yield SinkFinding("credentials", "ok", f"from {source}")
    finding, date = _put(session, settings, now=clock.wall(), endpoint=target.endpoint_url)
    yield finding
    if date is not None:
        yield judge_clock(date, now=clock.wall())


def judge_clock(date: str, *, now: float) -> SinkFinding:
    """Compare the ``Date`` header of an answer with our wall clock."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
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


def _put(
    session: Session, settings: Settings, *, now: float, endpoint: str
) -> tuple[SinkFinding, str | None]:
    """Put one datum; return what came of it, and the answer's ``Date`` header if one came."""
    from botocore.exceptions import ClientError

    namespace = settings.namespace
    exchange = Exchange(DEADLINE_SECONDS)
    try:
        with closing(client_of(session, settings.region)) as client:
            answer = exchange.run(
                lambda: client.put_metric_data(
                    Namespace=namespace, MetricData=[_datum(settings, now=now)]
                )
            )
    except ClientError as refused:
        answered = cast("AnsweredError", refused)
        return _refused(answered, namespace), _date(answered.response)
    except NotCloudWatchError as error:
        return SinkFinding("endpoint", "failed", one_line(error)), None
    except Exception as error:  # noqa: BLE001  botocore reads what anybody may have answered
        fault = classify(error, namespace=namespace, endpoint=endpoint, begun=exchange.begun)
        return SinkFinding("permission", "failed", one_line(fault.sentence)), None
    message = f"put one datum {CHECK_METRIC} into namespace {namespace!r}"
    return SinkFinding("permission", "ok", message), _date(answer)


def _date(answer: Mapping[str, Any]) -> str | None:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return None if date is None else str(date)


def _refused(error: AnsweredError, namespace: str) -> SinkFinding:
    code = code_of(error)
    known = advice(code, message_of(error), namespace=namespace)
    if known is not None:
        remedy = known.sentence
        if known.cause == "permission":
            statement = json.dumps(put_metric_data_statement(namespace), indent=2)
            remedy = f"Add this statement to the policy of the role:\n{statement}"
        return SinkFinding("permission", "failed", refusal(error), remedy)
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
