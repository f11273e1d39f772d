"""List parsers: names, pairs and limits, from text with commas or from native values. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..catalog import CATALOG, DIMENSIONS
from .parsers import Kind, NotAllowedError, is_printable_ascii, not_a_flag, suggest

__all__ = ["DIMENSION_PAIRS", "GROUPS", "LIMITS", "NAMES", "metric_names"]

_MAX_STATIC_DIMENSIONS = 20  # CloudWatch takes 30; the rest stays free for splits


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
        if not (
            is_printable_ascii(key, 255) and is_printable_ascii(str(value), 1_024)
        ) or key.startswith(":"):
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
        if not is_printable_ascii(name, 255) or not parts:
            raise NotAllowedError(f"{name!r} is not well-formed")
        groups[name] = tuple(dict.fromkeys(groups.get(name, ()) + parts))
    return tuple(groups.items())


GROUPS = Kind("NAME=GLOB|GLOB,...", "NAME=GLOB pairs, several globs joined by `|`", _groups)


def _limits(raw: Any) -> tuple[tuple[str, tuple[float, float]], ...]:
    limits: dict[str, tuple[float, float]] = {}
    for glob, levels in _pairs(raw):
        warning, critical = levels.split(":") if isinstance(levels, str) else levels
        found = float(not_a_flag(warning)), float(not_a_flag(critical))
        if not glob or not 0 <= found[0] <= found[1] < math.inf:
            raise NotAllowedError(f"{glob!r} needs a warning no higher than its critical")
        limits[glob] = found
    return tuple(limits.items())


LIMITS = Kind(
    "GLOB=WARN:CRIT,...", "GLOB=WARNING:CRITICAL pairs of numbers; the first that matches", _limits
)
