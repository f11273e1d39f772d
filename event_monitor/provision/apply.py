"""Apply: compares the account with what is wanted, and changes what differs, if it is ours.

Ours are the alarms with both our tags and the dashboard with our mark. Only those are changed or
deleted, and what has a wanted name without being ours stops everything.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from ..errors import EventMonitorError, SettingsError, UnavailableError
from ..exchange import Exchange, LateError
from ..settings import Settings
from ..sinks.acknowledgement import NotCloudWatchError
from ..sinks.client import believe_only_aws, session_of, target_of
from ..sinks.credentials import CredentialsError, keys_checked, wait_for
from ..text import one_line
from .changes import Change, ThingKind, Verb, compare, filled, is_marked, our_tags, wanted_alarms
from .environment import Environment, environments_of_alarm, environments_of_dashboard
from .stack import Stack

__all__ = ["Account", "CloudWatchClient", "IdentityClient"]

log = logging.getLogger(__name__)

_MAX_DELETED = 100  # alarms in one DeleteAlarms
_DEADLINE_SECONDS = 300.0  # of a plan, or of some hundred changes

T = TypeVar("T")

_Description = Mapping[str, object]  # of an alarm, as DescribeAlarms gives it


class _Meta(Protocol):
    @property
    def region_name(self) -> str: ...


class _Paginator(Protocol):
    def paginate(self, **parameters: object) -> Iterable[Mapping[str, Sequence[_Description]]]: ...


class CloudWatchClient(Protocol):
    """What we call of boto3's CloudWatch client; parameters and answers are those of the API."""

    @property
    def meta(self) -> _Meta:
        """Where the client speaks to."""
        ...

    def get_paginator(self, operation: str, /) -> _Paginator:
        """Return what asks for page after page."""
        ...

    def list_tags_for_resource(self, **parameters: str) -> Mapping[str, Sequence[dict[str, str]]]:
        """Return ``Tags``."""
        ...

    def get_dashboard(self, **parameters: str) -> Mapping[str, str]:
        """Return ``DashboardBody``."""
        ...

    def put_metric_alarm(self, **parameters: object) -> object:
        """Create or change an alarm."""
        ...

    def put_composite_alarm(self, **parameters: object) -> object:
        """Create or change a composite alarm."""
        ...

    def put_dashboard(self, **parameters: object) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Create or change a dashboard; return ``DashboardValidationMessages`` if any."""
        ...

    def delete_alarms(self, **parameters: list[str]) -> object:
        """Delete alarms, or one composite alarm."""
        ...

    def delete_dashboards(self, **parameters: list[str]) -> object:
        """Delete dashboards."""
        ...


class IdentityClient(Protocol):
    """What we call of boto3's STS client."""

    def get_caller_identity(self) -> Mapping[str, str]:
        """Return ``Arn``, which has partition and account in it."""
        ...


