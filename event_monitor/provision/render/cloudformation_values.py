"""CloudFormation, values: references become those of a template. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict, TypeVar

from ..model import PlaceholderText
from ..references import ThresholdReference, resolved
from ..stack import Stack
from .local_name import logical_id

__all__ = [
    "Resource",
    "Resources",
    "Values",
    "arn_of",
    "camel_case",
    "if_else",
    "no_value",
    "ref",
    "resource",
    "threshold_parameter",
    "without_unused",
]

_REFERENCE = re.compile(r"\$\{(?!!)([A-Za-z0-9:]+)\}")
_NO_QUOTES = "[^\"'\\\\]+"  # it is written into JSON and into searches
_UNQUOTED = "event-monitor:number:"  # around what has to lose its quotes: it will be a number
_NUMBER = re.compile(f'"{_UNQUOTED}([^"]*){_UNQUOTED}"')
Entry = TypeVar("Entry")


class Resource(TypedDict):
    """A resource of a template."""

    Type: str
    Properties: dict[str, object]


#: Logical id and resource, one after the other.
Resources = Iterator[tuple[str, Resource]]


def ref(name: str) -> dict[str, object]:
    """Return a reference to a parameter or resource."""
    return {"Ref": name}


def no_value() -> dict[str, object]:
    """Return what leaves a property out."""
    return ref("AWS::NoValue")


def if_else(condition: str, value: object, otherwise: object) -> dict[str, object]:
    """Return one of two values."""
    return {"Fn::If": [condition, value, otherwise]}


def resource(kind: str, **properties: object) -> Resource:
    """Return a resource of that type."""
    return {"Type": kind, "Properties": properties}


def arn_of(name: str) -> dict[str, object]:
    """Return the ARN of a resource of the template."""
    return {"Fn::GetAtt": [name, "Arn"]}


def camel_case(name: str) -> str:
    """Return words joined by ``_`` as CloudFormation writes a name."""
    return "".join(word.capitalize() for word in name.split("_"))


def without_unused(entries: Mapping[str, Entry], users: object) -> dict[str, Entry]:
    """Return the parameters or conditions that are named somewhere in ``users``."""
    text = json.dumps(users)
    return {
        name: entry
        for name, entry in entries.items()
        if f'"{name}"' in text or f"${{{name}}}" in text
    }


def threshold_parameter(alarm: str) -> str:
    """Return the parameter for the threshold of the alarm of that name without its prefix."""
    return f"Threshold{logical_id(alarm)}"


class Values:
    """Replaces the references of a stack.

    ``dimensions`` are the names of the static ones, and ``varied`` the alarms whose thresholds are
    parameters, without their prefix.
    """

    def __init__(self, dimensions: Sequence[str], *, varied: frozenset[str]) -> None:
        self._varied = varied
        words = ["".join(re.findall("[A-Za-z0-9]+", name)) for name in dimensions]
        self._parameters = {
            name: f"Dimension{word if words.count(word) == 1 else number}"
            for number, (name, word) in enumerate(zip(dimensions, words, strict=True))
        }

    def parameters(self, stack: Stack) -> dict[str, dict[str, object]]:
        """Return what is referred to as parameters; the stack's own values are the defaults."""
        return {
            "Prefix": {
                "Type": "String",
                "Default": stack.prefix,
                "AllowedPattern": "[A-Za-z][A-Za-z0-9_-]{0,39}",
                "Description": "Beginning of every name.",
            },
            "Namespace": {
                "Type": "String",
                "Default": stack.namespace,
                "AllowedPattern": _NO_QUOTES,
                "Description": "CloudWatch namespace into which the monitor publishes.",
            },
            **{
                self._parameters[name]: {
                    "Type": "String",
                    "Default": value,
                    "AllowedPattern": _NO_QUOTES,
                    "Description": f"Value of the static dimension {name}.",
                }
                for name, value in stack.dimensions
            },
        }

    def properties(self, properties: Mapping[str, object]) -> dict[str, object]:
        """Return the properties with references as ``Ref`` or ``Fn::Sub``, however deep.

        What is such a function already stays as it is.
        """
        return {name: self._value(value) for name, value in properties.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, dict):
            return value if "Fn::Sub" in value else self.properties(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, ThresholdReference):
            is_varied = value.alarm in self._varied
            return ref(threshold_parameter(value.alarm)) if is_varied else float(value)
        if not isinstance(value, str):
            return value
        text = self._substitutable(value)
        only = _REFERENCE.fullmatch(text)
        if only:
            return ref(only[1])
        return {"Fn::Sub": text} if _REFERENCE.search(text) else value

    def json_text(self, value: object) -> dict[str, object]:
        """Return the value as JSON text in which references are variables of ``Fn::Sub``."""
        text = json.dumps(self._inside_json(value), separators=(",", ":"))
        return {"Fn::Sub": _NUMBER.sub(r"\1", text)}

    def _inside_json(self, value: object) -> object:
        if isinstance(value, dict):
            return {name: self._inside_json(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._inside_json(item) for item in value]
        if isinstance(value, ThresholdReference):
            number = self._threshold(value.alarm, f"{float(value):.10g}")
            return f"{_UNQUOTED}{number}{_UNQUOTED}"
        return self._substitutable(value) if isinstance(value, str) else value

    def _substitutable(self, value: str) -> str:
        """Return the text for ``Fn::Sub``: references are variables, all else is literal."""
        text = value.replace("${", "${!")
        if isinstance(value, PlaceholderText):
            text = PlaceholderText(text).filled(
                partition="${AWS::Partition}",
                region="${AWS::Region}",
                account="${AWS::AccountId}",
            )
        return resolved(
            text,
            prefix="${Prefix}",
            namespace="${Namespace}",
            dimension=lambda name: f"${{{self._parameters[name]}}}",
            threshold=self._threshold,
        )

    def _threshold(self, alarm: str, number: str) -> str:
        return f"${{{threshold_parameter(alarm)}}}" if alarm in self._varied else number
