"""API: the stack as the parameters boto3 and the AWS command line take. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..model import COMPARISONS, Alarm, CompositeAlarm, ScalingPolicy, Series, alarm_tags
from ..policy import ECS_TRUST_POLICY
from ..scaling import (
    ADJUSTMENT_TYPE,
    AGGREGATION,
    SCALABLE_DIMENSION,
    SERVICE_ADVICE,
    SERVICE_NAMESPACE,
)
from ..stack import Stack
from ..task_definition import Container, monitor_inputs, monitor_service, monitor_task

__all__ = ["Parameters", "alarm_parameters", "api_calls", "composite_parameters", "scaling_policy"]

Parameters = dict[str, object]


def alarm_parameters(alarm: Alarm, prefix: str) -> Parameters:
    """Return those of ``put_metric_alarm``, without the ARN of the policy of a scaling alarm."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        **_watched(alarm),
        "ComparisonOperator": COMPARISONS[alarm.comparison],
        "Threshold": alarm.threshold,
        "DatapointsToAlarm": alarm.datapoints,
        "EvaluationPeriods": alarm.periods,
        "TreatMissingData": alarm.missing,
        **_actions_and_tags(alarm.actions, prefix),
    }


def composite_parameters(composite: CompositeAlarm, prefix: str) -> Parameters:
    """Return those of ``put_composite_alarm``."""
    return {
        "AlarmName": composite.name,
        "AlarmDescription": composite.description,
        "AlarmRule": composite.rule,
        **_actions_and_tags(composite.actions, prefix),
    }


def scaling_policy(scaling: ScalingPolicy) -> Parameters:
    """Return type and configuration, which ``put_scaling_policy`` and CloudFormation share."""
    if scaling.series is not None:
        return {
            "PolicyType": scaling.policy_type,
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": scaling.target,
                "ScaleOutCooldown": scaling.cooldown_seconds,
                "DisableScaleIn": True,
                "CustomizedMetricSpecification": {
                    **_metric(scaling.series),
                    "Statistic": scaling.series.statistic,
                },
            },
        }
    return {
        "PolicyType": scaling.policy_type,
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": ADJUSTMENT_TYPE,
            "MetricAggregationType": AGGREGATION,
            "Cooldown": scaling.cooldown_seconds,
            "StepAdjustments": [
                _without_nones(
                    MetricIntervalLowerBound=step.low,
                    MetricIntervalUpperBound=step.high,
                    ScalingAdjustment=step.change,
                )
                for step in scaling.steps
            ],
        },
    }


def api_calls(stack: Stack) -> Parameters:
    """Return every piece but Grafana's: name of the call → parameters of each call, in their order.

    What is in double braces is to be filled in, such as ``{{region}}`` or the ARN of a scaling
    policy in the alarm that triggers it. ``notes`` say so.
    """
    calls: dict[str, list[Parameters]] = {}
    for call, parameters in _calls(stack):
        calls.setdefault(call, []).append(parameters)
    notes = [*stack.notes, *((SERVICE_ADVICE,) if stack.scaling else ())]
    if "{{" in json.dumps(calls):
        notes.append("Replace the placeholders in double braces.")
    return {**({"notes": notes} if notes else {}), **calls}


def _calls(stack: Stack) -> Iterator[tuple[str, Parameters]]:
    if stack.scaling:
        yield from _scaling_calls(stack)
    for alarm in stack.alarms:
        yield "put_metric_alarm", alarm_parameters(alarm, stack.prefix)
    if stack.composite is not None:
        yield "put_composite_alarm", composite_parameters(stack.composite, stack.prefix)
    if stack.dashboard is not None:
        body = json.dumps(stack.dashboard)
        yield "put_dashboard", {"DashboardName": stack.dashboard_name, "DashboardBody": body}
    if stack.policy is not None:
        document = json.dumps(stack.policy)
        yield (
            "create_policy",
            {"PolicyName": f"{stack.prefix}-monitor", "PolicyDocument": document},
        )
    for queue in stack.queues:
        yield (
            "create_queue",
            {
                "QueueName": queue.name,
                "Attributes": {
                    **({"FifoQueue": "true"} if queue.is_fifo else {}),
                    "VisibilityTimeout": str(queue.visibility_seconds),
                    "MessageRetentionPeriod": str(queue.retention_seconds),
                    "ReceiveMessageWaitTimeSeconds": str(queue.wait_seconds),
                    "SqsManagedSseEnabled": "true",
                },
                "tags": alarm_tags(stack.prefix),
            },
        )
    if stack.workers_policy is not None:
        document = json.dumps(stack.workers_policy)
        yield (
            "create_policy",
            {"PolicyName": f"{stack.prefix}-workers", "PolicyDocument": document},
        )
    if stack.container is not None:
        yield from _monitor_calls(stack, stack.container)


