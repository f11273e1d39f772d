"""The strict fake of CloudWatch: what it accepts, what it refuses, how it misbehaves."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Protocol
from urllib.parse import urlencode

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from event_monitor.testing import Datum, FakeClock, Fault, StrictCloudWatch

NOW = 1_700_000_000.0
SESSION = boto3.session.Session()  # reads the service's model once

Sent = dict[str, object]  # a datum as it is given to boto3, which may break a rule


class Client(Protocol):
    """What the tests need of boto3's client."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[Sent]) -> object: ...  # noqa: N803  boto3's names

    def close(self) -> None: ...


@pytest.fixture
def cloudwatch() -> Iterator[StrictCloudWatch]:
    with StrictCloudWatch(clock=FakeClock(wall=NOW)) as cloudwatch:
        yield cloudwatch


@pytest.fixture
def client(cloudwatch: StrictCloudWatch) -> Iterator[Client]:
    client: Client = SESSION.client(
        "cloudwatch",
        endpoint_url=cloudwatch.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            read_timeout=5.0,
            parameter_validation=False,  # what botocore refuses by itself would not be tested
        ),
    )
    yield client
    client.close()


def datum(**changes: object) -> Sent:
    plain: Sent = {
        "MetricName": "A",
        "Value": 1.0,
        "Timestamp": datetime.fromtimestamp(NOW, timezone.utc),
    }
    changed = {**plain, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, timezone.utc)


def test_accepted_data_are_read_back_whole(cloudwatch: StrictCloudWatch, client: Client) -> None:
    """What boto3 sends can be read back, with exact dimensions."""
    # When
    client.put_metric_data(
        Namespace="Celery",
        MetricData=[
            datum(Value=2, Unit="Count"),
            datum(
                Value=None,
                Values=[0.5, 4.0],
                Counts=[2, 3],
                Unit="Seconds",
                Dimensions=[{"Name": "TaskName", "Value": "a"}],
                StorageResolution=1,
            ),
        ],
    )

    # Then
    assert cloudwatch.data == (
        Datum("Celery", "A", (), NOW, "Count", (2.0,), (1.0,), 60),
        Datum("Celery", "A", (("TaskName", "a"),), NOW, "Seconds", (0.5, 4.0), (2.0, 3.0), 1),
    )
    assert cloudwatch.sum("A") == 2.0
    assert cloudwatch.sum("A", TaskName="a") == 13.0
    assert cloudwatch.sample_count("A", TaskName="a") == 5.0
    assert cloudwatch.sum("A", TaskName="b") == 0.0


def test_a_large_body_comes_gzipped(cloudwatch: StrictCloudWatch, client: Client) -> None:
    """botocore compresses above 10 kB; the size counted is the uncompressed one."""
    client.put_metric_data(Namespace="Celery", MetricData=[datum()] * 1_000)

    assert len(cloudwatch.data) == 1_000
    assert cloudwatch.requests == (60_039,)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("InvalidParameterValue", [datum()] * 1_001),
        ("MissingParameter", []),
        ("MissingParameter", [datum(MetricName=None)]),
        ("MissingParameter", [datum(Value=None)]),
        ("InvalidParameterValue", [datum(MetricName="a" * 256)]),
        ("InvalidParameterValue", [datum(MetricName="é")]),
        ("InvalidParameterValue", [datum(Value=math.nan)]),
        ("InvalidParameterValue", [datum(Value=math.inf)]),
        ("InvalidParameterValue", [datum(Value=-(2.0**361))]),
        ("InvalidParameterValue", [datum(Unit="Fortnights")]),
        ("InvalidParameterValue", [datum(StorageResolution=30)]),
        ("InvalidParameterValue", [datum(Timestamp=at(-14 * 86_400 - 1))]),
        ("InvalidParameterValue", [datum(Timestamp=at(2 * 3_600 + 1))]),
        ("InvalidParameterValue", [datum(Value=None, Values=list(map(float, range(151))))]),
        ("InvalidParameterValue", [datum(Value=None, Values=[1.0, 2.0], Counts=[1.0])]),
        ("InvalidParameterValue", [datum(Value=None, Values=[1.0], Counts=[-1.0])]),
        ("InvalidParameterCombination", [datum(Values=[1.0])]),
        ("InvalidParameterCombination", [datum(Counts=[1.0])]),
        (
            "InvalidParameterValue",
            [datum(Dimensions=[{"Name": f"D{n}", "Value": "x"} for n in range(31)])],
        ),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": ":D", "Value": "x"}])]),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": "D", "Value": "  "}])]),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": "D", "Value": ""}])]),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": "D", "Value": "a\nb"}])]),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": "D", "Value": "x" * 1_025}])]),
        ("InvalidParameterValue", [datum(Dimensions=[{"Name": "D" * 256, "Value": "x"}])]),
    ],
)
def test_one_bad_datum_refuses_the_whole_request(
    code: str, data: list[Sent], cloudwatch: StrictCloudWatch, client: Client
) -> None:
    """Every rule refuses the request as a whole, with the service's own code."""
    with pytest.raises(ClientError) as refused:
        client.put_metric_data(Namespace="Celery", MetricData=[*data, datum()] if data else [])

    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert cloudwatch.data == ()


