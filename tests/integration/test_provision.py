"""Provision against a local account: Terraform's own tools, and ``--apply``, twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ecs.models import ecs_backends
from moto.iam.models import iam_backends

from event_monitor.cli.main import Commands
from event_monitor.cli.provision import provision

from ..support.cloudwatch import REGION, CloudWatch
from ..support.terraform import initialize, terraform

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
HOSTILE = 'a"b\\c ${d} %{if} é'
SENT = 'a"b\\\\c ${d} %{if} \\xe9'  # as the sink writes it: escaped as a whole


@pytest.fixture
def account(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty account, which the command and Terraform use too."""
    backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION]
    # moto can keep composite alarms but has no such action: its PutMetricAlarm reads the rule.
    action = CloudWatchResponse.put_metric_alarm
    monkeypatch.setattr(CloudWatchResponse, "put_composite_alarm", action, raising=False)
    monkeypatch.setattr(CloudWatchBackend, "delete_alarms", refusing(backend.delete_alarms))
    for name, value in cloudwatch.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloudwatch.url)
    client = boto3.client("cloudwatch")
    yield client
    client.close()
    for kept in (backend, iam_backends[DEFAULT_ACCOUNT_ID]["aws"]):
        kept.reset()
    ecs_backends[DEFAULT_ACCOUNT_ID][REGION].reset()


def refusing(delete: Callable[[list[str]], None]) -> Callable[[Any, list[str]], None]:
    """Return what deletes no alarm that a composite names, as CloudWatch itself."""

    def delete_alarms(backend: Any, alarm_names: list[str]) -> None:
        for alarm in backend.alarms.values():
            if alarm.rule and any(f'ALARM("{name}")' in alarm.rule for name in alarm_names):
                raise ValidationError(f"Cannot delete {alarm_names}: {alarm.name} names one")
        delete(alarm_names)

    return delete_alarms


def typed(*arguments: str, answer: str = "") -> Result:
    """Run ``event-monitor provision`` with these arguments."""
    commands = Commands("event-monitor")
    commands.add_command(provision)
    return CliRunner().invoke(commands, ["provision", *arguments], input=answer)


def alarm_names(client: Any) -> set[str]:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    found = client.describe_alarms(AlarmTypes=kinds)
    return {alarm["AlarmName"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])}


def verbs(result: Result) -> set[str]:
    """Return what the plan says is to be done."""
    words = {line.partition(" ")[0] for line in result.stdout.splitlines()}
    return words & {"create", "change", "unchanged", "delete"}


# -- --apply ---------------------------------------------------------------------------------------

APPLY = (
    *("all", "--apply", "--topic", TOPIC, "--dimensions", "Environment=prod"),
    *("--queue", f"{HOSTILE}:max_length=7", "--task", f"{HOSTILE}:p95=3.5,failures=10"),
)


def test_nothing_is_changed_without_a_yes(account: Any) -> None:
    """The plan is shown, and the question is asked."""
    result = typed(*APPLY, answer="n\n")

    assert result.exit_code == 0, result.output
    assert verbs(result) == {"create"}
    assert "Nothing was changed." in result.output
    assert not alarm_names(account)


@pytest.mark.usefixtures("account")
def test_the_second_apply_changes_nothing() -> None:
    """What is equal is not touched."""
    first, second = typed(*APPLY, "--yes"), typed(*APPLY, "--yes")

    assert verbs(first) == {"create"}
    assert first.exit_code == 0, first.output
    assert verbs(second) == {"unchanged"}
    assert "Nothing to do." in second.output


def test_names_arrive_as_the_monitor_sends_them(account: Any) -> None:
    """An alarm whose dimension differs by one character watches nothing."""
    typed(*APPLY, "--yes")

    (alarm,) = account.describe_alarms(AlarmNames=[f"celery-queue-length-{SENT}"])["MetricAlarms"]
    assert {pair["Name"]: pair["Value"] for pair in alarm["Dimensions"]} == {
        "Environment": "prod",
        "QueueName": SENT,
    }


def test_a_change_is_named_and_what_is_no_longer_wanted_goes(account: Any) -> None:
    """The plan says which parameters differ."""
    typed(*APPLY, "--yes")
    result = typed("alarms", "--apply", "--yes", "--max-age", "30", *APPLY[2:6])

    assert "change     alarm celery-oldest-message (AlarmDescription, Threshold)" in result.output
    assert f"delete     alarm celery-queue-length-{SENT}" in result.output
    (alarm,) = account.describe_alarms(AlarmNames=["celery-oldest-message"])["MetricAlarms"]
    assert alarm["Threshold"] == 30
    assert f"celery-queue-length-{SENT}" not in alarm_names(account)


