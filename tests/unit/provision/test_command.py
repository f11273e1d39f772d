"""Command: what is written where, and what is refused in one sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from event_monitor.cli.main import Commands
from event_monitor.cli.provision import provision
from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.stack import build_stack
from event_monitor.settings import Settings

from ...support import proj
from ...support.identity import Identity

SECRET = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/key"


def typed(*arguments: str) -> Result:
    """Run ``event-monitor provision`` with these arguments."""
    commands = Commands("event-monitor")
    commands.add_command(provision)
    return CliRunner().invoke(commands, ["provision", *arguments])


def test_the_same_input_gives_the_same_bytes() -> None:
    """Whatever the order of sets is today."""
    code = (
        "from event_monitor.cli.provision import files_of\n"
        "from event_monitor.provision.stack import PIECES, build_stack\n"
        "from tests.unit.provision.examples import EVERYTHING, OPTIONS\n"
        "for form in ('terraform', 'cloudformation', 'json'):\n"
        "    print(files_of(build_stack(PIECES, EVERYTHING, OPTIONS), form))"
    )

    def printed(seed: str) -> str:
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        root = Path(__file__).parents[3]
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=root, env=environ, capture_output=True, text=True, check=True
        ).stdout

    assert printed("1") == printed("2")


def test_one_piece_is_printed() -> None:
    """To be redirected; what a person should know goes to stderr."""
    result = typed("alarms", "--format", "json")

    found = json.loads(result.stdout)
    assert found["put_metric_alarm"][0]["AlarmName"] == "celery-monitor-dead"
    assert "note: The alarms notify nobody: add --topic ARN." in result.stderr


def test_two_namespaces_of_one_account_have_names_of_their_own() -> None:
    """Unless a prefix is given."""

    def first(*flags: str) -> object:
        printed = typed("alarms", "--format", "json", *flags).stdout
        return json.loads(printed)["put_metric_alarm"][0]["AlarmName"]

    assert first("--namespace", "Shop/EU") == "shop-eu-monitor-dead"
    assert first("--namespace", "Shop/EU", "--prefix", "eu") == "eu-monitor-dead"


@pytest.mark.parametrize(
    ("arguments", "queues"),
    [
        (("sqs",), ["celeryev", "celeryev-lease.fifo"]),
        (("sqs", "--event-queue", "shop"), ["shop", "shop-lease.fifo"]),
        (("sqs", "-A", "tests.support.proj"), ["celeryev", "celeryev-lease.fifo"]),
    ],
)
def test_the_queues_of_events_come_with_the_policy_of_workers(
    arguments: tuple[str, ...], queues: list[str]
) -> None:
    """That of the monitor is another piece, which it may need without them."""
    result = typed(*arguments, "--format", "json")

    found = json.loads(result.stdout)
    assert [call["QueueName"] for call in found["create_queue"]] == queues
    assert [call["PolicyName"] for call in found["create_policy"]] == ["celery-workers"]
    assert "`provision iam`" in result.stderr


@pytest.mark.parametrize(("flags", "is_there"), [((), False), (("--event-queue", "shop"), True)])
def test_events_that_wait_and_the_memory_of_workers_are_watched_where_both_are_known(
    flags: tuple[str, ...], is_there: bool
) -> None:
    """Only `send_events_over_sqs` makes them known."""
    result = typed("alarms", "--format", "json", *flags)

    alarms = {alarm["AlarmName"]: alarm for alarm in json.loads(result.stdout)["put_metric_alarm"]}
    names = {"celery-events-waiting", "celery-worker-memory"}
    assert names & alarms.keys() == (names if is_there else set())
    if is_there:
        assert alarms["celery-worker-memory"]["Threshold"] == 4 * 2**30
        assert alarms["celery-events-waiting"]["Dimensions"] == [
            {"Name": "QueueName", "Value": "shop"}
        ]


@pytest.mark.parametrize("name", ["shop.fifo", "a b", "x" * 70])
def test_a_queue_that_can_carry_no_events_is_refused(name: str) -> None:
    """In one sentence."""
    result = typed("sqs", "--event-queue", name)

    assert result.exit_code == 2
    assert "must be the name of a standard SQS queue" in result.output


def test_the_app_names_the_queue_of_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its name, whether that or the URL was given."""
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/shop"
    monkeypatch.setattr(proj.app, "event_monitor_event_queue", EventQueue(name=url), raising=False)

    result = typed("sqs", "-A", "tests.support.proj", "--format", "json")

    calls = json.loads(result.stdout)["create_queue"]
    assert [call["QueueName"] for call in calls] == ["shop", "shop-lease.fifo"]


