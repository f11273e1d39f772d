"""API: the stack as the parameters boto3 and the AWS command line take. Pure."""

from __future__ import annotations

from typing import Any

from ..model import COMPARISONS, Alarm, CompositeAlarm, Scaling, Series, tags_of
from ..stack import Stack

__all__ = ["alarm_parameters", "composite_parameters", "metric_data", "scaling_settings", "whole"]

Parameters = dict[str, Any]

_TARGET = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


def alarm_parameters(alarm: Alarm, prefix: str) -> Parameters:
    """Of ``put_metric_alarm``. A scaling alarm gets the ARN of its policy from whoever makes it."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        **metric_data(alarm),
        "ComparisonOperator": COMPARISONS[alarm.comparison],
        "Threshold": alarm.threshold,
        "DatapointsToAlarm": alarm.datapoints,
        "EvaluationPeriods": alarm.periods,
        "TreatMissingData": alarm.missing,
        "ActionsEnabled": True,
        "AlarmActions": list(alarm.actions),
        "OKActions": list(alarm.actions),
        "Tags": [{"Key": key, "Value": value} for key, value in tags_of(prefix).items()],
    }


def metric_data(alarm: Alarm) -> Parameters:
    """What an alarm looks at: one metric, or an expression over several."""
    if alarm.expression:
        expression = {
            "Id": "e0",
            "Expression": alarm.expression,
            "Label": alarm.name,
            "ReturnData": True,
        }
        return {"Metrics": [expression, *(_query(one, alarm) for one in alarm.series)]}
    (series,) = alarm.series
    kind = "ExtendedStatistic" if series.is_percentile else "Statistic"
    return {**_metric(series), kind: series.statistic, "Period": alarm.period_seconds}


def composite_parameters(composite: CompositeAlarm, prefix: str) -> Parameters:
    """Of ``put_composite_alarm``."""
    return {
        "AlarmName": composite.name,
        "AlarmDescription": composite.description,
        "AlarmRule": composite.rule,
        "ActionsEnabled": True,
        "AlarmActions": list(composite.actions),
        "OKActions": list(composite.actions),
        "Tags": [{"Key": key, "Value": value} for key, value in tags_of(prefix).items()],
    }


def scaling_settings(scaling: Scaling) -> Parameters:
    """The part of ``put_scaling_policy`` that says how; CloudFormation has it in the same words."""
    if scaling.series is not None:
        return {
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": scaling.target,
                "ScaleOutCooldown": scaling.cooldown_seconds,
                "ScaleInCooldown": scaling.in_cooldown_seconds,
                "CustomizedMetricSpecification": {
                    **_metric(scaling.series),
                    "Statistic": scaling.series.statistic,
                },
            },
        }
    return {
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": scaling.cooldown_seconds,
            "StepAdjustments": [
                {
                    name: value
                    for name, value in (
                        ("MetricIntervalLowerBound", step.low),
                        ("MetricIntervalUpperBound", step.high),
                        ("ScalingAdjustment", step.change),
                    )
                    if value is not None
                }
                for step in scaling.steps
            ],
        },
    }


def whole(stack: Stack) -> Parameters:
    """Every piece but Grafana's, by the call it is for.

    ``{{partition}}``, ``{{region}}``, ``{{account}}``, ``{{cluster}}`` and ``{{service}}`` are to
    be filled in; so are the ARNs of the scaling policies in the alarms that set them off.
    """
    found: Parameters = {}
    notes = list(stack.notes)
    if stack.dashboard is not None or stack.scaling:
        notes.append("Fill in what stands in double braces.")
    if any(one.alarm is not None for one in stack.scaling):
        notes.append("Give each alarm for scaling the ARN of its policy as its AlarmActions.")
    if notes:
        found["notes"] = notes
    if stack.alarms:
        found["put_metric_alarm"] = [alarm_parameters(one, stack.prefix) for one in stack.alarms]
    if stack.composite is not None:
        found["put_composite_alarm"] = [composite_parameters(stack.composite, stack.prefix)]
    if stack.dashboard is not None:
        found["put_dashboard"] = [
            {"DashboardName": stack.dashboard_name, "DashboardBody": stack.dashboard}
        ]
    if stack.scaling:
        found |= _scaling(stack)
    if stack.policy is not None:
        found["create_policy"] = [
            {"PolicyName": f"{stack.prefix}-monitor", "PolicyDocument": stack.policy}
        ]
    if stack.container is not None:
        found["register_task_definition"] = [
            {"family": stack.container["name"], "containerDefinitions": [stack.container]}
        ]
    return found


def _scaling(stack: Stack) -> Parameters:
    target = {**_TARGET, "ResourceId": "service/{{cluster}}/{{service}}"}
    low, high = stack.workers
    alarms = [one.alarm for one in stack.scaling if one.alarm is not None]
    return {
        "register_scalable_target": [{**target, "MinCapacity": low, "MaxCapacity": high}],
        "put_scaling_policy": [
            {"PolicyName": one.name, **target, **scaling_settings(one)} for one in stack.scaling
        ],
        "put_metric_alarm for scaling": [alarm_parameters(one, stack.prefix) for one in alarms],
    }


def _query(series: Series, alarm: Alarm) -> Parameters:
    return {
        "Id": series.id,
        "MetricStat": {
            "Metric": _metric(series),
            "Stat": series.statistic,
            "Period": alarm.period_seconds,
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
