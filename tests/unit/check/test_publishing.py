"""Publishing: CloudWatch takes one datum, or check says what to change; a real, small endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_monitor.check import Finding, json_report
from event_monitor.check.publishing import examine_publishing
from event_monitor.settings import Settings
from event_monitor.sinks.cloudwatch_check import judge_clock
from event_monitor.testing import StrictCloudWatch

from .making import only, outcomes


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without anything of the desk's AWS configuration."""
    for variable in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def cloudwatch(aws: pytest.MonkeyPatch) -> Iterator[StrictCloudWatch]:
    with StrictCloudWatch() as cloudwatch:
        aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.endpoint_url)
        aws.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        aws.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        aws.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        yield cloudwatch


def test_one_datum_proves_the_permission(cloudwatch: StrictCloudWatch) -> None:
    """It is the only trace, under a name of its own, with the user's dimensions."""
    # When
    findings = list(examine_publishing(Settings(dimensions=(("Environment", "prod"),))))

    # Then
    assert outcomes(findings) == [
        ("region", "ok"),
        ("credentials", "ok"),
        ("permission", "ok"),
        ("clock", "ok"),
    ]
    assert findings[0].message == f"eu-west-1, at {cloudwatch.endpoint_url}"
    assert findings[1].message == "from the environment (AWS_ACCESS_KEY_ID)"
    assert [(datum.name, datum.dimensions) for datum in cloudwatch.data] == [
        ("MonitorCheck", (("Environment", "prod"),))
    ]
    assert "very-secret" not in json_report(findings)
    assert "AKIAIOSFODNN7EXAMPLE" not in json_report(findings)


def test_a_missing_permission_is_answered_with_the_statement_to_add(
    cloudwatch: StrictCloudWatch,
) -> None:
    """It can be pasted into the policy."""
    # Given
    cloudwatch.misbehave("forbid")

    # When
    (finding,) = only("permission", examine_publishing(Settings(namespace="Shop")))

    # Then
    assert finding.status == "failed"
    introduction, _, statement = finding.remedy.partition("\n")
    assert introduction == "Add this statement to the policy of the role:"
    assert json.loads(statement) == {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "Shop"}},
    }


def test_throttling_is_only_a_warning(cloudwatch: StrictCloudWatch) -> None:
    """The permission is there; the moment was wrong."""
    cloudwatch.misbehave("throttle")

    (finding,) = only("permission", examine_publishing(Settings()))

    assert finding.status == "warning"


def test_one_attempt_is_enough(cloudwatch: StrictCloudWatch) -> None:
    """A check is no storm."""
    cloudwatch.misbehave("error")

    assert ("permission", "failed") in outcomes(examine_publishing(Settings()))
    assert len(cloudwatch.requests) == 1


def test_an_endpoint_that_does_not_answer_is_reported(aws: pytest.MonkeyPatch) -> None:
    """Without a clock to compare with."""
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    aws.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    aws.setenv("AWS_ACCESS_KEY_ID", "testing")
    aws.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    assert outcomes(examine_publishing(Settings())) == [
        ("region", "ok"),
        ("credentials", "ok"),
        ("permission", "failed"),
    ]


def test_no_region_is_reported(aws: pytest.MonkeyPatch) -> None:
    """With the variable that sets it."""
    del aws

    assert list(examine_publishing(Settings())) == [
        Finding(
            "region",
            "failed",
            "no AWS region is set",
            "Set AWS_REGION, such as AWS_REGION=eu-west-1. Without AWS: --dry-run.",
        )
    ]


def test_no_credentials_are_reported(aws: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    aws.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    assert outcomes(examine_publishing(Settings())) == [("region", "ok"), ("credentials", "failed")]


@pytest.mark.parametrize(
    ("now", "status", "message"),
    [
        (1_700_000_000.0, "ok", "within 1 s of the endpoint's"),
        (1_700_000_060.0, "ok", "within 60 s of the endpoint's"),
        (
            1_700_000_090.0,
            "warning",
            "our clock is 90 s ahead of the endpoint's; data lands in the wrong minutes",
        ),
        (
            1_699_996_400.0,
            "failed",
            "our clock is 3,600 s behind the endpoint's; AWS refuses requests",
        ),
    ],
)
def test_the_clock_is_compared_with_the_endpoints(now: float, status: str, message: str) -> None:
    """A minute is a warning, fifteen are the end of signatures."""
    finding = judge_clock("Tue, 14 Nov 2023 22:13:20 GMT", now=now)

    assert (finding.status, finding.message) == (status, message)


def test_a_date_that_makes_no_sense_is_skipped() -> None:
    """Some proxy wrote it."""
    for date in ("yesterday", f"Tue, 14 Nov {'9' * 20} 22:13:20 GMT"):
        assert judge_clock(date, now=0.0).status == "skipped"
