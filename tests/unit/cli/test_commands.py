"""Commands: what those print that need neither worker nor account."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from event_monitor.catalog import CATALOG
from event_monitor.cli import main

from .terminal import typed


def test_the_demo_without_its_extra() -> None:
    """What to install, in one sentence."""
    code = (
        "import sys; sys.modules['moto'] = sys.modules['rich'] = None\n"
        "from event_monitor.cli import main; main(['demo'], prog_name='event-monitor')"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)

    assert run.returncode == 3
    assert run.stderr.startswith("event-monitor: the demo needs ")
    assert run.stderr.endswith("pip install 'celery-event-monitor[demo]'.\n")
    assert len(run.stderr.splitlines()) == 1


def test_metrics_as_table_markdown_and_json() -> None:
    """The same catalog three times."""
    names = [spec.name for spec in CATALOG]

    table, markdown, data = (
        typed("metrics", "--format", form).output for form in ("table", "markdown", "json")
    )

    assert [line.split()[0] for line in table.splitlines() if line[:1].isupper()] == names
    assert [line.split("`")[1] for line in markdown.splitlines() if line.startswith("| `")] == names
    assert [metric["name"] for metric in json.loads(data)] == names


def test_settings_show_value_and_source() -> None:
    """Changed ones with the default beside."""
    environ = {"EVENT_MONITOR_NAMESPACE": "Shop"}

    output = typed("settings", "--interval", "30", environ=environ).output

    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "namespace environment Shop (default: Celery)" in lines
    assert "interval flag 30 (default: 60)" in lines
    assert "sink default cloudwatch" in lines
    assert "| `namespace` |" in typed("settings", "--format", "markdown").output


def test_cost_needs_nothing_but_the_settings() -> None:
    """Neither app nor network. The sum comes last."""
    result = typed("cost", "--tasks", "10", "--by-task", "TasksFailed")

    assert result.exit_code == 0
    assert "Task names: 10 (as given). Queues: 3 (assumed). Workers: 10." in result.output
    assert "series, by TaskName 10 3.00" in " ".join(result.output.split())
    assert re.fullmatch(r"About \$\d+ a month\.", result.output.splitlines()[-1])


def test_cost_counts_the_requests_to_sqs_where_events_go_over_it() -> None:
    """Who sends how often; they are in the sum, which else is without them."""
    flags = ("--workers", "50", "--tasks-per-second", "40", "--producers", "20")
    plain, result = typed("cost", *flags[:2]), typed("cost", *flags)

    assert result.exit_code == 0, result.output
    (row,) = (line.split() for line in result.output.splitlines() if "SQS requests" in line)
    assert row[2:] == ["22,550,400", "9.08"]
    assert "50 workers and 20 producers at 40 tasks a second" in " ".join(result.output.split())
    assert "SQS" not in plain.output
    sums = [
        float(line.split()[-1].replace(",", ""))
        for output in (plain.output, result.output)
        for line in output.splitlines()
        if line.startswith("a month")
    ]
    assert sums[1] - sums[0] == pytest.approx(9.08, abs=0.011)


def test_cost_without_a_dashboard_that_cannot_be_written() -> None:
    """CloudWatch cannot search for a quote; the metrics are published and billed all the same."""
    result = typed("cost", "--dimensions", "Owner=it's")

    assert result.exit_code == 0, result.output
    assert "composite alarms" in result.output
    assert "dashboards" not in result.output


@pytest.mark.parametrize(
    ("config", "advised"),
    [(None, False), ("", True), ("task_send_sent_event = True", False)],
    ids=["no configuration", "Celery's defaults", "sends them"],
)
def test_a_broker_alone_says_nothing_of_how_the_app_is_configured(
    config: str | None, advised: bool, desk: Path
) -> None:
    """Celery's defaults are advised on only where somebody has left them as they are."""
    arguments = ["-b", f"memory://advice-{advised}-{config is None}/"]
    if config is not None:
        (desk / "settings.py").write_text(config)
        arguments += ["--config", "settings.py"]

    result = typed("check", *arguments, "--sink", "console", "--listen", "0", "--format", "json")

    names = [finding["name"] for finding in json.loads(result.output)["findings"]]
    assert ("queue times" in names) == advised


def test_check_as_json_is_json_and_nothing_else() -> None:
    """Exit 1 says that something failed."""
    result = typed("check", "-b", "redis://127.0.0.1:1/0", "--sink", "console", "--format", "json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["passed"] is False
    assert [finding["name"] for finding in report["findings"]] == [
        "transport",
        "broker",
        "events",
        "cloudwatch",
    ]
    assert result.stderr == ""


@pytest.mark.parametrize("command", ["check", "status"])
@pytest.mark.parametrize("no_color", ["1", ""], ids=["without colours", "in colours"])
def test_without_colours_nothing_steers_the_terminal(command: str, no_color: str) -> None:
    """Not even a reset of colours that were never set."""
    result = CliRunner().invoke(
        main,
        [command, "-b", "redis://127.0.0.1:1/0"],
        prog_name="event-monitor",
        env={"NO_COLOR": no_color, "TERM": "xterm"},
        color=True,
    )
    assert result.stdout.count("\n") >= 1
    assert ("\x1b" in result.stdout) == (not no_color)


def test_the_bill_fits_the_terminal() -> None:
    """Whatever it remarks."""
    lines = typed("cost", environ={"COLUMNS": "80"}).output.splitlines()
    assert max(map(len, lines)) <= 80