def test_another_environment_under_the_same_prefix_is_not_taken_over(account: Any) -> None:
    """Its alarms would watch other series from then on, and it would have none."""
    plain = ("alarms", "--apply", "--yes", "--topic", TOPIC)
    assert typed(*plain, "--dimensions", "Environment=prod").exit_code == 0

    result = typed(*plain, "--dimensions", "Environment=dev")

    assert result.exit_code == 2
    assert "is about Celery with Environment=prod, and these settings publish" in result.stderr
    alarms = account.describe_alarms()["MetricAlarms"]
    watched = {pair["Value"] for alarm in alarms for pair in alarm["Dimensions"]}
    assert watched == {"prod"}


def test_delete_removes_what_apply_made_and_nothing_else(account: Any) -> None:
    """Another's alarm may begin with our prefix."""
    # Given
    typed(*APPLY, "--yes")
    typed(*APPLY, "--yes", "--prefix", "celery-other")
    others = {name for name in alarm_names(account) if name.startswith("celery-other-")}
    put_by_hand(account, "celery-of-mine")

    # When
    result = typed("all", "--delete", "--yes")

    # Then
    assert result.exit_code == 0, result.output
    assert alarm_names(account) == {"celery-of-mine", *others}
    boards = account.list_dashboards()["DashboardEntries"]
    assert [board["DashboardName"] for board in boards] == ["celery-other"]
    assert "Nothing to do." in typed("all", "--delete", "--yes").output


def test_an_alarm_of_somebody_else_is_never_overwritten(account: Any) -> None:
    """Nor is anything else done then."""
    put_by_hand(account, "celery-monitor-dead")

    result = typed("alarms", "--apply", "--yes")

    assert result.exit_code == 2
    assert "an alarm 'celery-monitor-dead' exists that `--apply` has not made" in result.output
    assert alarm_names(account) == {"celery-monitor-dead"}


def test_a_dashboard_of_somebody_else_is_never_overwritten(account: Any) -> None:
    """A dashboard is ours by the mark in it."""
    account.put_dashboard(DashboardName="celery", DashboardBody='{"widgets": []}')

    result = typed("dashboard", "--apply", "--yes")

    assert result.exit_code == 2
    assert "a dashboard 'celery' exists" in result.output
    assert "Nothing to do." in typed("dashboard", "--delete", "--yes").output


def test_the_dashboard_shows_the_alarms_of_this_account(account: Any) -> None:
    """Account and region are filled in."""
    typed("all", "--apply", "--yes")

    body = json.loads(account.get_dashboard(DashboardName="celery")["DashboardBody"])
    (alarms,) = (widget for widget in body["widgets"] if widget["type"] == "alarm")
    assert alarms["properties"]["alarms"][0] == (
        f"arn:aws:cloudwatch:{REGION}:{DEFAULT_ACCOUNT_ID}:alarm:celery-unhealthy"
    )
    assert {widget["properties"].get("region", REGION) for widget in body["widgets"]} == {REGION}


def put_by_hand(client: Any, name: str) -> None:
    client.put_metric_alarm(
        AlarmName=name,
        Namespace="Celery",
        MetricName="TasksFailed",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )


# -- Terraform -------------------------------------------------------------------------------------

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop"
MONITOR = """\
  monitor_image            = "shop:1"
  monitor_app              = "shop"
  monitor_broker_secret    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:broker"
  monitor_execution_role   = "arn:aws:iam::123456789012:role/ecs"
  monitor_log_group        = "shop"
  monitor_cluster          = "main"
  monitor_subnets          = ["subnet-1"]
  monitor_security_groups  = ["sg-1"]
"""
MOCKED = """\
mock_provider "aws" {
  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:mocked" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/mocked" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
}

variables {
  monitor_management_secret = "SECRET"
  monitor_state_file_system = "fs-1"
  workers_cluster          = "main"
  workers_service          = "workers"
  MONITOR
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

run "everything" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.monitor_dead.treat_missing_data == "breaching"
    error_message = "a dead monitor must be noticed"
  }
  assert {
    condition     = aws_ecs_service.monitor.desired_count == 1
    error_message = "one monitor, never two"
  }
  assert {
    condition     = strcontains(aws_ecs_task_definition.monitor.container_definitions, "shop:1")
    error_message = "the image must reach the container"
  }
  assert {
    condition = strcontains(
      aws_ecs_task_definition.monitor.container_definitions,
      jsonencode({ name = "KEY", valueFrom = "SECRET" })
    )
    error_message = "the secrets of the app must reach the container"
  }
}

run "fewer" {
  command = plan
  variables {
    workers_to = -1
  }
  expect_failures = [aws_appautoscaling_target.workers]
}
""".replace("MONITOR", MONITOR).replace("SECRET", SECRET)