def _scaling_calls(stack: Stack) -> Iterator[tuple[str, Parameters]]:
    fewest, most = stack.workers
    for service in stack.scaling:
        scaled: Parameters = {
            "ServiceNamespace": SERVICE_NAMESPACE,
            "ScalableDimension": SCALABLE_DIMENSION,
            "ResourceId": f"service/{{{{cluster}}}}/{service.service or '{{service}}'}",
        }
        target = {**scaled, "MinCapacity": fewest, "MaxCapacity": most}
        yield "register_scalable_target", target
        for policy in service.policies:
            yield (
                "put_scaling_policy",
                {"PolicyName": policy.name, **scaled, **scaling_policy(policy)},
            )
            if policy.alarm is not None:
                alarm = alarm_parameters(policy.alarm, stack.prefix)
                arn = f"{{{{PolicyARN of {policy.name}}}}}"
                yield "put_metric_alarm", {**alarm, "AlarmActions": [arn]}


def _monitor_calls(stack: Stack, container: Container) -> Iterator[tuple[str, Parameters]]:
    lists = {entry.name for entry in monitor_inputs(container) if entry.element_type}
    defaults = {entry.name: entry.default for entry in monitor_inputs(container) if entry.default}

    def value(name: str) -> object:
        text = defaults.get(name, f"{{{{{name}}}}}")
        return [text] if name in lists else text

    role = container["name"]
    yield (
        "create_role",
        {"RoleName": role, "AssumeRolePolicyDocument": json.dumps(ECS_TRUST_POLICY)},
    )
    if stack.policy is None:
        document = json.dumps(stack.container_policy)
        yield (
            "put_role_policy",
            {"RoleName": role, "PolicyName": "monitor", "PolicyDocument": document},
        )
    else:
        arn = f"arn:{{{{partition}}}}:iam::{{{{account}}}}:policy/{stack.prefix}-monitor"
        yield "attach_role_policy", {"RoleName": role, "PolicyArn": arn}
    arn = f"arn:{{{{partition}}}}:iam::{{{{account}}}}:role/{role}"
    yield (
        "register_task_definition",
        monitor_task(
            container,
            value,
            role=arn,
            region="{{region}}",
            environment=stack.environment,
            secrets=stack.secrets,
        ),
    )
    yield "create_service", monitor_service(container, value, task=container["name"])


def _watched(alarm: Alarm) -> Parameters:
    """Return what an alarm looks at: one metric, or an expression over several."""
    if alarm.expression:
        expression = {
            "Id": "e0",
            "Expression": alarm.expression,
            "Label": alarm.name,
            "ReturnData": True,
        }
        queries = [_query(series, alarm.period_seconds) for series in alarm.series]
        return {"Metrics": [expression, *queries]}
    (series,) = alarm.series
    statistic = "ExtendedStatistic" if series.is_percentile else "Statistic"
    return {**_metric(series), statistic: series.statistic, "Period": alarm.period_seconds}


def _query(series: Series, period_seconds: int) -> Parameters:
    return {
        "Id": series.id,
        "MetricStat": {
            "Metric": _metric(series),
            "Stat": series.statistic,
            "Period": period_seconds,
        },
        "ReturnData": False,
    }


def _metric(series: Series) -> Parameters:
    dimensions = [{"Name": name, "Value": value} for name, value in series.dimensions]
    return {
        "Namespace": series.namespace,
        "MetricName": series.metric,
        **({"Dimensions": dimensions} if dimensions else {}),
    }


def _actions_and_tags(actions: tuple[str, ...], prefix: str) -> Parameters:
    return {
        "ActionsEnabled": True,
        "AlarmActions": list(actions),
        "OKActions": list(actions),
        "Tags": [{"Key": key, "Value": value} for key, value in alarm_tags(prefix).items()],
    }


def _without_nones(**values: float | None) -> Parameters:
    return {name: value for name, value in values.items() if value is not None}
