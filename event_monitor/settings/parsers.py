"""Kinds: how a setting is written. Text or a native value in, the setting's value out. Pure.

A parser raises ``ValueError`` or ``TypeError`` for what it does not allow, ``NotAllowedError`` when
it can say more than the rule does. ``text_of`` writes a value so that its parser reads it back.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..catalog import CATALOG, DIMENSIONS

__all__ = [
    "DIMENSION_PAIRS",
    "FILE",
    "FLAG",
    "GROUPS",
    "LIMITS",
    "NAMES",
    "NAMESPACE",
    "PATH",
    "QUEUE",
    "REGION",
    "URL",
    "Kind",
    "NotAllowedError",
    "choice",
    "metric_names",
    "number",
    "suggest",
    "text_of",
    "whole",
]

_MAX_STATIC_DIMENSIONS = 20  # CloudWatch takes 30; the rest stays free for splits


class NotAllowedError(ValueError):
    """A value is wrong, and the message says which part of it and why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A placeholder for --help, the rule in words, and the parser."""

    placeholder: str
    allowed: str
    parse: Callable[[Any], Any]


def text_of(value: Any) -> str:
    """The value as it would be written in a flag or a variable; empty for nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(one if isinstance(one, str) else _pair_text(*one) for one in value)


def _pair_text(key: str, value: str | tuple[Any, ...]) -> str:
    if isinstance(value, str):
        return f"{key}={value}"
    separator = "|" if all(isinstance(one, str) for one in value) else ":"
    return f"{key}={separator.join(text_of(one) for one in value)}"


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'interval'?)``, or nothing when no known name is like it."""
    by_lower = {one.lower(): one for one in known}
    wanted = name.lower().replace("-", "_")
    close = difflib.get_close_matches(wanted, by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


# -- numbers and choices --------------------------------------------------------------------------


def number(low: float, high: float, unit: str) -> Kind:
    """A number between two bounds, both included."""

    def parse(raw: Any) -> float:
        value = float(_not_a_flag(raw))
        if math.isnan(value) or not low <= value <= high:
            raise ValueError
        return value

    placeholder = "SECONDS" if unit == "seconds" else "NUMBER"
    return Kind(placeholder, f"{text_of(low)} to {high:,.10g} {unit}", parse)


def whole(low: int, high: int) -> Kind:
    """A whole number between two bounds, both included."""

    def parse(raw: Any) -> int:
        value = int(_not_a_flag(raw))
        if value != float(raw) or not low <= value <= high:
            raise ValueError
        return value

    return Kind("N", f"a whole number from {low:,} to {high:,}", parse)


def choice(*choices: str) -> Kind:
    """One of a few words."""

    def parse(raw: Any) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    return Kind("|".join(choices), " or ".join(f"`{one}`" for one in choices), parse)


def _not_a_flag(raw: Any) -> Any:
    if isinstance(raw, bool):  # True is 1 to Python; to a user it is a mistake
        raise ValueError
    return raw


_TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _flag(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    try:
        return _TRUTH[raw.lower()]
    except KeyError:
        raise ValueError from None


FLAG = Kind("", "`true` or `false`", _flag)


# -- text -----------------------------------------------------------------------------------------


def _printable(text: str, most: int) -> bool:
    return bool(text.strip()) and len(text) <= most and text.isascii() and text.isprintable()


def _namespace(raw: Any) -> str:
    if not isinstance(raw, str) or not _printable(raw, 255) or raw.startswith((":", "AWS/")):
        raise ValueError
    return raw


def _path(raw: Any) -> str:
    text = raw if isinstance(raw, str) else raw.__fspath__()
    if not isinstance(text, str) or "\0" in text:
        raise ValueError
    return text


NAMESPACE = Kind(
    "TEXT", "1 to 255 printable ASCII characters, not beginning with `AWS/` or `:`", _namespace
)
PATH = Kind("DIR", "a directory", _path)
FILE = Kind("FILE", "a file", _path)


def _queue(raw: Any) -> str:
    if not isinstance(raw, str) or not (raw == "" or _printable(raw, 200)):
        raise ValueError
    return raw


QUEUE = Kind("NAME", "up to 200 printable ASCII characters", _queue)


def _region(raw: Any) -> str:
    if not isinstance(raw, str) or (raw and not raw.replace("-", "").isalnum()):
        raise ValueError
    return raw


REGION = Kind("REGION", "an AWS region such as eu-west-1", _region)


def _url(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    if raw:
        parts = urlsplit(raw)  # raises ValueError itself for some
        if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1:
            raise ValueError
    return raw


URL = Kind("URL", "an http:// or https:// URL", _url)


# -- lists and pairs ------------------------------------------------------------------------------


def _names(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, Mapping):
        raise ValueError
    parts = tuple(raw.split(",") if isinstance(raw, str) else raw)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


NAMES = Kind("A,B", "names or globs separated by commas", _names)


def metric_names(split: str = "") -> Kind:
    """Names of metrics in the catalog, those that can be split by ``split`` if one is given."""
    able = tuple(one.name for one in CATALOG if not split or split in one.splits)

    def parse(raw: Any) -> tuple[str, ...]:
        names = _names(raw)
        if names == ("none",):
            return ()
        if names == ("all",):
            return able
        for name in names:
            if name not in able:
                raise NotAllowedError(f"{name!r} is none of these{suggest(name, able)}")
        return names

    what = f"metrics that can be split by {split}" if split else "metrics"
    return Kind("A,B", f"`all`, `none` or {what} (`event-monitor metrics` lists them)", parse)


def _pairs(raw: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(raw, Mapping):
        yield from raw.items()
        return
    for part in raw.split(",") if isinstance(raw, str) else raw:
        if part.strip():
            key, equals, value = part.partition("=")
            if not equals:
                raise NotAllowedError(f"{part.strip()!r} has no `=`")
            yield key.strip(), value.strip()


def _dimensions(raw: Any) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for key, value in _pairs(raw):
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise NotAllowedError(f"the value of {key!r} is no text")
        if not (_printable(key, 255) and _printable(str(value), 1_024)) or key.startswith(":"):
            raise NotAllowedError(f"{key!r} is not well-formed")
        if key in DIMENSIONS:
            raise NotAllowedError(f"{key!r} is a dimension of our own")
        if key in found:
            raise NotAllowedError(f"{key!r} is given twice")
        found[key] = str(value)
    if len(found) > _MAX_STATIC_DIMENSIONS:
        raise NotAllowedError(f"there are {len(found)}")
    return tuple(found.items())


DIMENSION_PAIRS = Kind(
    "NAME=VALUE,...",
    f"up to {_MAX_STATIC_DIMENSIONS} NAME=VALUE pairs of printable ASCII",
    _dimensions,
)


def _groups(raw: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    groups: dict[str, tuple[str, ...]] = {}
    for name, globs in _pairs(raw):
        parts = _names(globs.replace("|", ",") if isinstance(globs, str) else globs)
        if not _printable(name, 255) or not parts:
            raise NotAllowedError(f"{name!r} is not well-formed")
        groups[name] = tuple(dict.fromkeys(groups.get(name, ()) + parts))
    return tuple(groups.items())


GROUPS = Kind("NAME=GLOB|GLOB,...", "NAME=GLOB pairs, several globs joined by `|`", _groups)


def _limits(raw: Any) -> tuple[tuple[str, tuple[float, float]], ...]:
    limits: dict[str, tuple[float, float]] = {}
    for glob, levels in _pairs(raw):
        warning, critical = levels.split(":") if isinstance(levels, str) else levels
        found = float(_not_a_flag(warning)), float(_not_a_flag(critical))
        if not glob or not 0 <= found[0] <= found[1] < math.inf:
            raise NotAllowedError(f"{glob!r} needs a warning no higher than its critical")
        limits[glob] = found
    return tuple(limits.items())


LIMITS = Kind(
    "GLOB=WARN:CRIT,...", "GLOB=WARNING:CRITICAL pairs of numbers; the first that matches", _limits
)