@pytest.mark.parametrize("namespace", ["AWS/EC2", ":a", "", "é", "n" * 256])
def test_a_namespace_that_users_may_not_use_is_refused(namespace: str, client: Client) -> None:
    """Reserved, malformed and too long namespaces are refused."""
    with pytest.raises(ClientError) as refused:
        client.put_metric_data(Namespace=namespace, MetricData=[datum()])

    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"


@pytest.mark.parametrize(
    "datum_at_limit",
    [
        datum(Timestamp=at(-14 * 86_400)),
        datum(Timestamp=at(2 * 3_600)),
        datum(Value=2.0**360),
        datum(Value=None, Values=list(map(float, range(150)))),
        datum(Dimensions=[{"Name": "D" * 255, "Value": "x" * 1_024}]),
        datum(Dimensions=[{"Name": f"D{n}", "Value": "x"} for n in range(30)]),
    ],
)
def test_a_datum_at_a_limit_is_accepted(
    datum_at_limit: Sent, cloudwatch: StrictCloudWatch, client: Client
) -> None:
    """Every limit is inclusive."""
    client.put_metric_data(Namespace="Celery", MetricData=[datum_at_limit])

    assert len(cloudwatch.data) == 1


def test_a_body_beyond_a_megabyte_is_too_large(
    cloudwatch: StrictCloudWatch, client: Client
) -> None:
    """The limit is on the uncompressed body, however well it compresses."""
    wide = datum(Dimensions=[{"Name": f"D{n}", "Value": "x" * 1_000} for n in range(10)])

    with pytest.raises(ClientError) as refused:
        client.put_metric_data(Namespace="Celery", MetricData=[wide] * 100)

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert cloudwatch.data == ()


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        ("hang", ReadTimeoutError, 0),
        ("apply then hang", ReadTimeoutError, 1),
        ("reset", ConnectionClosedError, 0),
        ("throttle", ClientError, 0),
        ("error", ClientError, 0),
        ("apply then error", ClientError, 1),
        ("forbid", ClientError, 0),
        ("expire", ClientError, 0),
        ("too large", ClientError, 0),
    ],
)
def test_a_fault_with_a_number_ends_by_itself(
    fault: Fault,
    error: type[Exception],
    applied: int,
    cloudwatch: StrictCloudWatch,
    client: Client,
) -> None:
    """It lasts for that many requests, and boto3 raises what it raises for the real service."""
    # Given
    cloudwatch.misbehave(fault, times=1)

    # When
    with pytest.raises(error):
        client.put_metric_data(Namespace="Celery", MetricData=[datum()])
    after_fault = len(cloudwatch.data)
    client.put_metric_data(Namespace="Celery", MetricData=[datum()])

    # Then
    assert after_fault == applied
    assert len(cloudwatch.data) == applied + 1


