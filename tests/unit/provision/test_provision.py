"""Provision: what is written, in every form; and what a person is told who asks for too much."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from event_monitor.catalog import CATALOG
from event_monitor.cli.main import Commands
from event_monitor.cli.provision import provision
from event_monitor.distribution import Distribution
from event_monitor.errors import SettingsError
from event_monitor.metrics import metrics_from
from event_monitor.provision.layout import sections_of
from event_monitor.provision.model import Located, Series
from event_monitor.provision.options import Choices, QueueEntry, TaskEntry
from event_monitor.provision.policy import monitor_policy
from event_monitor.provision.render.cloudwatch_dashboard import dashboard_of
from event_monitor.provision.render.grafana import UNITS, grafana_of
from event_monitor.provision.render.hcl import Block, Comment, Raw, encoded, text_of
from event_monitor.provision.render.terraform import terraform_files
from event_monitor.provision.stack import PIECES, Stack, stack_of
from event_monitor.provision.task_definition import container, environment
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    PublisherReport,
    RunningTasks,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

HOSTILE = "a\"b\\c ${d} %{if} 'é\n"
EVERYTHING = Settings(
    dimensions=(("Environment", "prod"), ("Cost center", "${x} %{y}")),
    queue_length_limits=(("*", (10.0, 100.0)),),
    by_queue=("QueueLength", "OldestMessageAge", "BacklogPerWorker", "QueueConsumers"),
)
CHOICES = Choices(
    topics=("arn:aws:sns:eu-west-1:123456789012:alerts",),
    pages=("arn:aws:sns:eu-west-1:123456789012:pager",),
    queues=(QueueEntry("celery", 100, 60), QueueEntry(HOSTILE, 100, 60)),
    tasks=(TaskEntry("shop.pay", 30.5, 10), TaskEntry(HOSTILE, 1, 1)),
    sqs_queues=("arn:aws:sqs:eu-west-1:123456789012:celery",),
    workers_from=0,
    scale_queue="celery",
)
STEPS = replace(CHOICES, scale_by="step")
SETTINGS = [
    EVERYTHING,
    Settings(),
    Settings(probe_queues=False, by_task=("TasksFailed",)),
    Settings(probe_workers=False, by_queue=()),
    Settings(without=("MonitorHeartbeat", "TaskRuntime", "TasksSucceeded"), by_task=()),
    Settings(without=tuple(one.name for one in CATALOG)),
]


def typed(*arguments: str) -> Result:
    """Type ``event-monitor provision`` and the arguments."""
    commands = Commands("event-monitor")
    commands.add_command(provision)
    return CliRunner().invoke(commands, ["provision", *arguments])


# -- what is named is published --------------------------------------------------------------------


def published(settings: Settings) -> set[tuple[str, tuple[str, ...]]]:
    """(metric, names of dimensions) of a cluster in which everything happens."""
    times = Distribution((1.0,), (1,))
    counts = TaskCounts(runtime=times, queue_time=times, prefetch_time=times)
    snapshot = Snapshot(
        window=Window(0.0, 60.0, tasks=(("a", counts),), event_delay=times),
        workers=(WorkerStatus("celery@a", WorkerState.ONLINE, 0.0, active=1, load_average=1.0),),
        running=(RunningTasks("a", 1, 1.0),),
        publisher=PublisherReport(flush_seconds=0.1),
    )
    survey = Survey(
        queues=(QueueDepth("q", 1, 1, 1, 1.0, 1.0, 2.0),) if settings.probe_queues else None,
        workers=(WorkerAnswer("celery@a", 1, 1, 1, 1, 4, 1, queues=("q",)),)
        if settings.probe_workers
        else None,
        stalled=() if settings.probe_queues and settings.probe_workers else None,
    )
    metrics = metrics_from(replace(snapshot, survey=survey), settings)
    return {(one.name, tuple(name for name, _ in one.dimensions)) for one in metrics}


def named(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The same of everything that alarms and dashboards name."""
    choices = Choices(workers_from=0)
    stack = stack_of(("alarms", "dashboard"), settings, choices)
    every: list[Series] = [series for alarm in stack.alarms for series in alarm.series]
    yield from ((one.metric, tuple(name for name, _ in one.dimensions)) for one in every)
    board = stack.dashboard or {}
    for widget in board["widgets"]:
        for row in widget["properties"].get("metrics", ()):
            if isinstance(row[0], str):
                _, metric, *dimensions, _ = row
                yield metric, tuple(dimensions[::2])
            elif "SEARCH" in row[0]["expression"]:
                yield searched(row[0]["expression"])
    yield from (searched(one["search"]) for one in board["variables"])
    grafana = grafana_of(settings, choices)
    for panel in grafana["panels"]:
        for target in panel.get("targets", ()):
            if "metricName" in target:
                yield target["metricName"], tuple(target["dimensions"])
    for variable in grafana["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]
            yield query["metricName"], (*query["dimensionFilters"], query["dimensionKey"])


def searched(expression: str) -> tuple[str, tuple[str, ...]]:
    found = re.search(r'\{([^}]*)\} MetricName="(\w+)"', expression)
    assert found, expression
    _, *dimensions = (one.strip('"') for one in found[1].split(","))
    return found[2], tuple(dimensions)


@pytest.mark.parametrize("settings", SETTINGS)
def test_everything_named_is_published_with_exactly_these_dimensions(settings: Settings) -> None:
    """Alarms, widgets, searches and variables, joined with what ``metrics_from`` gives."""
    assert set(named(settings)) <= published(settings)


def test_every_unit_is_one_of_the_catalog() -> None:
    """Grafana has its own words for them."""
    units = {one.unit for one in CATALOG}
    assert set(UNITS) == units
    shown = {panel.unit for section in sections_of(EVERYTHING) for panel in section.panels}
    assert shown <= units


def test_every_metric_in_terraform_is_in_the_catalog() -> None:
    """The text itself, whatever was meant."""
    text = "\n".join(terraform_files(stack_of(PIECES, EVERYTHING, STEPS)).values())
    assert set(re.findall(r'metric_name\s+= "(\w+)"', text)) <= {one.name for one in CATALOG}


# -- forms -----------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes() -> None:
    """Whatever the order of sets is today."""
    code = (
        "from tests.unit.provision.test_provision import *; "
        "from event_monitor.cli.provision import files_of\n"
        "for form in ('terraform', 'cloudformation', 'json'):\n"
        "    print(files_of(stack_of(PIECES, EVERYTHING, CHOICES), form))"
    )

    def printed(seed: str) -> str:
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        root = Path(__file__).parents[3]
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=root, env=environ, capture_output=True, text=True, check=True
        ).stdout

    assert printed("1") == printed("2")


