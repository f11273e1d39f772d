"""Check: findings are values; judging is pure; broker and CloudWatch are a real, small one each."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from event_monitor.check import Finding, check, json_report, paragraph, passed, summary
from event_monitor.check.broker import examine_broker, judge_transport
from event_monitor.check.listener import Heard
from event_monitor.check.publishing import examine_publishing
from event_monitor.check.workers import WorkerEvidence, evidence_of, judge_workers
from event_monitor.events import Event, TaskEvent, WorkerEvent
from event_monitor.settings import Settings
from event_monitor.sinks.cloudwatch_check import judge_clock
from event_monitor.testing import StrictCloudWatch

CONSOLE = Settings(sink="console")


def found(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(one.name, one.status) for one in findings]


def only(name: str, findings: Iterator[Finding]) -> list[Finding]:
    return [one for one in findings if one.name == name]


# -- broker --------------------------------------------------------------------------------------


def app_with(broker: str, **conf: Any) -> Celery:
    app = Celery("proj", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


def test_an_event_of_our_own_comes_back_through_the_broker() -> None:
    """Subscribing, publishing and decoding are proven at once."""
    # Given: a broker inside this process
    app = app_with("memory://check-echo/")

    # When
    findings = list(check(app, CONSOLE, listen_seconds=0))

    # Then
    assert [(one.name, one.status) for one in findings] == [
        ("transport", "warning"),  # nobody else can reach it
        ("broker", "ok"),
        ("event format", "ok"),
        ("events", "ok"),
        ("workers", "warning"),
        ("cloudwatch", "skipped"),
    ]
    assert "memory:// lives inside one process" in findings[0].message
    assert findings[-1] == Finding("cloudwatch", "skipped", "metrics go to the console")


def test_a_broker_that_is_down_is_told_without_its_password() -> None:
    """The address is shown, the reason, and what to look at."""
    # Given: a port nobody listens on
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    app = app_with(f"redis://user:very-secret@127.0.0.1:{port}/0")

    # When
    findings = list(examine_broker(app, CONSOLE, listen_seconds=0))

    # Then
    assert [(one.name, one.status) for one in findings] == [
        ("transport", "ok"),
        ("broker", "failed"),
        ("events", "skipped"),
    ]
    assert findings[1].message.startswith(
        f"redis://user:**@127.0.0.1:{port}/0 cannot be used: Error 111"
    )
    assert "very-secret" not in json_report(findings)


def test_a_password_that_is_not_there_is_not_masked() -> None:
    """`:**@` would make one look for a password."""
    findings = list(examine_broker(app_with("redis://127.0.0.1:1/0"), CONSOLE, listen_seconds=0))

    assert findings[1].message.startswith("redis://127.0.0.1:1/0 cannot be used: ")


def test_a_transport_without_events_is_told_plainly() -> None:
    """On SQS there is nothing to count, and nothing is tried."""
    findings = list(examine_broker(app_with("sqs://"), CONSOLE, listen_seconds=0))

    assert findings == [
        Finding(
            "transport",
            "failed",
            "sqs carries no Celery events, so nothing can be counted",
            "Celery's monitoring needs Redis or RabbitMQ as the broker.",
        ),
        Finding("workers", "skipped", "without events there is nothing to hear of them"),
    ]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("redis://localhost/0", "ok"),
        ("rediss://localhost/0", "ok"),
        ("sentinel://localhost:26379/0", "ok"),
        ("amqp://localhost//", "ok"),
        ("amqps://localhost//", "ok"),
        ("filesystem://", "warning"),
    ],
)
def test_transports_are_known_without_connecting(url: str, status: str) -> None:
    """Redis and RabbitMQ are fine; others may work."""
    assert judge_transport(app_with(url)).status == status


def test_pickled_events_are_a_failure() -> None:
    """The monitor never unpickles."""
    app = app_with("memory://check-format/", event_serializer="pickle")

    findings = list(examine_broker(app, CONSOLE, listen_seconds=0))

    assert ("event format", "failed") in [(one.name, one.status) for one in findings]
    assert ("events", "failed") in [(one.name, one.status) for one in findings]


# -- workers -------------------------------------------------------------------------------------


def beat(at: float, processed: int | None, *, hostname: str = "celery@a") -> Heard:
    event = WorkerEvent(
        type="worker-heartbeat", hostname=hostname, timestamp=at, processed=processed
    )
    return Heard(event, at)


def heard(event: Event, at: float = 0.0) -> Heard:
    return Heard(event, at)


def test_evidence_joins_replies_heartbeats_and_task_events() -> None:
    """One record for each worker that answered or was heard, by hostname."""
    # Given
    replies = {
        "celery@b": {
            "worker_send_task_events": True,
            "task_send_sent_event": True,
            "event_serializer": "pickle",
        },
        "celery@a": {"error": "no conf for you"},
    }
    started = TaskEvent(type="task-started", hostname="celery@c", timestamp=10.0, uuid="1")
    sent = TaskEvent(type="task-sent", hostname="gen1@web", timestamp=10.0, uuid="1", name="t")
    events = [
        beat(10.0, 7),
        beat(12.0, 9),
        beat(19.0, 30),  # its task events may still be on their way
        heard(started, 10.0),
        heard(started, 10.0),
        heard(sent, 10.0),  # a producer is no worker
    ]

    # When
    evidence = evidence_of(replies, events, until=15.0)

    # Then
    assert evidence == (
        WorkerEvidence(hostname="celery@a", answers=True, heartbeats=2, ran=2, skew_seconds=0.0),
        WorkerEvidence(
            hostname="celery@b",
            answers=True,
            configured=True,
            sends_sent=True,
            serializer="pickle",
        ),
        WorkerEvidence(hostname="celery@c", task_events=2),
    )


def test_an_answer_to_the_heartbeat_broadcast_is_no_heartbeat() -> None:
    """It carries no counts, and comes from workers that send no heartbeats of their own, too."""
    (evidence,) = evidence_of({}, [beat(10.0, None), beat(12.0, 5)], until=15.0)

    assert (evidence.heartbeats, evidence.ran) == (1, None)


def test_the_freshest_event_tells_the_skew() -> None:
    """A late event says nothing about a clock."""
    late = Heard(beat(10.0, 1).event, 40.0)
    fresh = Heard(beat(38.0, 1).event, 40.0)

    (evidence,) = evidence_of({}, [late, fresh], until=50.0)

    assert evidence.skew_seconds == 2.0


def judged(*workers: WorkerEvidence, woken: frozenset[str] | None = None) -> list[Finding]:
    return list(judge_workers(workers, woken=woken, listened_seconds=5.0))


def worker(hostname: str = "celery@a", **seen: Any) -> WorkerEvidence:
    usual = {"answers": True, "heartbeats": 3, "sends_sent": True, "skew_seconds": 0.0}
    return WorkerEvidence(hostname=hostname, **{**usual, **seen})


def test_a_worker_that_runs_tasks_without_an_event_is_a_failure() -> None:
    """The commonest mistake is told loudly, with the ways out of it."""
    (finding,) = only("task events", iter(judged(worker(ran=12))))

    assert finding.status == "failed"
    assert finding.message == (
        "NOT SENT by celery@a: celery@a ran 12 tasks in 5 s and not one event came; "
        "they will not be counted"
    )
    for way in ("worker -E", "worker_send_task_events = True", "run --enable-events"):
        assert way in finding.remedy


def test_an_idle_worker_is_unknown_not_guilty() -> None:
    """Celery does not say whether -E was given."""
    (finding,) = only("task events", iter(judged(worker(ran=0))))

    assert finding.status == "warning"
    assert "check --enable-events" in finding.remedy


@pytest.mark.parametrize("seen", [{"task_events": 1}, {"configured": True}])
def test_task_events_or_the_configuration_are_proof(seen: dict[str, Any]) -> None:
    """Either is enough."""
    assert only("task events", iter(judged(worker(**seen)))) == [
        Finding("task events", "ok", "sent by celery@a")
    ]


def test_workers_are_judged_one_by_one() -> None:
    """One good worker does not hide a bad one."""
    findings = judged(
        worker("celery@a", task_events=5),
        worker("celery@b", ran=5),
        worker("celery@c", ran=0),
    )

    assert [one.status for one in findings if one.name == "task events"] == [
        "ok",
        "failed",
        "warning",
    ]


def test_turning_events_on_tells_which_were_off() -> None:
    """A worker that did not answer is judged by what was heard."""
    findings = judged(
        worker("celery@a"),
        worker("celery@b"),
        worker("celery@c", answers=False, ran=3),
        woken=frozenset({"celery@a"}),
    )

    told = [(one.status, one.message) for one in findings if one.name == "task events"]
    assert told[:2] == [
        ("ok", "turned on just now, until a restart, in celery@a"),
        ("ok", "on already in celery@b"),
    ]
    assert [status for status, _ in told] == ["ok", "ok", "failed"]


def test_a_worker_without_heartbeats_is_a_warning() -> None:
    """It would be taken for lost."""
    (finding,) = only("heartbeats", iter(judged(worker(), worker("celery@b", heartbeats=0))))

    assert finding.status == "warning"
    assert "celery@b" in finding.message


def test_a_worker_whose_clock_is_off_is_a_warning() -> None:
    """Queue times would be nonsense; liveness would not."""
    (finding,) = only("worker clocks", iter(judged(worker(skew_seconds=-120.0))))

    assert finding.status == "warning"
    assert "celery@a -120 s" in finding.message


def test_producers_that_do_not_send_task_sent_are_a_note() -> None:
    """TaskQueueTime then begins at receipt."""
    assert [
        one.status for one in judged(worker(sends_sent=False)) if one.name == "queue times"
    ] == ["note"]
    assert only("queue times", iter(judged(worker()))) == []


def test_workers_that_pickle_their_events_are_a_failure() -> None:
    """Their events would be refused."""
    (finding,) = only("event format", iter(judged(worker(serializer="pickle"))))

    assert finding.status == "failed"


def test_many_workers_are_not_all_named() -> None:
    """The line stays a line."""
    (finding,) = only("workers", iter(judged(*(worker(f"w{number}") for number in range(12)))))

    assert finding.message == "12 answer: w0, w1, w2, w3, w4 and 7 more"


# -- CloudWatch ----------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
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
    assert [(one.name, one.status) for one in findings] == [
        ("region", "ok"),
        ("credentials", "ok"),
        ("permission", "ok"),
        ("clock", "ok"),
    ]
    assert findings[0].message == f"eu-west-1, at {cloudwatch.endpoint_url}"
    assert findings[1].message == "from the environment (AWS_ACCESS_KEY_ID)"
    assert [(one.name, one.dimensions) for one in cloudwatch.data] == [
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

    assert ("permission", "failed") in found(examine_publishing(Settings()))
    assert len(cloudwatch.requests) == 1


def test_an_endpoint_that_is_not_there_is_told(aws: pytest.MonkeyPatch) -> None:
    """Without a clock to compare with."""
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    aws.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    aws.setenv("AWS_ACCESS_KEY_ID", "testing")
    aws.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    assert found(examine_publishing(Settings())) == [
        ("region", "ok"),
        ("credentials", "ok"),
        ("permission", "failed"),
    ]


def test_no_region_is_told(aws: pytest.MonkeyPatch) -> None:
    """With the variable that sets it."""
    del aws

    assert list(examine_publishing(Settings())) == [
        Finding(
            "region",
            "failed",
            "no AWS region is set",
            "Set AWS_REGION, such as AWS_REGION=eu-west-1.",
        )
    ]


def test_no_credentials_are_told(aws: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    aws.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    assert found(examine_publishing(Settings())) == [("region", "ok"), ("credentials", "failed")]


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
    assert judge_clock("yesterday", now=0.0).status == "skipped"


# -- report --------------------------------------------------------------------------------------


def test_a_finding_is_a_paragraph() -> None:
    """Status, name, message; below it what to do, as it is to be typed."""
    finding = Finding("broker", "failed", "it is down " * 6, "Start it:\n  now")

    assert paragraph(finding, width=70) == (
        "FAILED   broker          it is down it is down it is down it is down\n"
        "                         it is down it is down\n"
        "                         Start it:\n"
        "                           now"
    )


def test_the_last_line_counts() -> None:
    """Failures first; warnings do not fail."""
    ok = Finding("a", "ok", "fine")
    warning = Finding("b", "warning", "hm")
    failed = Finding("c", "failed", "no")

    assert summary([ok]) == "Ready."
    assert summary([ok, warning]) == "Ready, with 1 to look at."
    assert summary([ok, warning, failed]) == "Not ready: 1 of 3 failed."
    assert [passed([ok, warning]), passed([ok, failed])] == [True, False]


def test_the_report_is_json_too() -> None:
    """For a deployment script."""
    assert json.loads(json_report([Finding("a", "ok", "fine")])) == {
        "passed": True,
        "findings": [{"name": "a", "status": "ok", "message": "fine", "remedy": ""}],
    }
