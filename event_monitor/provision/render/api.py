"""API: the stack as the parameters boto3 and the AWS command line take. Pure."""

from __future__ import annotations

from ..model import COMPARISONS, Alarm, CompositeAlarm, ScalingPolicy, Series, alarm_tags
from ..scaling import ADJUSTMENT_TYPE, AGGREGATION, SCALABLE_DIMENSION, SERVICE_NAMESPACE
from ..stack import Stack

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
                "ScaleInCooldown": scaling.in_cooldown_seconds,
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
    """Return every piece but Grafana's: name of the call → parameters of each call.

    ``{{partition}}``, ``{{region}}``, ``{{account}}``, ``{{cluster}}`` and ``{{service}}`` are to
    be filled in; so are the ARNs of the scaling policies in the alarms that trigger them.
    """
    calls: Parameters = {}
    notes = list(stack.notes)
    if stack.dashboard is not None or stack.scaling:
        notes.append("Replace the placeholders in double braces.")
    if any(policy.alarm is not None for policy in stack.scaling):
        notes.append("Give each alarm for scaling the ARN of its policy as its AlarmActions.")
    if notes:
        calls["notes"] = notes
    if stack.alarms:
        calls["put_metric_alarm"] = [
            alarm_parameters(alarm, stack.prefix) for alarm in stack.alarms
        ]
    if stack.composite is not None:
        calls["put_composite_alarm"] = [composite_parameters(stack.composite, stack.prefix)]
    if stack.dashboard is not None:
        calls["put_dashboard"] = [
            {"DashboardName": stack.dashboard_name, "DashboardBody": stack.dashboard}
        ]
    if stack.scaling:
        calls |= _scaling_calls(stack)
    if stack.policy is not None:
        calls["create_policy"] = [
            {"PolicyName": f"{stack.prefix}-monitor", "PolicyDocument": stack.policy}
        ]
    if stack.container is not None:
        calls["register_task_definition"] = [
            {"family": stack.container["name"], "containerDefinitions": [stack.container]}
        ]
    return calls


def _scaling_calls(stack: Stack) -> Parameters:
    service: Parameters = {
        "ServiceNamespace": SERVICE_NAMESPACE,
        "ScalableDimension": SCALABLE_DIMENSION,
        "ResourceId": "service/{{cluster}}/{{service}}",
    }
    fewest, most = stack.workers
    alarms = [policy.alarm for policy in stack.scaling if policy.alarm is not None]
    return {
        "register_scalable_target": [{**service, "MinCapacity": fewest, "MaxCapacity": most}],
        "put_scaling_policy": [
            {"PolicyName": policy.name, **service, **scaling_policy(policy)}
            for policy in stack.scaling
        ],
        "put_metric_alarm for scaling": [alarm_parameters(alarm, stack.prefix) for alarm in alarms],
    }


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
