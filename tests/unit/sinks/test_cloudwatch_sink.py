"""The CloudWatch sink: pure encoding by whole values, effects against the strict endpoint."""

from __future__ import annotations

import json
import logging
import math
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from event_monitor.distribution import Distribution
from event_monitor.errors import UnavailableError
from event_monitor.exchange import LateError
from event_monitor.metrics import Metric
from event_monitor.settings import Settings
from event_monitor.sinks import Outcome, Sink
from event_monitor.sinks.acknowledgement import NotCloudWatchError
from event_monitor.sinks.cloudwatch import CloudWatchSink, encode, requests_of
from event_monitor.sinks.cloudwatch_limits import invalid
from event_monitor.sinks.faults import classify
from event_monitor.testing import FakeClock, StrictCloudWatch

from ...contracts.sink import NOW, SinkContract, Taken, count
from .conftest import MakeSink


class TestCloudWatchContract(SinkContract):
    @pytest.fixture
    def sink(self, make_sink: MakeSink) -> Sink:
        return make_sink()

    @pytest.fixture
    def broken_sink(self, make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch) -> Sink:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
        return make_sink()

    @pytest.fixture
    def taken(self, cloudwatch: StrictCloudWatch) -> Taken:
        return lambda: [(datum.name, datum.timestamp) for datum in cloudwatch.data]


# -- encoding ------------------------------------------------------------------------------------


def test_a_number_becomes_a_datum() -> None:
    """Without dimensions there is no such key; the time is aware UTC."""
    assert encode([count("TasksSent", 3)]) == [
        {
            "MetricName": "TasksSent",
            "Timestamp": datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc),
            "Value": 3,
            "Unit": "Count",
        }
    ]


def test_a_distribution_becomes_values_and_counts() -> None:
    """Values with Counts keep percentiles."""
    runtime = Metric(
        "TaskRuntime",
        "Seconds",
        NOW + 0.5,
        Distribution((0.5, 2.0), (3, 1)),
        (("Environment", "prod"), ("TaskName", "proj.add")),
    )

    assert encode([runtime], high_resolution=True) == [
        {
            "MetricName": "TaskRuntime",
            "Dimensions": [
                {"Name": "Environment", "Value": "prod"},
                {"Name": "TaskName", "Value": "proj.add"},
            ],
            "Timestamp": datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=timezone.utc),
            "Values": [0.5, 2.0],
            "Counts": [3, 1],
            "Unit": "Seconds",
            "StorageResolution": 1,
        }
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("proj.add[1] ~ C:\\x", "proj.add[1] ~ C:\\x"),
        ("café", "caf\\xe9"),
        ("任务", "\\u4efb\\u52a1"),
        ("a\tb\x00c\x7f", "a\\tb\\x00c\\x7f"),
        ("é\\n", "\\xe9\\\\n"),
        ("\udc80", "\\udc80"),
        ("", "unknown"),
        ("   ", "unknown"),
        ("x" * 1_024, "x" * 1_024),
        ("x" * 1_025, "x" * 1_011 + "~c6d8e9905300"),
    ],
)
def test_a_dimension_value_is_made_allowable(name: str, expected: str) -> None:
    """Printable ASCII is left alone, the rest escaped readably, the too long cut."""
    (datum,) = encode([count(TaskName=name)])

    assert datum["Dimensions"] == [{"Name": "TaskName", "Value": expected}]


NO_TIME = "the timestamp is not one of the years 1970 to 9999"


def test_different_long_names_stay_different() -> None:
    """Names that differ only beyond the cut do not become one series."""
    first, second = encode([count(TaskName="x" * 2_000 + end) for end in "ab"])

    assert first["Dimensions"] != second["Dimensions"]
    assert len(first["Dimensions"][0]["Value"]) == 1_024


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (count(), None),
        (count(value=2.0**360), None),
        (count(value=math.nan), "a value is not a finite number"),
        (count(value=-math.inf), "a value is not a finite number"),
        (count(value=2.0**361), "a value is beyond 2^360"),
        (
            Metric("A", "Seconds", NOW, Distribution((1.0, math.inf), (1, 1))),
            "a value is not a finite number",
        ),
        (Metric("A", "Seconds", NOW, Distribution()), "0 values; 1 to 150 are allowed"),
        (Metric("A", "Count", NOW - 15 * 86_400, 1), None),
        (Metric("A", "Count", NOW + 20 * 86_400, 1), None),
        (Metric("A", "Count", math.nan, 1), NO_TIME),
        (Metric("A", "Count", -1, 1), NO_TIME),
        (Metric("A", "Count", 1e12, 1), NO_TIME),
        (
            Metric("A", "Count", NOW, 1, tuple((f"D{n}", "x") for n in range(31))),
            "more than 30 dimensions",
        ),
    ],
)
def test_what_cloudwatch_would_refuse_is_known_before(metric: Metric, reason: str | None) -> None:
    """One bad datum would cost its whole request; a time is left to CloudWatch's clock."""
    assert invalid(metric) == reason


