"""Changes: what differs between what is wanted of an account and what is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .model import PlaceholderText, alarm_tags
from .panels import MARK
from .render.api import Parameters, alarm_parameters, composite_parameters
from .stack import Stack

__all__ = [
    "Change",
    "ThingKind",
    "Verb",
    "compare",
    "filled",
    "is_marked",
    "our_tags",
    "wanted_alarms",
]

Verb = Literal["create", "change", "unchanged", "delete"]
ThingKind = Literal["alarm", "composite alarm", "dashboard"]

#: Parameters whose absence means none, and not whatever is there.
_ABSENT: Parameters = {"Dimensions": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be done with one thing. ``parameters`` are those of the call that puts it."""

    verb: Verb
    kind: ThingKind
    name: str
    differences: tuple[str, ...] = ()  # names of parameters
    parameters: Parameters | None = None

    def __str__(self) -> str:
        detail = f" ({', '.join(self.differences)})" if self.differences else ""
        return f"{self.verb:9}  {self.kind} {self.name}{detail}"


def our_tags(prefix: str) -> dict[str, str]:
    """Return the tags of alarms that ``--apply`` has made.

    Terraform and CloudFormation do not set the second one: theirs are not ours to delete.
    """
    return {**alarm_tags(prefix), "managed-by": "event-monitor"}


def wanted_alarms(stack: Stack) -> list[tuple[ThingKind, str, Parameters]]:
    """Return kind, name and parameters of every alarm of the stack, the composite last."""
    tags = [{"Key": key, "Value": value} for key, value in our_tags(stack.prefix).items()]
    wanted: list[tuple[ThingKind, str, Parameters]] = [
        ("alarm", alarm.name, {**alarm_parameters(alarm, stack.prefix), "Tags": tags})
        for alarm in stack.alarms
    ]
    if stack.composite is not None:
        parameters = composite_parameters(stack.composite, stack.prefix)
        wanted.append(("composite alarm", stack.composite.name, {**parameters, "Tags": tags}))
    return wanted


def compare(
    kind: ThingKind,
    name: str,
    *,
    wanted: Parameters,
    existing: Mapping[str, object] | None,
) -> Change:
    """Return what makes ``existing``, as AWS describes it, what is ``wanted``."""
    if existing is None:
        return Change(verb="create", kind=kind, name=name, parameters=wanted)
    differences = tuple(
        key
        for key, value in {**_ABSENT, **wanted}.items()
        if key != "Tags" and not _is_same(value, existing.get(key))
    )
    verb: Verb = "change" if differences else "unchanged"
    return Change(verb=verb, kind=kind, name=name, differences=differences, parameters=wanted)


def is_marked(body: object) -> bool:
    """Return whether the body of a dashboard, as it was read from AWS, has our mark in it."""
    widgets = body.get("widgets") if isinstance(body, dict) else None
    for widget in widgets if isinstance(widgets, list) else ():
        properties = widget.get("properties") if isinstance(widget, dict) else None
        if isinstance(properties, dict) and properties.get("markdown") == MARK:
            return True
    return False


def filled(value: object, *, partition: str, region: str, account: str) -> object:
    """Return a copy of what JSON is made of, with its placeholders replaced."""
    if isinstance(value, dict):
        return {
            name: filled(item, partition=partition, region=region, account=account)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [filled(item, partition=partition, region=region, account=account) for item in value]
    if isinstance(value, PlaceholderText):
        return value.filled(partition=partition, region=region, account=account)
    return value


def _is_same(wanted: object, existing: object) -> bool:
    """Return whether all that is wanted is there; what AWS adds of its own does not count."""
    if isinstance(wanted, dict):
        return isinstance(existing, dict) and all(
            _is_same(value, existing.get(key)) for key, value in {**_ABSENT, **wanted}.items()
        )
    if isinstance(wanted, list):
        there = existing if isinstance(existing, list) else []
        pairs = zip(sorted(wanted, key=_sort_key), sorted(there, key=_sort_key), strict=False)
        return len(wanted) == len(there) and all(_is_same(mine, its) for mine, its in pairs)
    return wanted == existing


def _sort_key(item: object) -> str:
    """Return what orders a list whose order means nothing to CloudWatch."""
    return str(item.get("Name") or item.get("Id")) if isinstance(item, dict) else str(item)