@pytest.mark.parametrize("settings", [EVERYTHING, Settings(drain_seconds=600.0)])
@pytest.mark.parametrize("choices", [CHOICES, STEPS])
def test_cloudformation_has_no_warnings(
    tmp_path: Path, settings: Settings, choices: Choices
) -> None:
    """cfn-lint judges every piece."""
    pytest.importorskip("cfnlint")
    from event_monitor.provision.render.cloudformation import template_of

    if settings != EVERYTHING:
        choices = replace(choices, scale_queue="")
    path = tmp_path / "event-monitor.template.json"
    path.write_text(json.dumps(template_of(stack_of(PIECES, settings, choices))))
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [linter, "--regions", "us-east-1", "--", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_cloudformation_substitutes_nothing_but_account_and_region() -> None:
    """A label of CloudWatch's looks like a variable of its own."""
    from event_monitor.provision.render.cloudformation import template_of

    template = template_of(stack_of(("alarms", "dashboard"), EVERYTHING, CHOICES))
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    assert set(re.findall(r"\$\{(?!!)[^}]*\}", body)) == {
        "${AWS::Partition}",
        "${AWS::Region}",
        "${AWS::AccountId}",
    }
    assert "${!PROP('Dim.TaskName')}" in body


def test_hcl_is_written_as_terraform_formats_it() -> None:
    """Aligned, escaped, with what is left out left out."""
    block = Block(
        "resource",
        ("kind", "name"),
        (
            ("text", 'a "b" \\ ${c} %{d}\n\x7f'),
            ("longer_name", 1.0),
            ("share", 2.5),
            ("nothing", None),
            ("several", {"key": [True, Raw("var.x")], "odd key": {}}),
            ("after", encoded([])),
            Comment("Decide."),
            ("where", Located("arn:{{partition}}:{{region}}:{{account}}:{{region}}")),
            Block("inner", body=(("one", 1),)),
        ),
    )

    assert text_of([Comment("Why."), block, block]).partition("\n\nresource")[0] == (
        "# Why.\n"
        'resource "kind" "name" {\n'
        '  text        = "a \\"b\\" \\\\ $${c} %%{d}\\n\\u007f"\n'
        "  longer_name = 1\n"
        "  share       = 2.5\n"
        "  several = {\n"
        "    key       = [true, var.x]\n"
        '    "odd key" = {}\n'
        "  }\n"
        "  after = jsonencode([])\n"
        "  # Decide.\n"
        '  where = "arn:${data.aws_partition.current.partition}:${data.aws_region.current.id}:'
        '${data.aws_caller_identity.current.account_id}:{{region}}"\n'
        "\n"
        "  inner {\n"
        "    one = 1\n"
        "  }\n"
        "}"
    )


# -- dashboards ------------------------------------------------------------------------------------


def board_of(settings: Settings, choices: Choices = CHOICES) -> dict[str, Any]:
    found = stack_of(("dashboard",), settings, choices).dashboard
    assert found is not None
    return found


@pytest.mark.parametrize("settings", [Settings(), *SETTINGS[2:]])
def test_widgets_neither_overlap_nor_leave_the_grid(settings: Settings) -> None:
    """24 columns, in CloudWatch and in Grafana."""
    widgets = board_of(settings, Choices())["widgets"]
    places = [(one["x"], one["y"], one["width"], one["height"]) for one in widgets]
    panels = grafana_of(settings, Choices())["panels"]
    grid = [tuple(one["gridPos"][key] for key in "xywh") for one in panels]
    for rectangles in (places, grid):
        cells = [
            (column, row)
            for x, y, width, height in rectangles
            for column in range(x, x + width)
            for row in range(y, y + height)
        ]
        assert len(cells) == len(set(cells))
        assert all(column < 24 for column, _ in cells)


def test_the_state_of_the_alarms_comes_first() -> None:
    """All of them, the composite before the others."""
    first = board_of(EVERYTHING)["widgets"][0]

    assert (first["type"], first["y"]) == ("alarm", 0)
    assert first["properties"]["alarms"][0].endswith(":alarm:celery-unhealthy")


def test_two_hundred_tasks_do_not_make_the_dashboard_longer() -> None:
    """Tables are searches for the twenty highest."""
    many = replace(CHOICES, tasks=tuple(TaskEntry(f"task-{one}", p95=1.0) for one in range(200)))
    few, more = board_of(EVERYTHING), board_of(EVERYTHING, many)

    assert len(more["widgets"]) == len(few["widgets"])
    assert len(more["widgets"][0]["properties"]["alarms"]) == 100  # all that one widget takes
    (table,) = (
        one for one in more["widgets"] if "Failures by" in one["properties"].get("title", "")
    )
    assert table["properties"]["metrics"][0][0]["expression"] == (
        'SLICE(SORT(SEARCH(\'{"Celery","Environment","Cost center",TaskName} '
        'MetricName="TasksFailed" "Environment"="prod" "Cost center"="${x} %{y}"\', \'Sum\'), '
        "SUM, DESC), 0, 20)"
    )


def test_a_task_and_a_queue_can_be_chosen() -> None:
    """By the variables of the dashboard, which find them by themselves."""
    variables = board_of(Settings(), Choices())["variables"]

    assert [(one["property"], one["search"], one["defaultValue"]) for one in variables] == [
        ("TaskName", '{"Celery",TaskName} MetricName="TasksSucceeded"', "__FIRST__"),
        ("QueueName", '{"Celery",QueueName} MetricName="QueueLength"', "__FIRST__"),
    ]


def test_a_search_that_cannot_be_written_is_refused() -> None:
    """CloudWatch documents no way to write a quote in one."""
    with pytest.raises(SettingsError, match='a dashboard cannot search for "it\'s"'):
        board_of(Settings(dimensions=(("Owner", "it's"),)))


def test_grafana_matches_dimensions_exactly() -> None:
    """Or a total would be added to its splits."""
    panels = grafana_of(EVERYTHING, CHOICES)["panels"]
    targets = [target for panel in panels for target in panel.get("targets", ())]

    assert targets
    assert all(target["matchExact"] is True for target in targets)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_a_dashboard_without_anything_published_is_still_one() -> None:
    """It says who made it."""
    nothing = Settings(without=tuple(one.name for one in CATALOG))
    body = dashboard_of(nothing, Choices(), (), None)
    assert [one["type"] for one in body["widgets"]] == ["text"]


# -- permissions and the monitor itself ------------------------------------------------------------


def test_the_monitor_may_write_its_namespace_and_nothing_else() -> None:
    """SQS only if queues are named."""
    statement = {
        "Sid": "PublishMetrics",
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "Shop"}},
    }
    settings = Settings(namespace="Shop")

    assert monitor_policy(settings, Choices())["Statement"] == [statement]
    more = monitor_policy(settings, CHOICES)["Statement"][1:]
    assert [(one["Action"], one["Resource"]) for one in more] == [
        ("sqs:ListQueues", "*"),
        (["sqs:GetQueueAttributes", "sqs:GetQueueUrl"], list(CHOICES.sqs_queues)),
    ]


