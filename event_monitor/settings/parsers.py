"""Kinds: how a setting is written. Text or a native value in, the setting's value out. Pure.

A parser raises ``ValueError`` or ``TypeError`` for what it does not allow, ``NotAllowedError`` when
it can say more than the rule does. ``text_of`` writes a value so that its parser reads it back.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "FLAG",
    "NAMESPACE",
    "PATH",
    "QUEUE",
    "REGION",
    "URL",
    "Kind",
    "NotAllowedError",
    "choice",
    "is_printable_ascii",
    "not_a_flag",
    "number",
    "suggest",
    "text_of",
    "whole",
]


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
        value = float(not_a_flag(raw))
        if math.isnan(value) or not low <= value <= high:
            raise ValueError
        return value

    placeholder = "SECONDS" if unit == "seconds" else "NUMBER"
    return Kind(placeholder, f"{text_of(low)} to {high:,.10g} {unit}", parse)


def whole(low: int, high: int) -> Kind:
    """A whole number between two bounds, both included."""

    def parse(raw: Any) -> int:
        value = int(not_a_flag(raw))
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


def not_a_flag(raw: Any) -> Any:
    """The value; ``ValueError`` if it is a truth value."""
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


def is_printable_ascii(text: str, most: int) -> bool:
    """Whether it is text that CloudWatch takes for a name: not blank, ``most`` characters."""
    return bool(text.strip()) and len(text) <= most and text.isascii() and text.isprintable()


def _namespace(raw: Any) -> str:
    if (
        not isinstance(raw, str)
        or not is_printable_ascii(raw, 255)
        or raw.startswith((":", "AWS/"))
    ):
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


def _queue(raw: Any) -> str:
    if not isinstance(raw, str) or not (raw == "" or is_printable_ascii(raw, 200)):
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
