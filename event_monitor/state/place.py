"""Place: where in the app's own code a task failed, read from the text of its traceback. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ..own_code import is_foreign

__all__ = ["MAX_PLACE", "place_of"]

MAX_PLACE = 300  # characters; of a longer one the end stays
_MAX_FRAMES = 200  # looked at, from the innermost on

# A line of a traceback within a JSON text: `  File "/app/shop.py", line 3, in pay`. Group 1 is it.
_BEGIN = b'File \\"'
_FRAME = re.compile(rb'File \\"([^"\\]*(?:\\[^"n][^"\\]*)*)\\", line (\d{1,9}), in ([^"\\]*)')
_LONGEST_FRAME = 2_000  # bytes


def place_of(traceback: msgspec.Raw | bytes) -> str | None:
    """Return the innermost frame of the app's own code, such as ``/app/shop.py:3 in pay``.

    ``traceback`` is the raw JSON of an event. None if there is no such frame. It is read from its
    end, a frame at a time, and the rest is not decoded. Of chained exceptions the last counts.
    """
    for path, line, function in _frames(bytes(traceback)):
        if not is_foreign(path):
            return f"{path}:{line} in {function}"[-MAX_PLACE:]
    return None


def _frames(text: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield path, line and function of each frame, the innermost first."""
    end = len(text)
    for _ in range(_MAX_FRAMES):
        begin = text.rfind(_BEGIN, 0, end)
        if begin < 0:
            return
        frame = _FRAME.match(text, begin, min(end, begin + _LONGEST_FRAME))
        end = begin
        if frame is not None:
            path, line, function = (_decoded(part) for part in frame.groups())
            yield path, line, function


def _decoded(part: bytes) -> str:
    """Return a part of a JSON text as text; what is none is replaced."""
    if b"\\" not in part:
        return part.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(b'"%b"' % part, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return part.decode("utf-8", "replace")