@pytest.mark.parametrize(
    ("beat_seconds", "flags", "has_alarm"),
    [
        ("", (), True),  # without the app it cannot be known
        ("", ("-A", "tests.support.proj"), False),
        ("", ("-A", "tests.support.proj", "--schedules", "a=60"), True),
        ("60", ("-A", "tests.support.proj"), True),
    ],
)
def test_schedules_are_watched_where_there_may_be_some(
    monkeypatch: pytest.MonkeyPatch, beat_seconds: str, flags: tuple[str, ...], has_alarm: bool
) -> None:
    """An alarm on what is never published costs as much as any."""
    environ = {"BEAT_SECONDS": beat_seconds} if beat_seconds else {}
    monkeypatch.setattr(proj, "app", proj.build(environ))
    found = json.loads(typed("alarms", "--format", "json", *flags).stdout)

    alarms = [alarm["AlarmName"] for alarm in found["put_metric_alarm"]]
    assert ("celery-schedule-overdue" in alarms) is has_alarm


def test_json_says_what_is_to_be_filled_in() -> None:
    """Only the other forms can leave account and service to AWS."""
    found = json.loads(typed("autoscaling", "--format", "json").stdout)

    assert found["notes"][-1] == "Replace the placeholders in double braces."
    assert found["register_scalable_target"][0]["ResourceId"] == "service/{{cluster}}/{{service}}"


def test_all_is_written_to_a_folder(tmp_path: Path) -> None:
    """One file per piece of Terraform; Grafana's is always its own."""
    result = typed("all", "--out", str(tmp_path / "infra"))

    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in (tmp_path / "infra").iterdir()) == [
        ".event-monitor.json",
        "alarms.tf",
        "autoscaling.tf",
        "dashboard.tf",
        "data.tf",
        "ecs.tf",
        "grafana.json",
        "iam.tf",
        "thresholds.tf",
        "variables.tf",
        "versions.tf",
    ]