def test_a_request_holds_at_most_a_thousand_data() -> None:
    """The rest goes into another request, in order."""
    metrics = [count(value=n) for n in range(2_001)]

    requests = list(requests_of(zip(metrics, encode(metrics), strict=True)))

    assert [len(request) for request in requests] == [1_000, 1_000, 1]
    assert [metric for request in requests for metric, _ in request] == metrics


# -- sending -------------------------------------------------------------------------------------


def test_what_is_sent_arrives_once(sink: CloudWatchSink, cloudwatch: StrictCloudWatch) -> None:
    """Every metric of a large send is counted exactly once."""
    metrics = tuple(count(value=1, TaskName=f"t{n % 7}") for n in range(2_500))

    assert sink.send(metrics) == Outcome()
    assert len(cloudwatch.requests) == 3
    assert sum(cloudwatch.sum("TasksSent", TaskName=f"t{n}") for n in range(7)) == 2_500


def test_requests_stay_below_the_size_limit(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """Full distributions with long names are cut by size; the strict endpoint refuses none."""
    wide = Distribution(tuple(n + 1 / 3 for n in range(150)), (1_000_000,) * 150)
    metrics = tuple(
        Metric("TaskRuntime", "Seconds", NOW, wide, (("TaskName", "x" * 1_000),))
        for _ in range(500)
    )

    assert sink.send(metrics) == Outcome()
    assert len(cloudwatch.data) == 500
    assert all(850_000 < size <= 901_000 for size in cloudwatch.requests[:-1])


def test_invalid_data_are_dropped_and_the_rest_is_sent(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """NaN never leaves the process; it is counted, and said once."""
    metrics = (count(value=math.nan), count(value=2.0), count(value=math.nan))

    outcomes = [sink.send(metrics), sink.send(metrics)]

    assert outcomes == [Outcome(dropped=2), Outcome(dropped=2)]
    assert cloudwatch.sum("TasksSent") == 4.0
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "dropped 2 of TasksSent, which CloudWatch refuses: a value is not a finite number"
    ]


def test_a_datum_only_the_service_refuses_is_found_by_halving(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """One bad datum among a thousand costs that datum, not the thousand."""
    # Given
    metrics = [count(value=1) for _ in range(1_000)]
    metrics[617] = Metric("TasksSent", "Fortnights", NOW, 1)

    # When
    outcome = sink.send(tuple(metrics))

    # Then
    assert outcome == Outcome(dropped=1)
    assert cloudwatch.sum("TasksSent") == 999
    assert len(cloudwatch.requests) < 25


def test_a_datum_botocore_itself_refuses_is_found_by_halving(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """A refusal before the wire is one like any other."""
    outcome = sink.send((count(), count(""), count()))

    assert outcome == Outcome(dropped=1)
    assert cloudwatch.sum("TasksSent") == 2


def test_a_request_too_large_is_halved(sink: CloudWatchSink, cloudwatch: StrictCloudWatch) -> None:
    """413 splits; nothing is lost and nothing counted twice."""
    cloudwatch.misbehave("too large", times=2)

    assert sink.send(tuple(count(value=1) for _ in range(8))) == Outcome()
    assert cloudwatch.sum("TasksSent") == 8
    assert len(cloudwatch.requests) == 5


def test_after_a_failure_only_the_unsent_rest_is_kept(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """Requests acknowledged before the failure are not sent again."""
    # Given
    metrics = tuple(count(value=n) for n in range(2_500))
    cloudwatch.misbehave("throttle", times=1, after=1)

    # When
    first = sink.send(metrics)
    second = sink.send(first.unsent)

    # Then
    assert first == Outcome(
        unsent=metrics[1_000:],
        failures=1,
        error="CloudWatch answered 400 Throttling: Rate exceeded",
    )
    assert second == Outcome()
    assert cloudwatch.sum("TasksSent") == sum(range(2_500))


@pytest.mark.parametrize("fault", ["hang", "reset", "error", "apply then hang", "apply then cut"])
@pytest.mark.parametrize("policy", ["retry", "drop"])
def test_an_ambiguous_send_follows_the_setting(
    fault: Any, policy: str, make_sink: MakeSink, cloudwatch: StrictCloudWatch
) -> None:
    """`retry` keeps what may have been applied; `drop` counts it as lost, and keeps the rest."""
    # Given
    sink = make_sink(on_ambiguous_send=policy, read_seconds=1.0 if "hang" in fault else 30.0)
    metrics = tuple(count(value=n) for n in range(1_500))
    cloudwatch.misbehave(fault, times=1)

    # When
    outcome = sink.send(metrics)

    # Then
    assert (outcome.failures, outcome.ambiguous) == (1, 1)
    assert outcome.unsent == (metrics if policy == "retry" else metrics[1_000:])
    assert outcome.dropped == (0 if policy == "retry" else 1_000)
    assert outcome.error
    assert cloudwatch.wait_for_requests(1)  # on a slow machine it may still be on its way
    assert len(cloudwatch.requests) == 1  # botocore did not retry by itself


@pytest.mark.parametrize("fault", ["throttle", "forbid", "expire", "page"])
def test_a_refused_request_is_not_ambiguous(
    fault: Any, make_sink: MakeSink, cloudwatch: StrictCloudWatch
) -> None:
    """What was certainly not applied is kept, whatever the setting."""
    sink = make_sink(on_ambiguous_send="drop")
    cloudwatch.misbehave(fault)

    outcome = sink.send((count(),))

    assert (outcome.unsent, outcome.ambiguous, outcome.dropped) == ((count(),), 0, 0)


def test_a_lack_of_permission_says_which(make_sink: MakeSink, cloudwatch: StrictCloudWatch) -> None:
    """The log's sentence is what to put into the policy."""
    sink = make_sink(namespace="Shop/Celery")
    cloudwatch.misbehave("forbid")

    assert sink.send((count(),)).error == (
        "AWS refused PutMetricData (AccessDenied): User is not authorized: "
        "cloudwatch:PutMetricData. Allow cloudwatch:PutMetricData on namespace 'Shop/Celery' to "
        "the role it runs as."
    )


@pytest.mark.parametrize("fault", ["trickle", "endless"])
@pytest.mark.parametrize("policy", ["retry", "drop"])
def test_an_answer_without_end_is_ambiguous_and_the_next_request_arrives(
    fault: Any, policy: str, make_sink: MakeSink, cloudwatch: StrictCloudWatch
) -> None:
    """One request has a deadline of the whole, and its answer a bound; the next is a new one."""
    # Given
    sink = make_sink(on_ambiguous_send=policy, deadline_seconds=3.0 if fault == "trickle" else 30.0)
    cloudwatch.misbehave(fault, times=1)

    # When
    outcome = sink.send((count(value=1),))
    again = sink.send((count(value=2),))

    # Then
    assert (outcome.failures, outcome.ambiguous) == (1, 1)
    assert outcome.unsent == ((count(value=1),) if policy == "retry" else ())
    assert outcome.error is not None
    assert outcome.error.startswith(
        f"CloudWatch cannot be reached: {cloudwatch.endpoint_url}: "
        + ("no end within 3 s" if fault == "trickle" else "the answer is longer than 16,000,000")
    )
    assert again == Outcome()
    assert cloudwatch.sum("TasksSent") == 2


def test_a_page_of_somebody_else_takes_nothing(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """A proxy's 200 is a failure that names the endpoint; everything is kept, and arrives later."""
    cloudwatch.misbehave("page", times=1)

    outcome = sink.send((count(),))

    assert outcome == Outcome(
        unsent=(count(),),
        failures=1,
        error=f"{cloudwatch.endpoint_url} answers with status 200, but not as AWS does: "
        "there is no x-amzn-RequestId (text/html: '<html>Sign in.</html>'); is the endpoint's URL "
        "right, and no proxy in between.",
    )
    assert sink.send(outcome.unsent) == Outcome()


# -- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [20, -20])
def test_a_stepped_clock_drops_nothing(
    days: int, make_sink: MakeSink, clock: FakeClock, cloudwatch: StrictCloudWatch
) -> None:
    """By our clock it is too old, or from the future; the endpoint's clock knows better."""
    sink = make_sink(own_clock=FakeClock(wall=clock.wall() + days * 86_400))

    assert sink.send((count(), count("TasksSucceeded"))) == Outcome()
    assert [datum.name for datum in cloudwatch.data] == ["TasksSent", "TasksSucceeded"]


def test_what_both_clocks_find_too_old_costs_one_request(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """A whole window is dropped, and counted, at once; what is in time is not touched."""
    old = tuple(Metric(f"A{n}", "Count", NOW - 15 * 86_400, 1) for n in range(500))

    assert sink.send((*old, count())) == Outcome(dropped=500)
    assert [datum.name for datum in cloudwatch.data] == ["TasksSent"]
    assert len(cloudwatch.requests) == 2


def test_what_was_counted_by_a_clock_ahead_is_dated_anew(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """Both clocks find it in the future: the counts are right, and go into the present minute."""
    ahead = tuple(Metric(f"A{n}", "Count", NOW + 20 * 86_400, 1) for n in range(500))

    assert sink.send((*ahead, count())) == Outcome()
    assert {datum.timestamp for datum in cloudwatch.data} == {NOW}
    assert len(cloudwatch.data) == 501
    assert len(cloudwatch.requests) == 3


@pytest.mark.parametrize("days", [20, -20])
def test_what_was_just_counted_by_a_wrong_clock_is_dated_by_its_age(
    days: int, sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """However old both clocks find it: this process knows when it counted that."""
    wrong = NOW + days * 86_400
    sink.age_of = lambda timestamp: {wrong: 90.0}.get(timestamp)
    metrics = tuple(Metric(f"A{n}", "Count", wrong, 1) for n in range(500))

    assert sink.send((*metrics, count())) == Outcome()
    assert {datum.timestamp for datum in cloudwatch.data} == {NOW - 90, NOW}
    assert len(cloudwatch.data) == 501


def test_what_waited_for_two_weeks_is_dropped(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """By the clock that counts seconds, too, it is too old."""
    sink.age_of = lambda _timestamp: 15 * 86_400.0

    assert sink.send((Metric("A", "Count", NOW - 15 * 86_400, 1), count())) == Outcome(dropped=1)
    assert [datum.name for datum in cloudwatch.data] == ["TasksSent"]


@pytest.mark.parametrize("days", [20, -20])
def test_while_the_clock_is_wrong_all_is_kept(
    days: int, make_sink: MakeSink, clock: FakeClock, cloudwatch: StrictCloudWatch
) -> None:
    """What is in time by our clock, and not by CloudWatch's, waits until the clock is set right."""
    wrong = FakeClock(wall=clock.wall() + days * 86_400)
    metrics = tuple(Metric(f"A{n}", "Count", wrong.wall(), 1) for n in range(500))

    outcome = make_sink(own_clock=wrong).send(metrics)

    assert (outcome.unsent, outcome.dropped, outcome.ambiguous) == (metrics, 0, 0)
    assert "Timestamp" in (outcome.error or "")
    assert len(cloudwatch.requests) == 1


def test_among_times_that_are_doubtful_each_is_judged(
    make_sink: MakeSink, clock: FakeClock, cloudwatch: StrictCloudWatch
) -> None:
    """After a step, some of what looks too old is so; the rest arrives."""
    sink = make_sink(own_clock=FakeClock(wall=clock.wall() + 20 * 86_400))
    old = tuple(Metric("A", "Count", NOW - 15 * 86_400 - n, 1) for n in range(3))

    assert sink.send((*old, count())) == Outcome(dropped=3)
    assert [datum.name for datum in cloudwatch.data] == ["TasksSent"]


def test_credentials_are_not_logged(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the key nor the secret is in our log or in an error."""
    caplog.set_level(logging.DEBUG, logger="event_monitor")
    cloudwatch.misbehave("forbid", times=1)
    cloudwatch.misbehave("error", times=1)

    errors = [sink.send((count(value=math.nan), count())).error or "" for _ in range(2)]

    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith("event_monitor")
    ]
    assert not any("AKIA" in text or "secret" in text for text in errors + ours)


@pytest.mark.usefixtures("cloudwatch")
def test_no_region_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region nothing could ever be sent; one sentence says what to do."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(UnavailableError, match=r"no AWS region .* set AWS_REGION"):
        CloudWatchSink(Settings())


@pytest.mark.usefixtures("cloudwatch")
def test_a_profile_that_is_not_there_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other faults of the AWS configuration end the start the same way."""
    monkeypatch.setenv("AWS_PROFILE", "nowhere")

    with pytest.raises(UnavailableError, match=r"cannot be used: .*nowhere.*found\. Correct it"):
        CloudWatchSink(Settings())


@pytest.mark.parametrize("proxy", ["http://[::1", "two words", "http://proxy:99999", "//"])
def test_a_proxy_that_is_none_is_not_ambiguous(
    proxy: str, make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has left then, so nothing is dropped for it."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")

    outcome = make_sink(on_ambiguous_send="drop").send((count(),))

    assert outcome.unsent == (count(),)
    assert (outcome.dropped, outcome.ambiguous) == (0, 0)


def test_a_dead_endpoint_is_not_ambiguous(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection has applied nothing."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    sink = make_sink(on_ambiguous_send="drop")

    outcome = sink.send((count(),))

    assert outcome == Outcome(
        unsent=(count(),),
        failures=1,
        error='CloudWatch cannot be reached: Could not connect to the endpoint URL: "'
        'http://127.0.0.1:1/"',
    )


# -- classifying ---------------------------------------------------------------------------------


def answer(
    status: int,
    code: str,
    message: str = "",
    operation: str = "PutMetricData",
    *,
    from_aws: bool = True,
) -> Any:
    metadata = {"HTTPStatusCode": status, **({"RequestId": "1-2-3"} if from_aws else {})}
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return boto.ClientError(response, operation)


URL = "http://x"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boto.EndpointConnectionError(endpoint_url=URL), "later"),
        (boto.ConnectTimeoutError(endpoint_url=URL), "later"),
        (boto.SSLError(endpoint_url=URL, error="x"), "later"),
        (boto.ProxyConnectionError(proxy_url=URL), "later"),
        (boto.NoCredentialsError(), "later"),
        (boto.TokenRetrievalError(provider="sso", error_msg="x"), "later"),
        (boto.ReadTimeoutError(endpoint_url=URL), "ambiguous"),
        (boto.ConnectionClosedError(endpoint_url=URL), "ambiguous"),
        (boto.HTTPClientError(error="x"), "ambiguous"),
        (ResponseParserError("x"), "later"),
        (NotCloudWatchError("x"), "later"),
        (LateError("x"), "ambiguous"),
        (AttributeError("x"), "ambiguous"),
        (
            boto.ParamValidationError(report="Invalid length for MetricData[0].MetricName"),
            "invalid",
        ),
        (boto.ParamValidationError(report="Invalid length for WebIdentityToken"), "later"),
        (json.JSONDecodeError("x", "y", 0), "later"),
        (answer(400, "ValidationError", from_aws=False), "later"),
        (answer(413, "413", from_aws=False), "too large"),
        (answer(400, "Throttling"), "later"),
        (answer(400, "ThrottlingException"), "later"),
        (answer(403, "ExpiredToken"), "later"),
        (answer(500, "InternalServiceError"), "ambiguous"),
        (answer(503, "ServiceUnavailable"), "ambiguous"),
        (answer(413, "413"), "too large"),
        (answer(400, "InvalidParameterValue"), "invalid"),
        (answer(400, "InvalidParameterValueException"), "invalid"),
        (answer(400, "InvalidParameterCombination"), "invalid"),
        (answer(400, "MissingParameter"), "invalid"),
        (answer(400, "MissingRequiredParameterException"), "invalid"),
        (answer(400, "InvalidParameterValue", "The parameter Namespace is bad"), "later"),
        (answer(400, "ValidationError", operation="AssumeRole"), "later"),
        (answer(500, "InternalFailure", operation="AssumeRole"), "later"),
        (answer(302, "302"), "later"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    """Sent again, split, dropped, or in doubt: each error has its place."""
    assert classify(error, namespace="Celery").kind == kind


@pytest.mark.parametrize(
    "error", [boto.ReadTimeoutError(endpoint_url=URL), boto.HTTPClientError(error="x"), LateError()]
)
def test_what_did_not_begin_to_leave_is_not_ambiguous(error: Exception) -> None:
    """Looking up the name, connecting, or TLS took too long: nothing was applied."""
    assert classify(error, namespace="Celery", begun=False).kind == "later"


def test_what_somebody_else_finds_too_large_is_not_blamed_on_cloudwatch() -> None:
    """A proxy's own bound is no reason to lose data."""
    fault = classify(answer(413, "413", from_aws=False), namespace="Celery", endpoint=URL)
    assert (fault.kind, fault.from_aws) == ("too large", False)
    assert fault.sentence == f"{URL} refused a request as too large (413)."


def test_the_log_says_where_the_metrics_are(
    sink: CloudWatchSink, cloudwatch: StrictCloudWatch
) -> None:
    """With the endpoint, if that is not AWS's own."""
    sink.send((count(),))
    assert sink.destination == f"Celery in eu-west-1 ({cloudwatch.endpoint_url})"
