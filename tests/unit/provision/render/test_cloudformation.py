"""CloudFormation: a template that its own linter accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.provision.options import ProvisionOptions, TaskLimits
from event_monitor.provision.render.cloudformation import (
    cloudformation_template,
    template_notes,
    template_text,
)
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, OPTIONS, STEPS, read_back

PLAIN = Settings(drain_seconds=600.0)
KEPT = Settings(state_dir="/var/lib/em", management_url="http://mq:15672")
SEVERAL = ProvisionOptions(
    services=(("celery", "workers"), ('mail."é', "mailers")),
    environment=(("DSN", "${x} %{y}"),),
    secrets=(("KEY", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop"),),
)


def test_cloudformation_has_no_warnings(tmp_path: Path) -> None:
    """cfn-lint judges every piece; in one run, since its start takes seconds."""
    pytest.importorskip("cfnlint")
    stacks = [
        build_stack(PIECES, EVERYTHING, OPTIONS),
        build_stack(PIECES, EVERYTHING, STEPS),
        build_stack(PIECES, PLAIN, replace(OPTIONS, scale_queue="")),
        build_stack(PIECES, KEPT, SEVERAL),
        *(
            build_stack((piece,), KEPT, ProvisionOptions(event_queue="events"))
            for piece in PIECES[:-1]
        ),
    ]
    for number, stack in enumerate(stacks):
        text = template_text(cloudformation_template(stack))
        (tmp_path / f"{number}.template.json").write_text(text)
    linter = Path(sys.executable).with_name("cfn-lint")
    paths = map(str, sorted(tmp_path.glob("*.template.json")))
    command = [str(linter), "--regions", "us-east-1", "--", *paths]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_cloudformation_substitutes_nothing_but_what_is_meant() -> None:
    """A label of CloudWatch's looks like a variable of its own."""
    stack = build_stack(("alarms", "dashboard"), EVERYTHING, OPTIONS)
    template = read_back(cloudformation_template(stack))
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    variables = set(re.findall(r"\$\{(?!!)[^}]*\}", body))
    assert {name for name in variables if not name.startswith("${Threshold")} == {
        "${AWS::Partition}",
        "${AWS::Region}",
        "${AWS::AccountId}",
        "${Prefix}",
        "${Namespace}",
        "${DimensionEnvironment}",
        "${DimensionCostcenter}",
    }
    assert "${!PROP('Dim.TaskName')}" in body


def test_a_topic_that_is_named_twice_is_notified_once() -> None:
    """As in the other forms."""
    (topic,), (page,) = OPTIONS.topics, OPTIONS.pages
    options = replace(OPTIONS, topics=(topic, topic), pages=(topic, page))
    template = read_back(cloudformation_template(build_stack(("alarms",), EVERYTHING, options)))

    defaults = [template["Parameters"][name]["Default"] for name in ("Topics", "Pages")]
    assert defaults == [topic, page]


def test_defaults_are_what_was_chosen() -> None:
    """Parameters for what differs between accounts and environments."""
    template = read_back(cloudformation_template(build_stack(("alarms",), EVERYTHING, OPTIONS)))

    defaults = {name: value["Default"] for name, value in template["Parameters"].items()}
    assert {name: defaults[name] for name in ("Prefix", "Namespace", "Topics")} == {
        "Prefix": "celery",
        "Namespace": "Celery",
        "Topics": "arn:aws:sns:eu-west-1:123456789012:alerts",
    }
    assert (defaults["DimensionEnvironment"], defaults["DimensionCostcenter"]) == (
        "prod",
        "${x} %{y}",
    )
    alarm = template["Resources"]["AlarmTooFewWorkers"]["Properties"]
    assert alarm["Threshold"] == {"Ref": "ThresholdTooFewWorkers"}
    assert defaults["ThresholdTooFewWorkers"] == 1
    assert {
        type(default)
        for name, default in defaults.items()
        if name.startswith("Threshold") and default == int(default)
    } == {int}
    assert alarm["AlarmDescription"]["Fn::Sub"].startswith(
        "Fewer than ${ThresholdTooFewWorkers} workers are online."
    )
    assert template["Outputs"]["CompositeAlarmArn"]["Value"] == {
        "Fn::GetAtt": ["CompositeUnhealthy", "Arn"]
    }


def test_an_alarm_that_pages_notifies_both_lists() -> None:
    """Either may be empty."""
    stack = build_stack(("alarms",), Settings(), ProvisionOptions())
    resources = read_back(cloudformation_template(stack))["Resources"]

    paged, quiet = (
        resources[name]["Properties"]["AlarmActions"]
        for name in ("AlarmMonitorDead", "AlarmWorkersLost")
    )
    assert set(re.findall(r"'Ref': '(\w+)'", str(paged))) >= {"Topics", "Pages"}
    assert quiet == {"Fn::If": ["HasTopics", {"Ref": "Topics"}, {"Ref": "AWS::NoValue"}]}


def test_a_template_too_large_for_cloudformation_says_what_to_do() -> None:
    """51,200 bytes of a file, 500 resources of a template."""
    few = cloudformation_template(build_stack(("alarms",), Settings(), ProvisionOptions()))
    tasks = tuple(TaskLimits(f"task-{number}", p95=1.0) for number in range(500))
    options = ProvisionOptions(tasks=tasks)
    many = cloudformation_template(build_stack(("alarms",), Settings(), options))

    assert list(template_notes(few)) == []
    size, resources = template_notes(many)
    assert "CloudFormation takes 51,200 from a file: put it into S3" in size
    assert "and CloudFormation takes 500" in resources
    assert json.loads(template_text(many)) == read_back(many)