def test_a_piece_may_be_left_out_of_all(tmp_path: Path) -> None:
    """The monitor may run on Kubernetes; that it was written for ECS is said."""
    result = typed("all", "--skip", "ecs", "--skip", "autoscaling", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert not {"ecs.tf", "autoscaling.tf"} & {file.name for file in tmp_path.iterdir()}
    assert "ECS" not in result.stderr
    assert "--skip ecs if it runs elsewhere" in typed("all", "--out", str(tmp_path)).stderr


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    """What would be written is listed, and nothing is; --force overwrites."""
    (tmp_path / "alarms.tf").write_text("mine")

    refused = typed("alarms", "--out", str(tmp_path))

    assert refused.exit_code == 2
    assert f"create     {tmp_path / 'variables.tf'}" in refused.stdout
    assert f"has not made {tmp_path / 'alarms.tf'}: choose another --out" in refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["alarms.tf"]
    assert typed("alarms", "--out", str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "alarms.tf").read_text() != "mine"
    assert f"unchanged  {tmp_path / 'alarms.tf'}" in typed("alarms", "--out", str(tmp_path)).stdout


@pytest.mark.parametrize("form", ["terraform", "cloudformation", "json"])
def test_several_services_are_scaled_in_every_form(form: str) -> None:
    """Each by its own queue; the cluster is for the reader to say."""
    text = typed(
        *("autoscaling", "--format", form),
        *("--scale", "celery=workers", "--scale", "mail=mailers"),
    ).stdout

    for name in ("workers", "mailers", "scale-in-celery", "scale-in-mail"):
        assert name in text
    assert re.search(r'disable_scale_in += true|"DisableScaleIn": ?true', text)


@pytest.mark.parametrize("form", ["terraform", "cloudformation", "json"])
def test_what_scaling_needs_of_the_monitor_is_said_in_every_form(form: str) -> None:
    """Without it a service sleeps for ever, or never goes to sleep."""
    flags = ("--scale", "celery=workers", "--scale", "mail=mailers")
    by_queue = "QueueLength,BacklogPerWorker,WorkerUtilization,QueueConsumers,QueueUnacked"
    from_zero = ("--workers-from", "0", "--by-queue", by_queue, "--queues", "first")

    result = typed("autoscaling", "--format", form, *flags, *from_zero)
    quiet = typed(
        *("autoscaling", "--format", form, *flags, *from_zero[2:4], "--queues", "celery,mail")
    )

    for sentence in (
        "Run the monitor with --queues first,celery,mail: it forgets",
        "On RabbitMQ the last worker is stopped only with management_url: QueueUnacked",
    ):
        assert sentence in " ".join(result.stdout.replace("\n# ", " ").split())
        assert f"note: {sentence}" in result.stderr
        assert sentence not in quiet.output
    assert quiet.exit_code == 0, quiet.output


def test_a_monitor_that_is_written_too_has_the_queues() -> None:
    """Nothing has to be said then, nor where the broker's own numbers are had."""
    settings = Settings(management_url="http://mq:15672")
    options = ProvisionOptions(scale_queue="mail")

    assert build_stack(("autoscaling", "ecs"), settings, options).scaling_notes == ()
    assert len(build_stack(("autoscaling",), settings, options).scaling_notes) == 1


@pytest.mark.parametrize("form", ["terraform", "cloudformation", "json"])
def test_grafana_is_the_same_in_every_form(form: str) -> None:
    """It reads JSON only."""
    assert json.loads(typed("grafana", "--format", form).stdout)["title"] == "Celery (celery)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["all"], "choose a folder with --out DIR, or ask for one piece."),
        (
            ["iam", "--apply"],
            "--apply supports only alarms and dashboard; create iam with Terraform",
        ),
        (["all", "--apply", "--delete"], "--apply and --delete exclude each other."),
        (["all", "--apply", "--out", "x"], "--apply writes no files; remove --out."),
        (["all", "--apply", "--force"], "--apply writes no files; remove --force."),
        (["alarms", "--force"], "--force is for --out DIR."),
        (["iam", "--skip", "ecs"], "--skip is for all; iam is one piece."),
        (["autoscaling", "--scale", "mail"], "--scale is 'mail'; it must be QUEUE=SERVICE"),
        (
            ["autoscaling", "--interval", "90"],
            "a target cannot be tracked with an interval of 90 seconds",
        ),
        (
            ["ecs", "--environment", "A-B=1"],
            "--environment begins with 'A-B'; it must be NAME=",
        ),
        (["ecs", "--secret", "A"], "--secret begins with 'A'; it must be NAME=ARN"),
        (
            ["ecs", "--secret", "A=b"],
            "--secret A is 'b'; it must be an ARN such as arn:aws:",
        ),
        (["ecs", "--environment", "EVENT_MONITOR_APP=x"], "settings are flags of this command"),
        (["ecs", "--environment", "A=1", "--environment", "A=2"], "--environment A is given twice"),
        (
            ["ecs", "--environment", "A=1", "--secret", f"A={SECRET}"],
            "--environment and --secret both give A; say which one.",
        ),
        (["alarms", "--task", "a:p95=x"], "say a time above 0 such as 90, 5m or 1h."),
        (["alarms", "--out", "/dev/null/x"], "--out /dev/null/x cannot be written to"),
        (
            ["autoscaling", "--no-probe-workers"],
            "BacklogPerWorker is not published: BacklogPerWorker needs `probe_workers`.",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    arguments: list[str], sentence: str
) -> None:
    """And the exit code is that of a wrong setting."""
    result = typed(*arguments)

    assert result.exit_code == 2, result.output
    assert sentence in result.stderr


def test_without_a_region_nothing_can_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says how to give one; the exit code that something is missing."""
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)

    result = typed("alarms", "--apply", "--yes")

    assert result.exit_code == 3
    assert "There is no AWS region to provision in: set AWS_REGION, or --region." in result.stderr


def test_an_endpoint_that_is_not_aws_is_told_from_an_empty_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy's page with status 200 is no list without alarms, and changes nothing."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with Identity("page") as somebody:
        monkeypatch.setenv("AWS_ENDPOINT_URL", somebody.url)

        result = typed("alarms", "--apply", "--yes")

    assert result.exit_code == 3
    assert f"{somebody.url} answers with status 200, but not as AWS does" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("flag", ["--apply", "--delete"])
def test_an_account_that_does_not_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    """In one sentence, not in a traceback."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)

    result = typed("alarms", flag, "--yes", "--region", "eu-west-1")

    assert result.exit_code == 3
    assert "AWS refuses: Could not connect to the endpoint URL" in result.stderr