PROVIDER = """\
provider "aws" {
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "module"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scale_by", ["target", "step"])
def test_terraform_is_formatted_and_valid_and_plans(folder: Path, scale_by: str) -> None:
    """Its own tools judge every piece, with a mocked provider, hostile names and all."""
    # Given
    result = typed(
        *("all", "--out", str(folder), "--scale-by", scale_by, "--workers-from", "0"),
        *("--queue", f"{HOSTILE}:max_length=7", "--task", f"{HOSTILE}:p95=3.5,failures=10"),
        *("--dimensions", "Cost center=%{x} ${y}", "--sqs-queue", "arn:aws:sqs:x:1:q"),
        *("--environment", "DSN=%{x} ${y}", "--secret", f"KEY={SECRET}"),
        *("--management-url", "http://mq:15672", "--state-dir", "/var/lib/em"),
        *("--event-queue", "celeryev"),
    )
    assert result.exit_code == 0, result.output

    # Then
    formatted = terraform(folder, "fmt", "-check", "-diff", "-no-color")
    assert (formatted.returncode, formatted.stdout) == (0, "")
    initialize(folder)
    (folder / "mocked.tftest.hcl").write_text(MOCKED)  # whatever is tested is validated first
    tested = terraform(folder, "test", "-no-color")
    assert tested.returncode == 0, tested.stdout + tested.stderr


# The endpoint does not keep it.
FORGOTTEN = """\
resource "aws_ecs_service" "monitor" {
  lifecycle {
    ignore_changes = [availability_zone_rebalancing]
  }
}
"""
SHOP = (
    *(f"--queue=shop.{name}:max_length=100,max_age=60" for name in ("a", "b", "c", "d", "e")),
    *("--queue", f"{HOSTILE}:max_length=7", "--task", f"{HOSTILE}:p95=3.5,failures=10"),
    *("--dimensions", "Environment=prod", "--topic", TOPIC, "--page", TOPIC),
)
TASKS = tuple(f"--task=shop.tasks.task_{number}:p95=30,failures=10" for number in range(8))


@pytest.mark.timeout(600)
def test_the_module_of_a_shop_is_applied_changed_and_destroyed(account: Any, folder: Path) -> None:
    """Six queues, eight tasks, written piece by piece; all but scaling can be applied here."""
    # Given
    for piece in ("alarms", "dashboard", "iam", "ecs", "autoscaling"):
        scale = ("--scale", "shop.a=workers") if piece == "autoscaling" else ()
        result = typed(piece, "--out", str(folder), *SHOP, *TASKS, *scale)
        assert result.exit_code == 0, result.output
    (folder / "provider.tf").write_text(PROVIDER)
    initialize(folder)
    valid = terraform(folder, "validate", "-no-color")
    assert valid.returncode == 0, valid.stderr
    (folder / "autoscaling.tf").unlink()  # the endpoint hangs
    (folder / "endpoint_override.tf").write_text(FORGOTTEN)
    boto3.client("ecs").create_cluster(clusterName="main")
    network = boto3.client("ec2")
    subnet = network.describe_subnets()["Subnets"][0]["SubnetId"]
    group = network.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    values = MONITOR.replace("subnet-1", subnet).replace("sg-1", group)
    (folder / "terraform.tfvars").write_text(values)

    # When it is applied
    apply(folder)

    # Then
    assert_nothing_to_plan(folder)
    services = boto3.client("ecs").list_services(cluster="main")["serviceArns"]
    assert [arn.rpartition("/")[2] for arn in services] == ["celery-monitor"]
    names = alarm_names(account)
    assert {"celery-unhealthy", f"celery-queue-length-{SENT}"} <= names
    # What Terraform made is Terraform's.
    assert "Nothing to do." in typed("alarms", "--delete", "--yes").output
    assert len([name for name in names if "shop.tasks.task_" in name]) == 16
    assert not any(name.startswith("dev") for name in names)

    # When alarms go, of the cluster too, and thresholds and values change
    thresholds = "thresholds={failure_rate=7}"
    fewer = (*SHOP, *TASKS[1:], "--max-reserved", "0")
    for piece in ("alarms", "dashboard"):
        result = typed(piece, "--out", str(folder), *fewer)
        assert result.exit_code == 0, result.output
    apply(folder, "-refresh=false", "-var", thresholds, "-var", 'dimensions={Environment="dev"}')

    # Then
    assert names - alarm_names(account) == {
        "celery-tasks-reserved",
        "celery-runtime-p95-shop.tasks.task_0",
        "celery-failure-rate-shop.tasks.task_0",
    }
    found = account.describe_alarms(AlarmNames=["celery-failure-rate"])["MetricAlarms"][0]
    assert found["Threshold"] == 7
    assert "More than 7 % of the tasks" in found["AlarmDescription"]
    dashboard = account.get_dashboard(DashboardName="celery")["DashboardBody"]
    assert "dev" in dashboard
    assert "prod" not in dashboard

    # When
    apply(folder, "-refresh=false", "-destroy")

    # Then
    assert not alarm_names(account)


def apply(folder: Path, *arguments: str) -> None:
    command = ("apply", "-auto-approve", "-input=false", "-no-color", *arguments)
    applied = terraform(folder, *command)
    assert applied.returncode == 0, applied.stderr


def assert_nothing_to_plan(folder: Path) -> None:
    planned = terraform(folder, "plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert planned.returncode == 0, planned.stdout + planned.stderr
