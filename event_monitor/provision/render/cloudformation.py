"""CloudFormation: the stack as one template, in JSON. Pure.

JSON has no comments: what a person must decide is a parameter, and notes are its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypedDict

from ..inputs import Input
from ..references import short_name
from ..scaling import SERVICE_ADVICE
from ..stack import Stack
from ..task_definition import monitor_inputs
from .cloudformation_alarms import alarm_id, alarm_resources
from .cloudformation_ecs import monitor_resources, scaling_resources, service_parameter
from .cloudformation_values import (
    Resource,
    Resources,
    Values,
    arn_of,
    camel_case,
    ref,
    resource,
    threshold_parameter,
    without_unused,
)

__all__ = ["Template", "cloudformation_template", "template_notes", "template_text"]

_MAX_BODY_BYTES = 51_200  # of a template that is not read from S3
_MAX_RESOURCES = 500  # of one template

Entry = dict[str, object]  # a parameter, a condition or an output
Entries = Iterator[tuple[str, Entry]]


class Template(TypedDict, total=False):
    """A template, ready for JSON."""

    AWSTemplateFormatVersion: str
    Description: str
    Metadata: dict[str, object]
    Parameters: dict[str, Entry]
    Conditions: dict[str, Entry]
    Resources: dict[str, Resource]
    Outputs: dict[str, Entry]


def cloudformation_template(stack: Stack) -> Template:
    """Return the template: what can be varied in it are parameters with defaults."""
    template = stack.template or stack
    values = Values(
        [name for name, _ in stack.dimensions],
        # A template takes 200 parameters, too few for those of every task.
        varied=frozenset(
            short_name(alarm.name) for alarm in template.known_alarms if alarm.cluster_wide
        ),
    )
    resources = {
        name: resource(found["Type"], **values.properties(found["Properties"]))
        for name, found in _resources(template, values)
    }
    parameters = {**values.parameters(stack), **dict(_parameters(template, stack))}
    conditions = {
        "HasTopics": _is_given("Topics", is_list=True),
        "HasPages": _is_given("Pages", is_list=True),
        "HasState": _is_given("MonitorStateFileSystem"),
        "HasAccessPoint": _is_given("MonitorStateAccessPoint"),
    }
    used_conditions = without_unused(conditions, resources)
    notes = [*stack.notes, *((SERVICE_ADVICE,) if stack.scaling else ())]
    found: Template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Celery in CloudWatch, as event-monitor publishes it.",
        "Parameters": without_unused(parameters, [resources, used_conditions]),
        "Resources": resources,
    }
    if notes:
        found["Metadata"] = {"Notes": notes}
    if used_conditions:
        found["Conditions"] = used_conditions
    outputs = dict(_outputs(template))
    if outputs:
        found["Outputs"] = outputs
    return found


def template_text(template: Template) -> str:
    """Return the template as compact JSON, with a line for each entry, so that changes show."""
    sections = []
    for name, section in template.items():
        text = _compact(section)
        if isinstance(section, dict):
            entries = (f"{_compact(key)}:{_compact(value)}" for key, value in section.items())
            text = "{\n" + ",\n".join(entries) + "\n}"
        sections.append(f"{_compact(name)}:{text}")
    return "{" + ",\n".join(sections) + "}\n"


def template_notes(template: Template) -> Iterator[str]:
    """Yield a sentence for each limit of CloudFormation that the template is above."""
    size, resources = len(template_text(template).encode()), len(template["Resources"])
    if size > _MAX_BODY_BYTES:
        yield (
            f"The template has {size:,} bytes, and CloudFormation takes {_MAX_BODY_BYTES:,} from a "
            "file: put it into S3 with `aws cloudformation deploy --s3-bucket BUCKET`."
        )
    if resources > _MAX_RESOURCES:
        yield (
            f"The template has {resources} resources, and CloudFormation takes {_MAX_RESOURCES}: "
            "write some --task and --queue into a template of another --prefix, or use Terraform."
        )


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _resources(stack: Stack, values: Values) -> Resources:
    yield from alarm_resources(stack)
    if stack.dashboard is not None:
        yield (
            "Dashboard",
            resource(
                "AWS::CloudWatch::Dashboard",
                DashboardName=stack.dashboard_name,
                DashboardBody=values.json_text(stack.dashboard),
            ),
        )
    if stack.policy is not None:
        yield (
            "MonitorPolicy",
            resource(
                "AWS::IAM::ManagedPolicy",
                Description="What the Celery event monitor may do.",
                PolicyDocument=stack.policy,
            ),
        )
    for queue in stack.queues:
        yield (
            f"{queue.key.capitalize()}Queue",
            resource(
                "AWS::SQS::Queue",
                QueueName=queue.name,
                **({"FifoQueue": True} if queue.is_fifo else {}),
                VisibilityTimeout=queue.visibility_seconds,
                MessageRetentionPeriod=queue.retention_seconds,
                ReceiveMessageWaitTimeSeconds=queue.wait_seconds,
                SqsManagedSseEnabled=True,
            ),
        )
    if stack.workers_policy is not None:
        yield (
            "WorkersPolicy",
            resource(
                "AWS::IAM::ManagedPolicy",
                Description="What whoever calls send_events_over_sqs may do.",
                PolicyDocument=stack.workers_policy,
            ),
        )
    for service in stack.scaling:
        yield from scaling_resources(stack, service)
    if stack.container is not None:
        yield from monitor_resources(stack, stack.container)


def _parameters(template: Stack, stack: Stack) -> Entries:
    """Yield what is asked of a person, or can be changed, besides prefix and dimensions."""
    yield "Topics", _list("ARNs of the SNS topics that every alarm notifies.", stack.topics)
    yield (
        "Pages",
        _list(
            "ARNs of the SNS topics that alarms notify too if somebody has to get up for them.",
            # Alarms that page notify both, and each topic once.
            tuple(page for page in stack.pages if page not in stack.topics),
        ),
    )
    for alarm in template.known_alarms:
        if alarm.cluster_wide:
            name = short_name(alarm.name)
            number = float(alarm.threshold)
            default = int(number) if number.is_integer() else number
            yield (
                threshold_parameter(name),
                {"Type": "Number", "Default": default, "Description": f"Of the alarm {name}."},
            )
    if stack.scaling:
        fewest, most = stack.workers
        yield "WorkersCluster", _input(Input(name="", description="ECS cluster of the workers."))
        for service in stack.scaling:
            yield (
                service_parameter(service),
                _input(
                    Input(
                        name="",
                        description="ECS service of the workers.",
                        default=service.service or None,
                    )
                ),
            )
        yield (
            "WorkersTo",
            {
                "Type": "Number",
                "Default": most,
                "MinValue": fewest,
                "Description": "Most tasks of a service of workers.",
            },
        )
    if stack.container is not None:
        for value in monitor_inputs(stack.container):
            yield camel_case(value.name), _input(value)


def _outputs(stack: Stack) -> Entries:
    for alarm in stack.alarms:
        if alarm.cluster_wide:  # a template takes 200 outputs
            name = alarm_id(alarm)
            yield f"{name}Arn", {"Value": arn_of(name)}
    if stack.composite is not None:
        yield "CompositeAlarmName", {"Value": ref("CompositeUnhealthy")}
        yield "CompositeAlarmArn", {"Value": arn_of("CompositeUnhealthy")}
    if stack.dashboard is not None:
        yield "DashboardName", {"Value": ref("Dashboard")}
    if stack.policy is not None:
        yield "PolicyArn", {"Value": ref("MonitorPolicy")}
    if stack.workers_policy is not None:
        yield "EventQueueUrl", {"Value": ref("EventsQueue")}
        yield "WorkersPolicyArn", {"Value": ref("WorkersPolicy")}
    if stack.container is not None:
        yield "RoleArn", {"Value": arn_of("MonitorRole")}
        yield "RoleName", {"Value": ref("MonitorRole")}
        yield "TaskDefinitionArn", {"Value": ref("MonitorTask")}
        yield "ServiceName", {"Value": {"Fn::GetAtt": ["MonitorService", "Name"]}}


def _is_given(name: str, *, is_list: bool = False) -> dict[str, object]:
    text: object = {"Fn::Join": ["", ref(name)]} if is_list else ref(name)
    return {"Fn::Not": [{"Fn::Equals": [text, ""]}]}


def _list(description: str, default: tuple[str, ...]) -> dict[str, object]:
    return {
        "Type": "CommaDelimitedList",
        "Default": ",".join(dict.fromkeys(default)),
        "Description": description,
    }


def _input(value: Input) -> dict[str, object]:
    kind = f"List<{value.element_type}>" if value.element_type else "String"
    return {
        "Type": kind,
        "Description": value.description,
        **({} if value.default is None else {"Default": value.default}),
        **({"AllowedValues": list(value.allowed)} if value.allowed else {}),
    }
