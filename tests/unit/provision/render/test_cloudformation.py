"""CloudFormation: a template that its own linter accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.provision.render.cloudformation import cloudformation_template
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, OPTIONS, STEPS, read_back

PLAIN = Settings(drain_seconds=600.0)


def test_cloudformation_has_no_warnings(tmp_path: Path) -> None:
    """cfn-lint judges every piece; in one run, since its start takes seconds."""
    pytest.importorskip("cfnlint")
    for number, (settings, options) in enumerate(
        (
            (EVERYTHING, OPTIONS),
            (EVERYTHING, STEPS),
            (PLAIN, replace(OPTIONS, scale_queue="")),
            (PLAIN, replace(STEPS, scale_queue="")),
        )
    ):
        template = cloudformation_template(build_stack(PIECES, settings, options))
        (tmp_path / f"{number}.template.json").write_text(json.dumps(template))
    linter = Path(sys.executable).with_name("cfn-lint")
    paths = map(str, sorted(tmp_path.glob("*.template.json")))
    command = [str(linter), "--regions", "us-east-1", "--", *paths]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_cloudformation_substitutes_nothing_but_account_and_region() -> None:
    """A label of CloudWatch's looks like a variable of its own."""
    stack = build_stack(("alarms", "dashboard"), EVERYTHING, OPTIONS)
    template = read_back(cloudformation_template(stack))
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    assert set(re.findall(r"\$\{(?!!)[^}]*\}", body)) == {
        "${AWS::Partition}",
        "${AWS::Region}",
        "${AWS::AccountId}",
    }
    assert "${!PROP('Dim.TaskName')}" in body
