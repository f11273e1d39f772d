"""API: calls that boto3 and the AWS command line take as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.render.api import api_calls
from event_monitor.provision.stack import PIECES, Stack, build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, OPTIONS, STEPS, read_back

SEVERAL = ProvisionOptions(services=(("celery", "workers"), ("mail", "mailers")))
SERVICES = ("application-autoscaling", "cloudwatch", "ecs", "iam", "sqs")


def calls_of(stack: Stack) -> Any:
    """Return call → parameters as they are read from JSON, without the notes."""
    return {call: values for call, values in read_back(api_calls(stack)).items() if call != "notes"}


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (EVERYTHING, OPTIONS),
        (EVERYTHING, STEPS),
        (
            Settings(state_dir="/var/lib/em", management_url="http://mq:15672"),
            replace(
                SEVERAL,
                environment=(("STAGE", "prod"),),
                secrets=(("KEY", "arn:aws:ssm:eu-west-1:123456789012:parameter/key"),),
            ),
        ),
        (Settings(), replace(SEVERAL, workers_from=1)),
    ],
)
@pytest.mark.parametrize("pieces", [PIECES, ("ecs",)])
def test_every_call_passes_botocores_own_validation(
    pieces: Any, settings: Settings, options: ProvisionOptions
) -> None:
    """No parameter is missing, unknown, or of another type."""
    shapes = _input_shapes()
    calls = calls_of(build_stack(pieces, settings, options))

    reports = {
        call: ParamValidator().validate(parameters, shapes[call]).generate_report()
        for call, several in calls.items()
        for parameters in several
    }
    assert set(reports.values()) == {""}


def _input_shapes() -> dict[str, Any]:
    """Return the shape of the parameters of each method of a client."""
    session = botocore.session.get_session()
    models = [session.get_service_model(name) for name in SERVICES]
    return {
        xform_name(operation): model.operation_model(operation).input_shape
        for model in models
        for operation in model.operation_names
    }


def test_documents_are_text() -> None:
    """As the API takes them."""
    calls = calls_of(build_stack(("dashboard", "iam", "ecs"), Settings(), ProvisionOptions()))

    assert json.loads(calls["put_dashboard"][0]["DashboardBody"])["widgets"]
    assert json.loads(calls["create_policy"][0]["PolicyDocument"])["Version"] == "2012-10-17"
    trust = json.loads(calls["create_role"][0]["AssumeRolePolicyDocument"])["Statement"][0]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "{{account}}"}


def test_calls_come_in_the_order_in_which_they_refer_to_each_other() -> None:
    """A target before its policies, these before their alarms; a role before the task."""
    assert list(calls_of(build_stack(PIECES, EVERYTHING, OPTIONS))) == [
        "register_scalable_target",
        "put_scaling_policy",
        "put_metric_alarm",
        "put_composite_alarm",
        "put_dashboard",
        "create_policy",
        "create_queue",
        "create_role",
        "attach_role_policy",
        "register_task_definition",
        "create_service",
    ]


def test_the_alarm_of_a_policy_names_it() -> None:
    """Its ARN is known only when it was made."""
    alarms = calls_of(build_stack(("autoscaling",), Settings(), SEVERAL))["put_metric_alarm"]

    assert {alarm["AlarmName"]: alarm["AlarmActions"] for alarm in alarms} == {
        "celery-scale-in-celery": ["{{PolicyARN of celery-scale-in-celery}}"],
        "celery-scale-in-mail": ["{{PolicyARN of celery-scale-in-mail}}"],
    }