def test_the_container_has_these_settings() -> None:
    """Read back from its variables; secrets and the region come another way."""
    settings = replace(
        EVERYTHING,
        by_task=(),
        groups=(("shop", ("shop.*", "pay.*")),),
        interval=30.0,
        high_resolution=True,
    )
    hidden = replace(settings, region="eu-west-1", management_url="http://guest:secret@mq:15672")

    assert Settings.load(environ=environment(hidden)) == settings
    assert "secret@" not in str(stack_of(PIECES, hidden, Choices()))


def test_what_the_container_needs_besides_is_said() -> None:
    """A secret, and a volume; a deployment would lose what is on the disk."""
    settings = Settings(state_dir="/var/lib/em", management_url="http://guest:secret@mq:15672")

    notes = " ".join(stack_of(("ecs",), settings, Choices()).notes)

    assert "EVENT_MONITOR_MANAGEMENT_URL is left out" in notes
    assert "mount a volume" in notes
    assert "secret@" not in notes
    assert stack_of(("ecs",), Settings(), Choices()).notes == ()


@pytest.mark.parametrize(("drain", "stop"), [(20.0, 30), (0.5, 11), (600.0, 120)])
def test_a_stop_waits_for_the_drain_as_long_as_ecs_allows(drain: float, stop: int) -> None:
    """Two minutes at most."""
    made = container(Settings(drain_seconds=drain), Choices())
    assert made["stopTimeout"] == stop
    assert made["healthCheck"]["command"] == ["CMD", "event-monitor", "healthcheck", "--monitor"]


