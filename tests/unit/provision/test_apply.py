"""Apply: what is read of the account, and which calls change it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError

from event_monitor.errors import SettingsError, UnavailableError
from event_monitor.provision.apply import Account
from event_monitor.provision.changes import Change, our_tags
from event_monitor.provision.options import ProvisionOptions, TaskLimits
from event_monitor.provision.quantities import TooMany
from event_monitor.provision.stack import Stack, build_stack
from event_monitor.settings import Settings

Call = tuple[str, object]


@dataclass
class Meta:
    region_name: str = "eu-west-1"


@dataclass
class FakeCloudWatch:
    """Answers as CloudWatch does, and keeps what it is asked to change, one call after another.

    ``refusal`` is raised by whatever reads alarms.
    """

    alarms: list[dict[str, object]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    dashboard: str | None = None
    warnings: tuple[str, ...] = ()
    refusal: Exception | None = None
    calls: list[Call] = field(default_factory=list)
    meta: Meta = field(default_factory=Meta)

    def get_paginator(self, operation: str, /) -> FakeCloudWatch:
        assert operation == "describe_alarms"
        return self

    def paginate(
        self, **_parameters: object
    ) -> Iterator[Mapping[str, Sequence[Mapping[str, object]]]]:
        if self.refusal:
            raise self.refusal
        yield {"MetricAlarms": self.alarms}

    def list_tags_for_resource(self, **_parameters: str) -> Mapping[str, list[dict[str, str]]]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]}

    def get_dashboard(self, **_parameters: str) -> Mapping[str, str]:
        if self.dashboard is None:
            raise ClientError({"Error": {"Code": "ResourceNotFound"}}, "GetDashboard")
        return {"DashboardBody": self.dashboard}

    def put_metric_alarm(self, **parameters: object) -> None:
        self.calls.append(("put_metric_alarm", parameters["AlarmName"]))

    def put_composite_alarm(self, **parameters: object) -> None:
        self.calls.append(("put_composite_alarm", parameters["AlarmName"]))

    def put_dashboard(self, **parameters: object) -> Mapping[str, Sequence[Mapping[str, str]]]:
        self.calls.append(("put_dashboard", parameters["DashboardName"]))
        return {"DashboardValidationMessages": [{"Message": text} for text in self.warnings]}

    def delete_alarms(self, **parameters: list[str]) -> None:
        self.calls.append(("delete_alarms", parameters["AlarmNames"]))

    def delete_dashboards(self, **parameters: list[str]) -> None:
        self.calls.append(("delete_dashboards", parameters["DashboardNames"]))


class FakeIdentity:
    def get_caller_identity(self) -> Mapping[str, str]:
        return {"Arn": "arn:aws-cn:sts::123456789012:assumed-role/a:b/c"}


def account(cloudwatch: FakeCloudWatch) -> Account:
    return Account(cloudwatch, FakeIdentity())


def described(stack: Stack) -> list[dict[str, object]]:
    """Return the alarms of the stack as CloudWatch describes them once they are put."""
    plan = account(FakeCloudWatch()).plan(stack)
    return [
        {**(change.parameters or {}), "AlarmArn": f"arn:{change.name}", "StateValue": "OK"}
        for change in plan
        if change.kind != "dashboard"
    ]


ALARMS = build_stack(("alarms",), Settings(), ProvisionOptions())
DASHBOARD = build_stack(("dashboard",), Settings(), ProvisionOptions())


def test_what_is_equal_is_unchanged() -> None:
    """What AWS adds of its own does not count."""
    cloudwatch = FakeCloudWatch(alarms=described(ALARMS), tags=our_tags("celery"))
    assert {change.verb for change in account(cloudwatch).plan(ALARMS)} == {"unchanged"}


def test_the_order_of_dimensions_and_metrics_is_no_difference() -> None:
    """CloudWatch gives them back in one of its own."""
    settings = Settings(dimensions=(("Environment", "prod"), ("Team", "shop")))
    options = ProvisionOptions(tasks=(TaskLimits("pay", failures=TooMany(1.0)),))
    stack = build_stack(("alarms",), settings, options)
    alarms = described(stack)
    for alarm in alarms:
        for key in ("Dimensions", "Metrics"):
            values = alarm.get(key)
            if isinstance(values, list):
                alarm[key] = values[::-1]

    plan = account(FakeCloudWatch(alarms=alarms, tags=our_tags("celery"))).plan(stack)

    assert {change.verb for change in plan} == {"unchanged"}


@pytest.mark.parametrize(
    "settings",
    [
        Settings(dimensions=(("Environment", "dev"),)),
        Settings(),
        Settings(namespace="Shop", dimensions=(("Environment", "prod"),)),
    ],
)
def test_what_another_environment_has_made_is_not_taken_over(settings: Settings) -> None:
    """The prefix is the same; --delete says whose it is."""
    options = ProvisionOptions(tasks=(TaskLimits("pay", failures=TooMany(1.0)),))
    prod = Settings(dimensions=(("Environment", "prod"),))
    theirs = described(build_stack(("alarms",), prod, options))
    cloudwatch = FakeCloudWatch(alarms=theirs, tags=our_tags("celery"))
    mine = build_stack(("alarms",), settings, ProvisionOptions())

    with pytest.raises(
        SettingsError,
        match=r"the alarm 'celery-.*' is about Celery with Environment=prod, and .* publish ",
    ):
        account(cloudwatch).plan(mine)
    assert "(of Celery with Environment=prod)" in str(account(cloudwatch).removal(mine)[0])
    again = build_stack(("alarms",), prod, options)
    assert {change.verb for change in account(cloudwatch).plan(again)} == {"unchanged"}


def test_the_dashboard_of_another_environment_is_not_taken_over() -> None:
    """It is ours by its mark, but shows other series."""
    prod = Settings(dimensions=(("Environment", "prod"),))
    (change,) = account(FakeCloudWatch()).plan(
        build_stack(("dashboard",), prod, ProvisionOptions())
    )
    body = str((change.parameters or {})["DashboardBody"])

    with pytest.raises(SettingsError, match="the dashboard 'celery' is about Celery with"):
        account(FakeCloudWatch(dashboard=body)).plan(DASHBOARD)


@pytest.mark.parametrize("tags", [{}, {"event-monitor-prefix": "celery"}])
def test_an_alarm_without_both_our_tags_is_never_changed(tags: dict[str, str]) -> None:
    """Terraform's and CloudFormation's have only one of them."""
    cloudwatch = FakeCloudWatch(alarms=described(ALARMS), tags=tags)

    with pytest.raises(SettingsError, match="exists that `--apply` has not made"):
        account(cloudwatch).plan(ALARMS)
    assert account(cloudwatch).removal(ALARMS) == ()


def test_the_dashboard_has_partition_region_and_account_filled_in() -> None:
    """Account names may have colons in them."""
    (change,) = account(FakeCloudWatch()).plan(DASHBOARD)

    body = json.loads(str((change.parameters or {})["DashboardBody"]))
    (alarms,) = (widget for widget in body["widgets"] if widget["type"] == "alarm")
    assert alarms["properties"]["alarms"][0] == (
        "arn:aws-cn:cloudwatch:eu-west-1:123456789012:alarm:celery-unhealthy"
    )
    assert (change.verb, change.kind, change.name) == ("create", "dashboard", "celery")


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", '{"widgets": null}', '{"widgets": [1, {"properties": {"markdown": "hello"}}]}'],
)
def test_a_dashboard_without_our_mark_is_never_changed(body: str) -> None:
    """Whatever its body is made of."""
    cloudwatch = FakeCloudWatch(dashboard=body)

    with pytest.raises(SettingsError, match="a dashboard 'celery' exists"):
        account(cloudwatch).plan(DASHBOARD)
    assert account(cloudwatch).removal(DASHBOARD) == ()


def test_what_others_refer_to_is_created_first_and_deleted_last() -> None:
    """And a composite alarm is deleted by itself, since one call takes one of them."""
    cloudwatch = FakeCloudWatch()

    account(cloudwatch).carry_out(
        (
            Change(verb="create", kind="alarm", name="a", parameters={"AlarmName": "a"}),
            Change(verb="unchanged", kind="alarm", name="b", parameters={"AlarmName": "b"}),
            Change(verb="change", kind="composite alarm", name="c", parameters={"AlarmName": "c"}),
            Change(verb="delete", kind="alarm", name="d"),
            Change(verb="delete", kind="composite alarm", name="e"),
            Change(verb="delete", kind="dashboard", name="f"),
        )
    )

    assert cloudwatch.calls == [
        ("put_metric_alarm", "a"),
        ("put_composite_alarm", "c"),
        ("delete_alarms", ["e"]),
        ("delete_dashboards", ["f"]),
        ("delete_alarms", ["d"]),
    ]


def test_a_hundred_alarms_are_deleted_with_one_call() -> None:
    """That is all DeleteAlarms takes."""
    cloudwatch = FakeCloudWatch()
    names = [f"celery-{number}" for number in range(101)]

    account(cloudwatch).carry_out(
        tuple(Change(verb="delete", kind="alarm", name=name) for name in names)
    )

    assert cloudwatch.calls == [("delete_alarms", names[:100]), ("delete_alarms", names[100:])]


def test_a_warning_about_the_dashboard_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """CloudWatch accepts it all the same."""
    cloudwatch = FakeCloudWatch(warnings=("no such metric",))

    with caplog.at_level(logging.WARNING):
        account(cloudwatch).carry_out(account(cloudwatch).plan(DASHBOARD))

    assert cloudwatch.calls == [("put_dashboard", "celery")]
    assert caplog.messages == ["CloudWatch accepted the dashboard with a warning: no such metric"]


def test_a_refusal_is_one_sentence() -> None:
    """Not a traceback."""
    error = {"Error": {"Code": "AccessDenied", "Message": "not allowed"}}
    cloudwatch = FakeCloudWatch(refusal=ClientError(error, "DescribeAlarms"))

    with pytest.raises(UnavailableError, match=r"AWS refuses: .*AccessDenied.*not allowed"):
        account(cloudwatch).plan(ALARMS)
