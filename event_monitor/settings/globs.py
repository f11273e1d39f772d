"""Globs: how a setting names several tasks, queues or workers at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["matches", "what_is_wrong"]

_NOT = "!"  # begins a glob of what does not match
_SET = re.compile(r"\[!?\]?[^\]]*\]")  # such as [abc] and [!abc]; a `]` that comes first is in it


def matches(name: str, globs: Iterable[str]) -> bool:
    """Return whether the globs match the whole name; case matters.

    One of them has to, and none that begins with ``!`` may match it; where all begin with ``!``,
    everything else matches. Without globs nothing does.
    """
    given = tuple(globs)
    wanted = [glob for glob in given if not glob.startswith(_NOT)]
    if len(wanted) < len(given) and any(
        glob.startswith(_NOT) and fnmatchcase(name, glob[1:]) for glob in given
    ):
        return False
    return any(fnmatchcase(name, glob) for glob in wanted) if wanted else bool(given)


def what_is_wrong(glob: str) -> str | None:
    """Return why this is no glob; None if it is one."""
    pattern = glob.removeprefix(_NOT).strip()
    if not pattern:
        return f"{glob!r} has nothing after the `!`"
    if pattern.startswith(_NOT):
        return f"{glob!r} has more than one `!`"
    if "[" in _SET.sub("", pattern):
        return f"{glob!r} has a `[` that is never closed"
    return None