def test_a_fault_without_a_number_lasts_until_behave(
    cloudwatch: StrictCloudWatch, client: Client
) -> None:
    """Then everything is accepted again."""
    cloudwatch.misbehave("throttle")
    for _ in range(3):
        with pytest.raises(ClientError, match="Rate exceeded"):
            client.put_metric_data(Namespace="Celery", MetricData=[datum()])

    cloudwatch.behave()
    client.put_metric_data(Namespace="Celery", MetricData=[datum()])

    assert len(cloudwatch.data) == 1


def post(cloudwatch: StrictCloudWatch, fields: dict[str, str]) -> tuple[int, str]:
    connection = http.client.HTTPConnection(cloudwatch.endpoint_url.removeprefix("http://"))
    connection.request(
        "POST", "/", urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


QUERY = {
    "Action": "PutMetricData",
    "Version": "2010-08-01",
    "Namespace": "Celery",
    "MetricData.member.1.MetricName": "A",
    "MetricData.member.1.Timestamp": "2023-11-14T22:13:20Z",
    "MetricData.member.1.Values.member.1": "0.5",
    "MetricData.member.1.Values.member.2": "4.0",
    "MetricData.member.1.Counts.member.1": "2.0",
    "MetricData.member.1.Counts.member.2": "3.0",
    "MetricData.member.1.Dimensions.member.1.Name": "TaskName",
    "MetricData.member.1.Dimensions.member.1.Value": "a",
}


def test_the_query_protocol_means_the_same(cloudwatch: StrictCloudWatch) -> None:
    """Older boto3 writes forms; they are read into the same data."""
    status, _ = post(cloudwatch, QUERY)

    assert status == 200
    assert cloudwatch.data == (
        Datum("Celery", "A", (("TaskName", "a"),), NOW, "None", (0.5, 4.0), (2.0, 3.0), 60),
    )


def test_the_query_protocol_is_refused_in_xml(cloudwatch: StrictCloudWatch) -> None:
    """A form that breaks a rule gets an XML error."""
    status, body = post(cloudwatch, {**QUERY, "MetricData.member.1.Values.member.1": "NaN"})

    assert status == 400
    assert "<Code>InvalidParameterValue</Code>" in body


def test_members_of_a_form_are_ordered_by_number(cloudwatch: StrictCloudWatch) -> None:
    """The tenth comes after the second, wherever it is written."""
    plain = {
        key: text for key, text in QUERY.items() if "Values" not in key and "Counts" not in key
    }
    numbers = (10, *range(1, 10))
    values = {f"MetricData.member.1.Values.member.{n}": str(n) for n in numbers}

    status, _ = post(cloudwatch, {**values, **plain})

    assert status == 200
    assert cloudwatch.data[0].values == tuple(map(float, range(1, 11)))


def test_statistics_in_a_form_are_refused(cloudwatch: StrictCloudWatch) -> None:
    """As in JSON: they lose percentiles, and exclude values."""
    status, body = post(cloudwatch, {**QUERY, "MetricData.member.1.StatisticValues.Sum": "1"})

    assert status == 400
    assert "<Code>InvalidParameterCombination</Code>" in body


@pytest.mark.parametrize("garbage", ["[1", "[1]", "7", "null"])
def test_garbage_is_refused(garbage: str, cloudwatch: StrictCloudWatch) -> None:
    """A body that is not a request gets an answer, as from the service."""
    connection = http.client.HTTPConnection(cloudwatch.endpoint_url.removeprefix("http://"))
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "G.PutMetricData"}
    connection.request("POST", "/", garbage, headers)
    response = connection.getresponse()

    assert response.status == 400
    assert json.loads(response.read())["__type"].endswith("#SerializationException")
    connection.close()
