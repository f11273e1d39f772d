"""References: stand-ins for what is a variable or parameter in what is written. Pure.

A stack is built a second time from settings that hold stand-ins, so that whatever is made of the
namespace, of a static dimension or of the prefix refers to it, however deep in a text it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..settings import Settings
from .model import Alarm

__all__ = [
    "ThresholdReference",
    "named_by_reference",
    "referring",
    "referring_alarm",
    "resolved",
    "short_name",
    "with_thresholds",
]

_PREFIX = "\ue000"  # one character of private use, so that no name gets longer
_NAMESPACE = "event-monitor:namespace:"
_DIMENSION = re.compile(r"event-monitor:dimension:([0-9a-f]*):")
_THRESHOLD = re.compile(r"event-monitor:threshold:([0-9a-f]*):([^:]*):")
_FIRST_THRESHOLD = 0xF0000  # also of private use: one for the threshold of each alarm


class ThresholdReference(float):
    """The threshold of an alarm; wherever it is written, as a number or in a text, is a reference.

    In a text it is one character, until ``with_thresholds``, so that the text gets no longer.
    """

    alarm: str  # its name, without the prefix
    stand_in: str

    def __format__(self, _spec: str) -> str:
        return self.stand_in


def referring(settings: Settings) -> Settings:
    """Return the settings with stand-ins for the namespace and the values of static dimensions."""
    dimensions = tuple(
        (name, f"event-monitor:dimension:{name.encode().hex()}:") for name, _ in settings.dimensions
    )
    return replace(settings, namespace=_NAMESPACE, dimensions=dimensions)


def named_by_reference(name: str, prefix: str) -> str:
    """Return the name of a resource with a stand-in for its prefix."""
    return _PREFIX + name.removeprefix(prefix)


def referring_alarm(alarm: Alarm, prefix: str, *, number: int) -> Alarm:
    """Return the alarm with stand-ins for prefix and threshold; ``number`` is its own."""
    name = named_by_reference(alarm.name, prefix)
    threshold = ThresholdReference(alarm.threshold)
    threshold.alarm, threshold.stand_in = short_name(name), chr(_FIRST_THRESHOLD + number)
    return replace(alarm, name=name, threshold=threshold)


def with_thresholds(value: object, alarms: Iterable[Alarm]) -> object:
    """Return a copy of what JSON is made of, in whose texts thresholds are references for good."""
    table = {}
    for alarm in alarms:
        if isinstance(alarm.threshold, ThresholdReference):
            key, number = alarm.threshold.alarm.encode().hex(), float(alarm.threshold)
            text = f"event-monitor:threshold:{key}:{number:.10g}:"
            table[ord(alarm.threshold.stand_in)] = text
    return _translated(value, table)


def _translated(value: object, table: dict[int, str]) -> object:
    if isinstance(value, dict):
        return {name: _translated(item, table) for name, item in value.items()}
    if isinstance(value, list):
        return [_translated(item, table) for item in value]
    if isinstance(value, str):
        return type(value)(value.translate(table))  # PlaceholderText stays what it is
    return value


def short_name(name: str) -> str:
    """Return such a name without its prefix."""
    return name.removeprefix(f"{_PREFIX}-")


def resolved(
    text: str,
    *,
    prefix: str,
    namespace: str,
    dimension: Callable[[str], str],
    threshold: Callable[[str, str], str],
) -> str:
    """Return the text with its stand-ins replaced.

    ``dimension`` is given the dimension's name, ``threshold`` the name of the alarm without its
    prefix, and the number that was chosen.
    """
    text = text.replace(_PREFIX, prefix).replace(_NAMESPACE, namespace)
    text = _DIMENSION.sub(lambda found: dimension(bytes.fromhex(found[1]).decode()), text)
    return _THRESHOLD.sub(lambda found: threshold(bytes.fromhex(found[1]).decode(), found[2]), text)
