"""CloudFormation, alarms: metric alarms and the composite as resources. Pure."""

from __future__ import annotations

from ..model import Alarm
from ..references import short_name
from ..stack import Stack
from .api import alarm_parameters, composite_parameters
from .cloudformation_values import (
    Resource,
    Resources,
    if_else,
    no_value,
    ref,
    resource,
    threshold_parameter,
)
from .local_name import logical_id
from .threshold_text import split_at_threshold

__all__ = ["alarm_id", "alarm_resource", "alarm_resources"]


def alarm_resources(stack: Stack) -> Resources:
    """Yield every alarm, then the composite. ``stack`` has references in it."""
    for alarm in stack.alarms:
        actions = _topics_and_pages() if alarm.pages else _topics()
        changes: dict[str, object] = {"AlarmActions": actions, "OKActions": actions}
        if alarm.cluster_wide:
            changes |= _description(alarm, threshold_parameter(short_name(alarm.name)))
        yield alarm_id(alarm), alarm_resource(alarm, stack, **changes)
    if stack.composite is not None:
        children = {alarm.name: alarm_id(alarm) for alarm in stack.alarms}
        rule = " OR ".join(f'ALARM("${{{children[name]}}}")' for name in stack.composite.children)
        properties = composite_parameters(stack.composite, stack.prefix)
        actions = _topics()
        properties |= {
            "AlarmRule": {"Fn::Sub": rule},
            "AlarmActions": actions,
            "OKActions": actions,
        }
        yield "CompositeUnhealthy", resource("AWS::CloudWatch::CompositeAlarm", **properties)


def alarm_resource(alarm: Alarm, stack: Stack, **changes: object) -> Resource:
    """Return one metric alarm; ``changes`` are properties that replace its own."""
    return resource(
        "AWS::CloudWatch::Alarm", **{**alarm_parameters(alarm, stack.prefix), **changes}
    )


def alarm_id(alarm: Alarm) -> str:
    """Return what the alarm is called within the template."""
    return f"Alarm{logical_id(short_name(alarm.name))}"


def _description(alarm: Alarm, parameter: str) -> dict[str, object]:
    """Return the description with the threshold that is in force, if it says one."""
    parts = split_at_threshold(alarm)
    if parts is None:
        return {}
    before, after = (part.replace("${", "${!") for part in parts)
    return {"AlarmDescription": {"Fn::Sub": f"{before}${{{parameter}}}{after}"}}


def _topics() -> object:
    return if_else("HasTopics", ref("Topics"), no_value())


def _topics_and_pages() -> object:
    texts = [{"Fn::Join": [",", ref(name)]} for name in ("Topics", "Pages")]
    both = {"Fn::Split": [",", {"Fn::Join": [",", texts]}]}
    return if_else(
        "HasTopics",
        if_else("HasPages", both, ref("Topics")),
        if_else("HasPages", ref("Pages"), no_value()),
    )