class Account:
    """CloudWatch in one account and region. Every method needs the network.

    Each raises ``UnavailableError`` if AWS refuses or cannot be reached.
    """

    def __init__(self, cloudwatch: CloudWatchClient, identity: IdentityClient) -> None:
        self._cloudwatch = cloudwatch
        self._identity = identity

    @classmethod
    def connect(cls, settings: Settings) -> Account:
        """Return the account of the AWS configuration; ``UnavailableError`` if it is unusable."""
        from botocore.exceptions import BotoCoreError, NoRegionError

        try:
            session = session_of(may_prompt=True)
            target_of(session, settings.region)
            wait_for(lambda: keys_checked(session.get_credentials()))
            region = settings.region or None
            cloudwatch, identity = (
                session.create_client(service, region_name=region)
                for service in ("cloudwatch", "sts")
            )
        except CredentialsError as error:
            raise UnavailableError(f"{error}.") from error
        except NoRegionError:
            raise UnavailableError(
                "There is no AWS region to provision in: set AWS_REGION, or --region."
            ) from None
        except (BotoCoreError, OSError, ValueError) as error:  # ValueError: endpoint is no URL
            raise UnavailableError(
                f"The AWS configuration cannot be used: {one_line(error)}."
            ) from error
        for client in (cloudwatch, identity):
            believe_only_aws(client)
        return cls(cloudwatch, identity)

    def plan(self, stack: Stack) -> tuple[Change, ...]:
        """Return what has to be done.

        Raises ``SettingsError`` if a wanted name is not ours, or is another environment's.
        """
        return _asked(lambda: (*self._planned_alarms(stack), *self._planned_dashboard(stack)))

    def removal(self, stack: Stack) -> tuple[Change, ...]:
        """Return the deletion of all that is ours under the prefix, of the kinds in the stack."""
        return _asked(lambda: tuple(self._removal(stack)))

    def carry_out(self, changes: tuple[Change, ...]) -> None:
        """Make the changes: what others refer to is created first, and deleted last."""

        def change() -> None:
            self._put([change for change in changes if change.verb in ("create", "change")])
            self._delete([change for change in changes if change.verb == "delete"])

        _asked(change)

    # -- looking ---------------------------------------------------------------------------------

    def _planned_alarms(self, stack: Stack) -> Iterator[Change]:
        wanted = wanted_alarms(stack)
        if not wanted:
            return
        found = self._alarms(stack.prefix)
        ours = self._ours(found, stack.prefix)
        for name in (name for _, name, _ in wanted if name in found and name not in ours):
            raise SettingsError(
                f"an alarm {name!r} exists that `--apply` has not made; choose another "
                "--prefix, or remove it."
            )
        for name, alarm in ours.items():
            _check_environment(f"alarm {name!r}", environments_of_alarm(alarm), stack)
        for kind, name, parameters in wanted:
            yield compare(kind, name, wanted=parameters, existing=ours.get(name))
        yield from _deletions(ours, stack, kept={name for _, name, _ in wanted})

    def _planned_dashboard(self, stack: Stack) -> Iterator[Change]:
        if stack.dashboard is None:
            return
        name, body = stack.dashboard_name, self._located(stack.dashboard)
        existing = self._dashboard(name)
        if existing is not None and not is_marked(existing):
            raise SettingsError(
                f"a dashboard {name!r} exists that `event-monitor provision` "
                "has not made; choose another --prefix, or remove it."
            )
        _check_environment(f"dashboard {name!r}", environments_of_dashboard(existing), stack)
        verb: Verb = "create"
        if existing is not None:
            verb = "unchanged" if existing == body else "change"
        parameters: dict[str, object] = {"DashboardName": name, "DashboardBody": json.dumps(body)}
        yield Change(verb=verb, kind="dashboard", name=name, parameters=parameters)

    def _removal(self, stack: Stack) -> Iterator[Change]:
        if stack.alarms:
            ours = self._ours(self._alarms(stack.prefix), stack.prefix)
            yield from _deletions(ours, stack, kept=set())
        if stack.dashboard is not None and is_marked(self._dashboard(stack.dashboard_name)):
            yield Change(verb="delete", kind="dashboard", name=stack.dashboard_name)

    def _alarms(self, prefix: str) -> dict[str, _Description]:
        """Return name → description of every alarm whose name begins with the prefix."""
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=f"{prefix}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return {
            str(alarm["AlarmName"]): alarm
            for page in pages
            for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
        }

    def _ours(self, found: Mapping[str, _Description], prefix: str) -> dict[str, _Description]:
        return {name: alarm for name, alarm in found.items() if self._is_ours(alarm, prefix)}

    def _is_ours(self, alarm: _Description, prefix: str) -> bool:
        answer = self._cloudwatch.list_tags_for_resource(ResourceARN=str(alarm["AlarmArn"]))
        tags = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
        return tags.items() >= our_tags(prefix).items()

    def _dashboard(self, name: str) -> object:
        """Return the body of the dashboard; None if there is none."""
        from botocore.exceptions import ClientError

        try:
            text = self._cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("ResourceNotFound", "404"):
                return None
            raise
        body: object = json.loads(text)
        return body

    def _located(self, body: dict[str, object]) -> object:
        """Return the dashboard with account and region filled in."""
        arn = self._identity.get_caller_identity()["Arn"]
        _, partition, _, _, account, _ = arn.split(":", 5)
        region = self._cloudwatch.meta.region_name
        return filled(body, partition=partition, region=region, account=account)

    # -- doing -----------------------------------------------------------------------------------

    def _put(self, changes: list[Change]) -> None:
        for change in changes:
            parameters = change.parameters or {}
            if change.kind == "alarm":
                self._cloudwatch.put_metric_alarm(**parameters)
            elif change.kind == "composite alarm":
                self._cloudwatch.put_composite_alarm(**parameters)
            else:
                answer = self._cloudwatch.put_dashboard(**parameters)
                for fault in answer.get("DashboardValidationMessages", ()):
                    log.warning(
                        "CloudWatch accepted the dashboard with a warning: %s", fault.get("Message")
                    )

    def _delete(self, changes: list[Change]) -> None:
        for change in changes:
            if change.kind == "composite alarm":  # by itself: one call takes at most one of them
                self._cloudwatch.delete_alarms(AlarmNames=[change.name])
            elif change.kind == "dashboard":
                self._cloudwatch.delete_dashboards(DashboardNames=[change.name])
        names = [change.name for change in changes if change.kind == "alarm"]
        for start in range(0, len(names), _MAX_DELETED):
            self._cloudwatch.delete_alarms(AlarmNames=names[start : start + _MAX_DELETED])


def _deletions(
    ours: Mapping[str, _Description], stack: Stack, *, kept: set[str]
) -> Iterator[Change]:
    """Yield the deletion of what is not kept; it says whose that is, if it is another's."""
    for name, alarm in sorted(ours.items()):
        if name not in kept:
            kind: ThingKind = "composite alarm" if "AlarmRule" in alarm else "alarm"
            others = environments_of_alarm(alarm) - {_environment(stack)}
            watched = tuple(f"of {other}" for other in sorted(map(str, others)))
            yield Change(verb="delete", kind=kind, name=name, differences=watched)


def _environment(stack: Stack) -> Environment:
    return Environment.of(stack.namespace, stack.dimensions)


def _check_environment(thing: str, found: set[Environment], stack: Stack) -> None:
    """Raise ``SettingsError`` if a thing of ours is about the series of another environment."""
    own = _environment(stack)
    for other in sorted(found - {own}, key=str):
        raise SettingsError(
            f"the {thing} is about {other}, and these settings publish {own}: choose another "
            "--prefix for them, or remove what is there with --delete."
        )


def _asked(ask: Callable[[], T]) -> T:
    """Return what AWS answers; ``UnavailableError`` if it refuses, or somebody else answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return Exchange(_DEADLINE_SECONDS).run(ask)
    except EventMonitorError:
        raise
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"AWS refuses: {one_line(error)}.") from error
    except (LateError, NotCloudWatchError) as error:
        raise UnavailableError(f"AWS cannot be reached: {one_line(error)}.") from error
    except Exception as error:  # botocore reads what anybody may have answered
        raise UnavailableError(
            f"The answer does not make sense ({type(error).__name__}: {one_line(error)}): is the "
            "endpoint's URL right?"
        ) from error
