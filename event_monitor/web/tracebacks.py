"""Tracebacks: a text cut into frames, so that those of libraries can be folded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from ..own_code import is_foreign

__all__ = ["Part", "parts_of"]

_FRAME = re.compile(r'  File "(?P<path>[^"]*)", line \d+')


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a traceback. ``frames`` is how many frames of libraries they are; else 0."""

    text: str
    frames: int = 0


def parts_of(traceback: str) -> tuple[Part, ...]:
    """Return the traceback in parts that give it again when they are joined by line ends."""
    parts = []
    for is_folded, lines in groupby(_judged(traceback), key=lambda judged: judged[0]):
        texts = [text for _, text in lines]
        frames = sum(_FRAME.match(text) is not None for text in texts) if is_folded else 0
        parts.append(Part("\n".join(texts), frames))
    return tuple(parts)


def _judged(traceback: str) -> Iterator[tuple[bool, str]]:
    """Yield each line, and whether it belongs to a frame of somebody else's code."""
    is_folded = False
    for line in traceback.split("\n"):
        frame = _FRAME.match(line)
        if frame is not None:
            is_folded = is_foreign(frame["path"])
        elif not line.startswith("    "):  # not the source of a frame
            is_folded = False
        yield is_folded, line
