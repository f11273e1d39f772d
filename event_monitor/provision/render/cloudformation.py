"""CloudFormation: the stack as one template, in JSON. Pure.

JSON has no comments: what a person must decide is a parameter, and notes are its metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from ..model import Alarm, PlaceholderText
from ..policy import ECS_TRUST_POLICY
from ..scaling import SCALABLE_DIMENSION, SERVICE_NAMESPACE
from ..stack import Stack
from ..task_definition import (
    CPU,
    MEMORY,
    MONITOR_INPUTS,
    WORKERS_INPUTS,
    Container,
    Input,
    complete_container,
)
from .api import alarm_parameters, composite_parameters, scaling_policy

__all__ = ["cloudformation_template"]

Resource = dict[str, object]


def cloudformation_template(stack: Stack) -> dict[str, object]:
    """Return the template, ready for JSON."""
    inputs: list[Input] = []
    resources = dict(_alarms(stack))
    if stack.dashboard is not None:
        resources["Dashboard"] = _resource(
            "CloudWatch::Dashboard",
            DashboardName=stack.dashboard_name,
            DashboardBody={"Fn::Sub": json.dumps(_substitutable(stack.dashboard))},
        )
    if stack.policy is not None:
        resources["MonitorPolicy"] = _resource(
            "IAM::ManagedPolicy",
            Description="What the Celery event monitor may do.",
            PolicyDocument=stack.policy,
        )
    if stack.scaling:
        inputs += WORKERS_INPUTS
        resources |= _autoscaling(stack)
    if stack.container is not None:
        inputs += MONITOR_INPUTS
        resources |= _ecs(stack.container, stack.container_policy)
    parameters = {_camel_case(value.name): _parameter(value) for value in inputs}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Celery in CloudWatch, as event-monitor publishes it.",
        **({"Metadata": {"Notes": list(stack.notes)}} if stack.notes else {}),
        **({"Parameters": parameters} if parameters else {}),
        "Resources": resources,
    }


def _resource(kind: str, **properties: object) -> Resource:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _parameter(value: Input) -> dict[str, str]:
    kind = f"List<{value.element_type}>" if value.element_type else "String"
    return {"Type": kind, "Description": value.description}


def _camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


# -- alarms and dashboard --------------------------------------------------------------------------


def _alarms(stack: Stack) -> Iterator[tuple[str, Resource]]:
    for alarm in stack.alarms:
        yield _logical_id(alarm.name, stack.prefix), _alarm(alarm, stack.prefix)
    if stack.composite is not None:
        properties = composite_parameters(stack.composite, stack.prefix)
        composite = _resource("CloudWatch::CompositeAlarm", **properties)
        composite["DependsOn"] = [
            _logical_id(name, stack.prefix) for name in stack.composite.children
        ]
        yield "CompositeUnhealthy", composite


def _alarm(alarm: Alarm, prefix: str, **changes: object) -> Resource:
    return _resource("CloudWatch::Alarm", **{**alarm_parameters(alarm, prefix), **changes})


def _logical_id(name: str, prefix: str) -> str:
    """Return letters and digits only, and never the same for two names."""
    short = name.removeprefix(f"{prefix}-")
    words = "".join(part.capitalize() for part in re.findall(r"[A-Za-z0-9]+", short))
    if re.fullmatch(r"[a-z]+(-[a-z]+)*", short):
        return f"Alarm{words}"
    return f"Alarm{words[:100]}X{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _substitutable(value: object) -> object:
    """Return the value for ``Fn::Sub``: placeholders are variables, all else is literal."""
    if isinstance(value, dict):
        return {name: _substitutable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_substitutable(item) for item in value]
    if not isinstance(value, str):
        return value
    literal = value.replace("${", "${!")
    if not isinstance(value, PlaceholderText):
        return literal
    return PlaceholderText(literal).filled(
        partition="${AWS::Partition}", region="${AWS::Region}", account="${AWS::AccountId}"
    )


# -- scaling of the workers ------------------------------------------------------------------------


def _autoscaling(stack: Stack) -> Iterator[tuple[str, Resource]]:
    fewest, most = stack.workers
    target = _resource(
        "ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace=SERVICE_NAMESPACE,
        ScalableDimension=SCALABLE_DIMENSION,
        ResourceId={"Fn::Sub": "service/${WorkersCluster}/${WorkersService}"},
        MinCapacity=fewest,
        MaxCapacity=most,
    )
    yield "WorkersTarget", target
    for scaling in stack.scaling:
        policy_id = f"Scale{scaling.key.capitalize()}"
        policy = _resource(
            "ApplicationAutoScaling::ScalingPolicy",
            PolicyName=scaling.name,
            ScalingTargetId={"Ref": "WorkersTarget"},
            **scaling_policy(scaling),
        )
        yield policy_id, policy
        if scaling.alarm is not None:
            trigger = _alarm(
                scaling.alarm, stack.prefix, AlarmActions=[{"Ref": policy_id}], OKActions=[]
            )
            yield _logical_id(scaling.alarm.name, stack.prefix), trigger


# -- the monitor's service -------------------------------------------------------------------------


def _ecs(container: Container, policy: dict[str, object] | None) -> dict[str, Resource]:
    complete = complete_container(
        container,
        image={"Ref": "MonitorImage"},
        app={"Ref": "MonitorApp"},
        broker_secret={"Ref": "MonitorBrokerSecret"},
        log_group={"Ref": "MonitorLogGroup"},
        region={"Ref": "AWS::Region"},
    )
    return {
        "MonitorRole": _resource(
            "IAM::Role",
            AssumeRolePolicyDocument=ECS_TRUST_POLICY,
            Policies=[{"PolicyName": "monitor", "PolicyDocument": policy}],
        ),
        "MonitorTask": _resource(
            "ECS::TaskDefinition",
            Family=container["name"],
            RequiresCompatibilities=["FARGATE"],
            NetworkMode="awsvpc",
            Cpu=CPU,
            Memory=MEMORY,
            ExecutionRoleArn={"Ref": "MonitorExecutionRole"},
            TaskRoleArn={"Fn::GetAtt": ["MonitorRole", "Arn"]},
            Volumes=[{"Name": mount["sourceVolume"]} for mount in container["mountPoints"]],
            ContainerDefinitions=[_capitalized(complete)],
        ),
        # One task, and never two at once: a second monitor would count everything again.
        "MonitorService": _resource(
            "ECS::Service",
            ServiceName=container["name"],
            Cluster={"Ref": "MonitorCluster"},
            TaskDefinition={"Ref": "MonitorTask"},
            LaunchType="FARGATE",
            DesiredCount=1,
            DeploymentConfiguration={"MinimumHealthyPercent": 0, "MaximumPercent": 100},
            NetworkConfiguration={
                "AwsvpcConfiguration": {
                    "Subnets": {"Ref": "MonitorSubnets"},
                    "SecurityGroups": {"Ref": "MonitorSecurityGroups"},
                }
            },
        ),
    }


def _capitalized(value: object) -> object:
    """Return ECS's keys as CloudFormation spells them: ``stopTimeout`` is ``StopTimeout``.

    Options of a log driver have hyphens and stay as they are.
    """
    if isinstance(value, dict):
        return {
            name if "-" in name else name[0].upper() + name[1:]: _capitalized(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_capitalized(item) for item in value]
    return value
