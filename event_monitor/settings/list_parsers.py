"""List parsers: names, pairs and limits, from text with commas or from native values. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from ..catalog import CATALOG, DIMENSIONS
from .did_you_mean import did_you_mean
from .globs import what_is_wrong
from .parsers import NotAllowedError, Parser, is_printable_ascii, number_from, text_of

__all__ = [
    "DIMENSION_PAIRS",
    "GLOBS",
    "GROUPS",
    "LIMITS",
    "LINKS",
    "NAMES",
    "PATTERNS",
    "SCHEDULES",
    "metric_names",
    "words",
]

_LONGEST_PERIOD_SECONDS = 366 * 86_400
_CRONTAB_FIELDS = 5
_MAX_STATIC_DIMENSIONS = 20  # CloudWatch takes 30; the rest stays free for splits


# -- names ----------------------------------------------------------------------------------------


def _names(raw: object) -> tuple[str, ...]:
    names = _texts(raw)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _texts(raw: object) -> list[str]:
    """Return the parts of text with commas, or of a list of texts."""
    if isinstance(raw, str):
        return raw.split(",")
    if isinstance(raw, Mapping) or not isinstance(raw, Iterable):
        raise ValueError
    parts = list(raw)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError
    return parts


NAMES = Parser("A,B", "names separated by commas", _names)


def _globs(raw: object) -> tuple[str, ...]:
    globs = _names(raw)
    for glob in globs:
        problem = what_is_wrong(glob)
        if problem is not None:
            raise NotAllowedError(problem)
    return globs


GLOBS = Parser("A,B", "names or globs separated by commas, `!` before what to leave out", _globs)


def metric_names(split: str = "") -> Parser[tuple[str, ...]]:
    """Return the parser of metrics' names: all, or those that can be split by ``split``."""
    known = tuple(spec.name for spec in CATALOG if not split or split in spec.splits)

    def parse(raw: object) -> tuple[str, ...]:
        names = _names(raw)
        if names == ("none",):
            return ()
        if names == ("all",):
            return known
        for name in names:
            if name not in known:
                raise NotAllowedError(f"{name!r} is none of these{did_you_mean(name, known)}")
        return names

    what = f"metrics that can be split by {split}" if split else "metrics"
    return Parser("A,B", f"`all`, `none` or {what} (`event-monitor metrics` lists them)", parse)


def words(*choices: str) -> Parser[tuple[str, ...]]:
    """Return the parser of some of a few words."""

    def parse(raw: object) -> tuple[str, ...]:
        names = _names(raw)
        for name in names:
            if name not in choices:
                raise NotAllowedError(f"{name!r} is none of these{did_you_mean(name, choices)}")
        return names

    return Parser("A,B", f"some of {', '.join(f'`{word}`' for word in choices)}", parse)


_BETWEEN_PATTERNS = re.compile(r",(?![^([{]*[)\]}])")  # not within brackets


def _patterns(raw: object) -> tuple[str, ...]:
    patterns = _names(_BETWEEN_PATTERNS.split(raw) if isinstance(raw, str) else raw)
    for pattern in patterns:
        try:
            matches_nothing = re.compile(pattern).search("") is not None
        except (re.error, OverflowError, RecursionError) as error:
            raise NotAllowedError(f"{pattern!r} is no regular expression: {error}") from error
        if matches_nothing:
            raise NotAllowedError(f"{pattern!r} matches the empty text")
    return patterns


PATTERNS = Parser("REGEX,...", "regular expressions separated by commas", _patterns)


# -- pairs ----------------------------------------------------------------------------------------


