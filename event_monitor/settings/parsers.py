"""Parsers: how a setting is written. Text or a native value in, the setting's value out. Pure.

A parser raises ``ValueError`` or ``TypeError`` for what it does not allow, ``NotAllowedError`` when
it can say more than its rule does. ``text_of`` writes a value so that its parser reads it back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, SupportsFloat, TypeVar
from urllib.parse import urlsplit

from ..redaction import shown_url

__all__ = [
    "FILE",
    "FLAG",
    "NAMESPACE",
    "PATH",
    "QUEUE",
    "REGION",
    "URL",
    "NotAllowedError",
    "Parser",
    "choice",
    "is_printable_ascii",
    "number",
    "number_from",
    "text_of",
    "whole",
]

Value = TypeVar("Value", covariant=True)


class NotAllowedError(ValueError):
    """A value is wrong, and the message says which part of it and why."""


@dataclass(frozen=True, slots=True)
class Parser(Generic[Value]):
    """A placeholder for --help, the rule in words, and the function that parses.

    ``shown`` masks a value that may hold a password; what is no value is not shown at all then.
    """

    placeholder: str
    allowed: str
    parse: Callable[[object], Value]
    shown: Callable[[str], str] | None = None


def text_of(value: object) -> str:
    """Return the value as it would be written in a flag or a variable; empty for nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(item if isinstance(item, str) else _pair_text(*item) for item in value)
    return str(value)


def _pair_text(key: str, value: str | tuple[str, ...] | tuple[float, float]) -> str:
    if isinstance(value, str):
        return f"{key}={value}"
    separator = "|" if all(isinstance(part, str) for part in value) else ":"
    return f"{key}={separator.join(map(text_of, value))}"


# -- numbers and choices --------------------------------------------------------------------------


def number(low: float, high: float, *, unit: str) -> Parser[float]:
    """Return the parser of a number between two bounds, both included."""

    def parse(raw: object) -> float:
        value = number_from(raw)
        if not low <= value <= high:  # so is NaN
            raise ValueError
        return value

    placeholder = "SECONDS" if unit == "seconds" else "NUMBER"
    return Parser(placeholder, f"{text_of(low)} to {high:,.10g} {unit}", parse)


def whole(low: int, high: int) -> Parser[int]:
    """Return the parser of a whole number between two bounds, both included."""

    def parse(raw: object) -> int:
        value = number_from(raw)
        if not low <= value <= high or not value.is_integer():
            raise ValueError
        return int(raw) if isinstance(raw, str) else int(value)  # int refuses "1e3"

    return Parser("N", f"a whole number from {low:,} to {high:,}", parse)


def choice(*choices: str) -> Parser[str]:
    """Return the parser of one of a few words."""

    def parse(raw: object) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    return Parser("|".join(choices), " or ".join(f"`{word}`" for word in choices), parse)


def number_from(raw: object) -> float:
    """Return text or a number as a float; ``ValueError`` for a truth value, which is a mistake."""
    if isinstance(raw, bool) or not isinstance(raw, (str, SupportsFloat)):
        raise ValueError
    return float(raw)


_TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw.lower() not in _TRUTH:
        raise ValueError
    return _TRUTH[raw.lower()]


FLAG = Parser("", "`true` or `false`", _flag)


# -- text -----------------------------------------------------------------------------------------


def is_printable_ascii(text: str, most: int) -> bool:
    """Return whether it is not blank, and at most so many characters that CloudWatch takes."""
    return bool(text.strip()) and len(text) <= most and text.isascii() and text.isprintable()


def _namespace(raw: object) -> str:
    if not isinstance(raw, str) or not is_printable_ascii(raw, 255):
        raise ValueError
    if raw.startswith((":", "AWS/")):
        raise ValueError
    return raw


NAMESPACE = Parser(
    "TEXT", "1 to 255 printable ASCII characters, not beginning with `AWS/` or `:`", _namespace
)


def _path(raw: object) -> str:
    if not isinstance(raw, (str, os.PathLike)):
        raise TypeError
    text = os.fspath(raw)
    if not isinstance(text, str) or "\0" in text:
        raise ValueError
    return text


PATH = Parser("DIR", "a directory", _path)
FILE = Parser("FILE", "a file", _path)


def _queue(raw: object) -> str:
    if not isinstance(raw, str) or not (raw == "" or is_printable_ascii(raw, 200)):
        raise ValueError
    return raw


QUEUE = Parser("NAME", "up to 200 printable ASCII characters", _queue)


def _region(raw: object) -> str:
    if not isinstance(raw, str) or (raw and not raw.replace("-", "").isalnum()):
        raise ValueError
    return raw


REGION = Parser("REGION", "an AWS region such as eu-west-1", _region)


def _url(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    if raw:
        parts = urlsplit(raw)  # raises ValueError itself for some
        if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1:
            raise ValueError
    return raw


URL = Parser("URL", "an http:// or https:// URL", _url, shown_url)