# -- the command -----------------------------------------------------------------------------------


def test_one_piece_is_printed() -> None:
    """To be redirected; what a person should know goes to stderr."""
    result = typed("alarms", "--format", "json")

    found = json.loads(result.stdout)
    assert found["put_metric_alarm"][0]["AlarmName"] == "celery-monitor-dead"
    assert "note: The alarms tell nobody: add --topic ARN." in result.stderr


def test_json_says_what_is_to_be_filled_in() -> None:
    """Only the other forms can leave account and service to AWS."""
    found = json.loads(typed("autoscaling", "--format", "json").stdout)

    assert found["notes"] == ["Fill in what stands in double braces."]
    assert found["register_scalable_target"][0]["ResourceId"] == "service/{{cluster}}/{{service}}"


def test_all_is_written_to_a_folder(tmp_path: Path) -> None:
    """One file per piece of Terraform; Grafana's is always its own."""
    result = typed("all", "--out", str(tmp_path / "infra"))

    assert result.exit_code == 0, result.output
    assert sorted(one.name for one in (tmp_path / "infra").iterdir()) == [
        "alarms.tf",
        "autoscaling.tf",
        "dashboard.tf",
        "ecs.tf",
        "grafana.json",
        "iam.tf",
        "versions.tf",
    ]


@pytest.mark.parametrize("form", ["terraform", "cloudformation", "json"])
def test_grafana_is_the_same_in_every_form(form: str) -> None:
    """It reads JSON only."""
    assert json.loads(typed("grafana", "--format", form).stdout)["title"] == "Celery (celery)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["all"], "say where with --out DIR, or ask for one piece."),
        (["iam", "--apply"], "--apply knows alarms and dashboard; iam is for Terraform"),
        (["all", "--apply", "--delete"], "--apply and --delete exclude each other."),
        (["all", "--apply", "--out", "x"], "--apply writes no files; leave --out away."),
        (["alarms", "--task", "a:p95=x"], "p95 must be a number above 0."),
        (["alarms", "--out", "/dev/null/x"], "--out /dev/null/x cannot be written to"),
        (
            ["autoscaling", "--no-probe-workers"],
            "BacklogPerWorker is not published: BacklogPerWorker needs `probe_workers`.",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(arguments: list[str], sentence: str) -> None:
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


@pytest.mark.parametrize("flag", ["--apply", "--delete"])
def test_an_account_that_does_not_answer_is_told_of(
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


def test_a_stack_of_nothing_makes_no_files() -> None:
    """Not even the versions."""
    assert terraform_files(Stack(prefix="celery")) == {}
