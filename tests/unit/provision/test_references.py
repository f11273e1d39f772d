"""References: what is a variable stays one, however deep it stands."""

from __future__ import annotations

import json
from dataclasses import replace

from event_monitor.provision.alarms import build_alarms
from event_monitor.provision.options import ProvisionOptions, TaskLimits
from event_monitor.provision.references import referring_alarm, with_thresholds
from event_monitor.provision.render.cloudformation import cloudformation_template
from event_monitor.provision.render.terraform import terraform_files
from event_monitor.provision.stack import Stack, build_stack
from event_monitor.settings import Settings

from .examples import read_back

OPTIONS = ProvisionOptions(tasks=(TaskLimits("shop.pay", p95=30.0),))


def drawn() -> Stack:
    """Return a stack whose dashboard draws thresholds, as numbers and in labels."""
    stack = build_stack(("alarms", "dashboard"), Settings(), OPTIONS)
    template = stack.template
    assert template is not None
    lines = [
        {"value": alarm.threshold, "label": f"{alarm.name} > {alarm.threshold:,.10g}"}
        for alarm in template.alarms
        if alarm.series[0].metric in ("QueueLength", "TaskRuntime")
    ]
    dashboard = {"widgets": with_thresholds(lines, template.alarms)}
    return replace(stack, template=replace(template, dashboard=dashboard))


def test_thresholds_in_a_dashboard_are_those_in_force_with_terraform() -> None:
    """As numbers, and in texts."""
    text = " ".join(terraform_files(drawn())["dashboard.tf"].split())

    assert "value = var.thresholds.queue_length label =" in text
    assert '"${var.prefix}-queue-length > ${var.thresholds.queue_length}"' in text


def test_thresholds_in_a_dashboard_are_those_in_force_with_cloudformation() -> None:
    """Those of single tasks are no parameters, but the numbers that were chosen."""
    template = read_back(cloudformation_template(drawn()))
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    assert '{"value":${ThresholdQueueLength},"label":"${Prefix}-queue-length > $' in body
    assert '"value":30,"label":"${Prefix}-runtime-p95-shop.pay > 30"}' in body
    assert json.loads(body.replace(":${ThresholdQueueLength}", ":1"))


def test_a_text_gets_no_longer_while_it_is_put_together() -> None:
    """What cuts labels at a length cuts the same as without references."""
    (alarm, *_) = build_alarms(Settings(), ProvisionOptions())
    reference = referring_alarm(alarm, "celery", number=7)

    assert len(f"{reference.threshold:,.10g}") == 1
    assert reference.threshold == alarm.threshold
    assert len(reference.name) < len(alarm.name)
