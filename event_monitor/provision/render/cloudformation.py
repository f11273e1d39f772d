"""CloudFormation: the stack as one template, in JSON. Pure.

JSON has no comments: what a person must decide is a parameter, and notes are its metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from ..model import Alarm, Located
from ..policy import ECS_TRUST_POLICY
from ..stack import Stack
from ..task_definition import CPU, MEMORY
from .api import alarm_parameters, composite_parameters, scaling_settings

__all__ = ["template_of"]

Resources = dict[str, Any]

_WORKERS = {
    "WorkersCluster": "Name of the ECS cluster of the workers.",
    "WorkersService": "Name of the ECS service of the workers.",
}
_MONITOR = {
    "MonitorImage": "Image that has the app and celery-event-monitor.",
    "MonitorApp": "The Celery app, as in celery -A.",
    "MonitorBrokerSecret": "ARN of the secret that holds the broker's URL.",
    "MonitorExecutionRole": "ARN of the role ECS pulls and logs with.",
    "MonitorLogGroup": "Name of the log group.",
    "MonitorCluster": "Name of the ECS cluster the monitor runs in.",
}
_LISTS = {
    "MonitorSubnets": ("List<AWS::EC2::Subnet::Id>", "Subnets with a way to the broker."),
    "MonitorSecurityGroups": ("List<AWS::EC2::SecurityGroup::Id>", "Its security groups."),
}


def template_of(stack: Stack) -> dict[str, Any]:
    """The template, as what JSON is made of."""
    parameters: dict[str, Any] = {}
    resources: Resources = {}
    resources |= _alarms(stack)
    if stack.dashboard is not None:
        resources["Dashboard"] = _resource(
            "CloudWatch::Dashboard",
            DashboardName=stack.dashboard_name,
            DashboardBody={"Fn::Sub": json.dumps(_substituted(stack.dashboard))},
        )
    if stack.policy is not None:
        resources["MonitorPolicy"] = _resource(
            "IAM::ManagedPolicy",
            Description="What the Celery event monitor may do.",
            PolicyDocument=stack.policy,
        )
    if stack.scaling:
        parameters |= {name: _text(what) for name, what in _WORKERS.items()}
        resources |= dict(_autoscaling(stack))
    if stack.container is not None:
        parameters |= {name: _text(what) for name, what in _MONITOR.items()}
        parameters |= {
            name: {"Type": kind, "Description": what} for name, (kind, what) in _LISTS.items()
        }
        resources |= _ecs(stack)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Celery in CloudWatch, as event-monitor publishes it.",
        **({"Metadata": {"Notes": list(stack.notes)}} if stack.notes else {}),
        **({"Parameters": parameters} if parameters else {}),
        "Resources": resources,
    }


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _text(description: str) -> dict[str, str]:
    return {"Type": "String", "Description": description}


def _substituted(value: Any) -> Any:
    """For ``Fn::Sub``: ours are variables, everything else is as it stands."""
    if isinstance(value, dict):
        return {name: _substituted(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_substituted(one) for one in value]
    if not isinstance(value, str):
        return value
    literal = value.replace("${", "${!")
    if not isinstance(value, Located):
        return literal
    return Located(literal).filled(
        partition="${AWS::Partition}", region="${AWS::Region}", account="${AWS::AccountId}"
    )


def _logical(name: str, prefix: str) -> str:
    """A logical id: letters and digits only, and never the same for two names."""
    short = name.removeprefix(f"{prefix}-")
    words = "".join(part.capitalize() for part in re.findall(r"[A-Za-z0-9]+", short))
    if re.fullmatch(r"[a-z]+(-[a-z]+)*", short):
        return f"Alarm{words}"
    return f"Alarm{words[:100]}X{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _alarms(stack: Stack) -> Resources:
    found = {_logical(one.name, stack.prefix): _alarm(one, stack.prefix) for one in stack.alarms}
    if stack.composite is not None:
        found["CompositeUnhealthy"] = _resource(
            "CloudWatch::CompositeAlarm", **composite_parameters(stack.composite, stack.prefix)
        ) | {"DependsOn": [_logical(one, stack.prefix) for one in stack.composite.children]}
    return found


def _alarm(alarm: Alarm, prefix: str) -> dict[str, Any]:
    return _resource("CloudWatch::Alarm", **alarm_parameters(alarm, prefix))


def _autoscaling(stack: Stack) -> Iterator[tuple[str, Any]]:
    low, high = stack.workers
    yield (
        "WorkersTarget",
        _resource(
            "ApplicationAutoScaling::ScalableTarget",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId={"Fn::Sub": "service/${WorkersCluster}/${WorkersService}"},
            MinCapacity=low,
            MaxCapacity=high,
        ),
    )
    for scaling in stack.scaling:
        policy = f"Scale{scaling.key.capitalize()}"
        yield (
            policy,
            _resource(
                "ApplicationAutoScaling::ScalingPolicy",
                PolicyName=scaling.name,
                ScalingTargetId={"Ref": "WorkersTarget"},
                **scaling_settings(scaling),
            ),
        )
        if scaling.alarm is not None:
            alarm = _alarm(scaling.alarm, stack.prefix)
            alarm["Properties"] |= {"AlarmActions": [{"Ref": policy}], "OKActions": []}
            yield _logical(scaling.alarm.name, stack.prefix), alarm


def _ecs(stack: Stack) -> Resources:
    made = _capitalized(stack.container or {})
    made |= {
        "Image": {"Ref": "MonitorImage"},
        "Environment": [
            {"Name": "EVENT_MONITOR_APP", "Value": {"Ref": "MonitorApp"}},
            *made["Environment"],
        ],
        "Secrets": [{"Name": "EVENT_MONITOR_BROKER", "ValueFrom": {"Ref": "MonitorBrokerSecret"}}],
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": {"Ref": "MonitorLogGroup"},
                "awslogs-region": {"Ref": "AWS::Region"},
                "awslogs-stream-prefix": made["Name"],
            },
        },
    }
    return {
        "MonitorRole": _resource(
            "IAM::Role",
            AssumeRolePolicyDocument=ECS_TRUST_POLICY,
            Policies=[{"PolicyName": "monitor", "PolicyDocument": stack.container_policy}],
        ),
        "MonitorTask": _resource(
            "ECS::TaskDefinition",
            Family=made["Name"],
            RequiresCompatibilities=["FARGATE"],
            NetworkMode="awsvpc",
            Cpu=CPU,
            Memory=MEMORY,
            ExecutionRoleArn={"Ref": "MonitorExecutionRole"},
            TaskRoleArn={"Fn::GetAtt": ["MonitorRole", "Arn"]},
            ContainerDefinitions=[made],
        ),
        # One task, and never two at once: a second monitor counts everything again.
        "MonitorService": _resource(
            "ECS::Service",
            ServiceName=made["Name"],
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


def _capitalized(value: Any) -> Any:
    """ECS writes ``stopTimeout``, CloudFormation ``StopTimeout``."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _capitalized(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_capitalized(one) for one in value]
    return value