def _pairs(raw: object) -> Iterator[tuple[str, object]]:
    """Yield key and value of a mapping, or of texts such as ``key=value``."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if not isinstance(key, str):
                raise NotAllowedError(f"{key!r} is not text")
            yield key, value
        return
    for part in _texts(raw):
        if part.strip():
            key, equals, value = part.partition("=")
            if not equals:
                raise NotAllowedError(f"{part.strip()!r} has no `=`")
            yield key.strip(), value.strip()


def _dimensions(raw: object) -> tuple[tuple[str, str], ...]:
    dimensions: dict[str, str] = {}
    for name, value in _pairs(raw):
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise NotAllowedError(f"the value of {name!r} is not text")
        text = str(value)
        if not (is_printable_ascii(name, 255) and is_printable_ascii(text, 1_024)):
            raise NotAllowedError(f"{name!r} is not well-formed")
        if name.startswith(":"):
            raise NotAllowedError(f"{name!r} is not well-formed")
        if name in DIMENSIONS:
            raise NotAllowedError(f"{name!r} is a dimension of our own")
        if name in dimensions:
            raise NotAllowedError(f"{name!r} is given twice")
        dimensions[name] = text
    if len(dimensions) > _MAX_STATIC_DIMENSIONS:
        raise NotAllowedError(f"there are {len(dimensions)}")
    return tuple(dimensions.items())


DIMENSION_PAIRS = Parser(
    "NAME=VALUE,...",
    f"up to {_MAX_STATIC_DIMENSIONS} NAME=VALUE pairs of printable ASCII",
    _dimensions,
)


def _groups(raw: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    groups: dict[str, tuple[str, ...]] = {}
    for name, written in _pairs(raw):
        globs = _globs(written.replace("|", ",") if isinstance(written, str) else written)
        if not is_printable_ascii(name, 255) or not globs:
            raise NotAllowedError(f"{name!r} is not well-formed")
        groups[name] = tuple(dict.fromkeys(groups.get(name, ()) + globs))
    return tuple(groups.items())


GROUPS = Parser("NAME=GLOB|GLOB,...", "NAME=GLOB pairs, several globs joined by `|`", _groups)


def _limits(raw: object) -> tuple[tuple[str, tuple[float, float]], ...]:
    limits: dict[str, tuple[float, float]] = {}
    for glob, written in _pairs(raw):
        levels = written.split(":") if isinstance(written, str) else written
        if not isinstance(levels, Iterable):
            raise TypeError
        warning, critical = map(number_from, levels)
        if not glob or not 0 <= warning <= critical < math.inf:
            raise NotAllowedError(f"{glob!r} needs a warning no higher than its critical")
        limits[glob] = warning, critical
    return tuple(limits.items())


LIMITS = Parser(
    "GLOB=WARN:CRIT,...", "GLOB=WARNING:CRITICAL pairs of numbers; the first that matches", _limits
)


def _schedules(raw: object) -> tuple[tuple[str, str], ...]:
    pairs = []
    for name, written in _pairs(_joined(raw.split(",")) if isinstance(raw, str) else raw):
        schedule = " ".join(written.split()) if isinstance(written, str) else written
        if not name:
            raise NotAllowedError(f"{schedule!r} has no name")
        if not isinstance(schedule, str) or len(schedule.split()) != _CRONTAB_FIELDS:
            schedule = _period_text(name, schedule)
        pairs.append((name, schedule))
    return tuple(dict.fromkeys(pairs))


def _joined(parts: Iterable[str]) -> list[str]:
    """Return the pairs of which these are parts: a crontab has commas of its own, but no `=`."""
    joined: list[str] = []
    for part in parts:
        if joined and part.strip() and "=" not in part:
            joined[-1] = f"{joined[-1].rstrip()},{part.lstrip()}"
        else:
            joined.append(part)
    return joined


def _period_text(name: str, period: object) -> str:
    if period == "off":
        return "off"
    try:
        seconds = number_from(period)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _LONGEST_PERIOD_SECONDS:
        raise NotAllowedError(
            f"{period!r} of {name!r} is neither seconds (from 1 to {_LONGEST_PERIOD_SECONDS:,}), "
            f"nor a crontab of {_CRONTAB_FIELDS} fields, nor `off`"
        )
    return text_of(seconds)


SCHEDULES = Parser(
    "NAME=SECONDS|CRONTAB|off,...",
    "NAME=SECONDS, NAME=CRONTAB (five fields, which may have commas) or NAME=off",
    _schedules,
)


# -- links ----------------------------------------------------------------------------------------

_PLACEHOLDERS = ("id", "name", "worker", "queue", "exception")


def _links(raw: object) -> tuple[tuple[str, str], ...]:
    return tuple((name, _link(name, url)) for name, url in _pairs(raw))


def _link(name: str, url: object) -> str:
    if not isinstance(url, str) or not re.fullmatch(r"https?://\S+", url):
        raise NotAllowedError(f"{name!r} is no URL with http:// or https://")
    for placeholder in re.findall(r"\{(.*?)\}", url):
        if placeholder not in _PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in _PLACEHOLDERS)
            raise NotAllowedError(f"{{{placeholder}}} of {name!r} is unknown; known are {known}")
    return url


LINKS = Parser(
    "NAME=URL",
    "NAME=URL separated by commas, such as Sentry=https://sentry.example/search?q={id}",
    _links,
)
