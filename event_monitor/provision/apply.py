"""Apply: compares the account with what is wanted, and makes the difference. Nothing else's.

Ours are the alarms with both our tags and the dashboard with our mark. Only those are deleted, and
what has a wanted name without being ours stops everything.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import EventMonitorError, SettingsError, UnavailableError
from ..settings import Settings
from .model import Located, tags_of
from .render.api import alarm_parameters, composite_parameters
from .render.cloudwatch_dashboard import MARK
from .stack import Stack

__all__ = ["Account", "Change", "Verb"]

log = logging.getLogger(__name__)

Verb = Literal["create", "change", "unchanged", "delete"]
_Kind = Literal["alarm", "composite alarm", "dashboard"]
_NOTHING_SAID: dict[str, Any] = {"Dimensions": []}  # is none, not whatever there is
_MOST_DELETED = 100  # by one DeleteAlarms


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with one thing. ``parameters`` are those of the call that puts it."""

    verb: Verb
    kind: _Kind
    name: str
    differs: tuple[str, ...] = ()  # names of parameters
    parameters: dict[str, Any] | None = None

    def __str__(self) -> str:
        detail = f" ({', '.join(self.differs)})" if self.differs else ""
        return f"{self.verb:9}  {self.kind} {self.name}{detail}"


class Account:
    """CloudWatch in one account and region; needs the network. ``UnavailableError`` on refusal."""

    def __init__(self, settings: Settings) -> None:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

        self._refusals = (BotoCoreError, ClientError)
        try:
            session = boto3.session.Session(region_name=settings.region or None)
            self._cloudwatch = session.client("cloudwatch")
            self._sts = session.client("sts")
        except NoRegionError:
            raise UnavailableError(
                "There is no AWS region to provision in: set AWS_REGION, or --region."
            ) from None
        except (*self._refusals, ValueError) as error:  # the latter for an endpoint that is no URL
            raise UnavailableError(f"The AWS configuration cannot be used: {error}") from error

    def plan(self, stack: Stack) -> tuple[Change, ...]:
        """What has to be done; changes nothing. ``SettingsError`` where a name is another's."""
        try:
            return tuple(self._plan(stack))
        except self._refusals as error:
            raise _told(error) from error

    def removal(self, stack: Stack) -> tuple[Change, ...]:
        """The deletion of all that is ours under the prefix, of the kinds the stack has."""
        try:
            return tuple(self._removal(stack))
        except self._refusals as error:
            raise _told(error) from error

    def carry_out(self, changes: tuple[Change, ...]) -> None:
        """Do it: what others refer to is made first, and goes last."""
        try:
            self._put([one for one in changes if one.verb in ("create", "change")])
            self._delete([one for one in changes if one.verb == "delete"])
        except self._refusals as error:
            raise _told(error) from error

    # -- looking ---------------------------------------------------------------------------------

    def _plan(self, stack: Stack) -> Iterator[Change]:
        wanted = list(_wanted_alarms(stack))
        if wanted:
            found = self._alarms(stack.prefix)
            names = {name for _, name, _ in wanted}
            for kind, name, parameters in wanted:
                there = found.get(name)
                if there is not None and not self._is_ours(there, stack.prefix):
                    raise SettingsError(
                        f"an alarm {name!r} is there that `--apply` has not made; choose another "
                        "--prefix, or remove it."
                    )
                yield _compared(kind, name, parameters, there)
            yield from self._ours_but(names, found, stack.prefix)
        if stack.dashboard is not None:
            body = self._placed(stack.dashboard)
            there = self._dashboard(stack.dashboard_name)
            if there is not None and not _is_marked(there):
                raise SettingsError(
                    f"a dashboard {stack.dashboard_name!r} is there that `event-monitor provision` "
                    "has not made; choose another --prefix, or remove it."
                )
            parameters = {"DashboardName": stack.dashboard_name, "DashboardBody": json.dumps(body)}
            verb: Verb = "create" if there is None else "unchanged" if there == body else "change"
            yield Change(verb, "dashboard", stack.dashboard_name, (), parameters)

    def _removal(self, stack: Stack) -> Iterator[Change]:
        if stack.alarms:
            yield from self._ours_but(set(), self._alarms(stack.prefix), stack.prefix)
        if stack.dashboard is not None:
            there = self._dashboard(stack.dashboard_name)
            if there is not None and _is_marked(there):
                yield Change("delete", "dashboard", stack.dashboard_name)

    def _ours_but(
        self, names: set[str], found: dict[str, dict[str, Any]], prefix: str
    ) -> Iterator[Change]:
        for name, alarm in sorted(found.items()):
            if name not in names and self._is_ours(alarm, prefix):
                kind: _Kind = "composite alarm" if "AlarmRule" in alarm else "alarm"
                yield Change("delete", kind, name)

    def _alarms(self, prefix: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=f"{prefix}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        for page in pages:
            for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
                found[alarm["AlarmName"]] = alarm
        return found

    def _is_ours(self, alarm: dict[str, Any], prefix: str) -> bool:
        answer = self._cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])
        tags = {one["Key"]: one["Value"] for one in answer["Tags"]}
        return tags.items() >= _our_tags(prefix).items()

    def _dashboard(self, name: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            text = self._cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("ResourceNotFound", "404"):
                return None
            raise
        body: dict[str, Any] = json.loads(text)
        return body

    def _placed(self, body: dict[str, Any]) -> dict[str, Any]:
        """The dashboard with account and region filled in."""
        _, partition, *_, account, _ = self._sts.get_caller_identity()["Arn"].split(":", 5)
        region = self._cloudwatch.meta.region_name

        def placed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: placed(one) for name, one in value.items()}
            if isinstance(value, list):
                return [placed(one) for one in value]
            if isinstance(value, Located):
                return value.filled(partition=partition, region=region, account=account)
            return value

        found: dict[str, Any] = placed(body)
        return found

    # -- doing -----------------------------------------------------------------------------------

    def _put(self, changes: list[Change]) -> None:
        puts = {
            "alarm": self._cloudwatch.put_metric_alarm,
            "composite alarm": self._cloudwatch.put_composite_alarm,
            "dashboard": self._cloudwatch.put_dashboard,
        }
        for change in changes:
            answer = puts[change.kind](**(change.parameters or {}))
            for fault in (answer or {}).get("DashboardValidationMessages", ()):
                log.warning("CloudWatch took the dashboard, and says: %s", fault.get("Message"))

    def _delete(self, changes: list[Change]) -> None:
        for change in changes:
            if change.kind == "composite alarm":  # by itself: one call takes at most one of them
                self._cloudwatch.delete_alarms(AlarmNames=[change.name])
            elif change.kind == "dashboard":
                self._cloudwatch.delete_dashboards(DashboardNames=[change.name])
        names = [one.name for one in changes if one.kind == "alarm"]
        for start in range(0, len(names), _MOST_DELETED):
            self._cloudwatch.delete_alarms(AlarmNames=names[start : start + _MOST_DELETED])


