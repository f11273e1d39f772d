"""CloudFormation: a template that its own linter accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.render.cloudformation import cloudformation_template
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, OPTIONS, STEPS, read_back


@pytest.mark.parametrize("settings", [EVERYTHING, Settings(drain_seconds=600.0)])
@pytest.mark.parametrize("options", [OPTIONS, STEPS])
def test_cloudformation_has_no_warnings(
    tmp_path: Path, settings: Settings, options: ProvisionOptions
) -> None:
    """cfn-lint judges every piece."""
    pytest.importorskip("cfnlint")
    if settings != EVERYTHING:
        options = replace(options, scale_queue="")
    path = tmp_path / "event-monitor.template.json"
    path.write_text(json.dumps(cloudformation_template(build_stack(PIECES, settings, options))))
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "--regions", "us-east-1", "--", str(path)]
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
