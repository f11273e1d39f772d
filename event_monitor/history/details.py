"""Details: what was asked for of a task, decoded, redacted and cut. Pure.

Whatever these texts are, they came from whoever may write to the broker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ..redaction import MASK, without_named_secrets, without_secrets

__all__ = ["Redactor"]

_MOST_CHARACTERS = 20_000
_MOST_OF_A_MESSAGE = 500


class Redactor:
    """Masks what is secret: URLs' passwords, values with a telling name, and ``patterns``."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = tuple(map(re.compile, patterns))

    def texts(self, details: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        """Return the details that are JSON texts, by name, fit to be kept."""
        texts = {}
        for name, raw in details:
            try:
                text = msgspec.json.decode(raw, type=str)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            most = _MOST_OF_A_MESSAGE if name == "message" else _MOST_CHARACTERS
            texts[name] = _cut(self.redacted(text[: 2 * _MOST_CHARACTERS]), most)
        return texts

    def redacted(self, text: str) -> str:
        """Return the text with what is secret masked."""
        text = without_named_secrets(without_secrets(text))
        for pattern in self._patterns:
            text = pattern.sub(_masked, text)
        return text


def _masked(found: re.Match[str]) -> str:
    """Return what was matched with its group masked; all of it, where it has none."""
    if not found.re.groups or found[1] is None:
        return MASK
    begin, end = (place - found.start() for place in found.span(1))
    return found[0][:begin] + MASK + found[0][end:]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