def _told(error: Exception) -> EventMonitorError:
    return UnavailableError(f"AWS refuses: {error}")


def _our_tags(prefix: str) -> dict[str, str]:
    """Terraform and CloudFormation do not set the second one: theirs are not ours to delete."""
    return {**tags_of(prefix), "managed-by": "event-monitor"}


def _wanted_alarms(stack: Stack) -> Iterator[tuple[_Kind, str, dict[str, Any]]]:
    tags = [{"Key": key, "Value": value} for key, value in _our_tags(stack.prefix).items()]
    for alarm in stack.alarms:
        yield "alarm", alarm.name, alarm_parameters(alarm, stack.prefix) | {"Tags": tags}
    if stack.composite is not None:
        parameters = composite_parameters(stack.composite, stack.prefix)
        yield "composite alarm", stack.composite.name, parameters | {"Tags": tags}


def _compared(
    kind: _Kind, name: str, parameters: dict[str, Any], there: dict[str, Any] | None
) -> Change:
    if there is None:
        return Change("create", kind, name, (), parameters)
    differs = tuple(
        key
        for key, value in (_NOTHING_SAID | parameters).items()
        if key != "Tags" and not _same(value, there.get(key))
    )
    return Change("change" if differs else "unchanged", kind, name, differs, parameters)


def _same(wanted: Any, there: Any) -> bool:
    """Whether all that is wanted is there; what AWS adds of its own does not count."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            _same(value, there.get(key)) for key, value in (_NOTHING_SAID | wanted).items()
        )
    if isinstance(wanted, list):
        ordered = [sorted(one or (), key=_key) for one in (wanted, there)]
        return len(ordered[0]) == len(ordered[1]) and all(map(_same, *ordered))
    return bool(wanted == there)


def _key(one: Any) -> str:
    return str(one.get("Name") or one.get("Id")) if isinstance(one, dict) else str(one)


def _is_marked(body: dict[str, Any]) -> bool:
    return any(
        widget.get("properties", {}).get("markdown") == MARK for widget in body.get("widgets", ())
    )
