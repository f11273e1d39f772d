"""Children: processes that end with ours, however it ends, unless it is killed itself."""

from __future__ import annotations

import atexit
import os
import signal
from contextlib import suppress
from subprocess import Popen
from typing import Any, NoReturn

__all__ = ["end_at_once", "end_with_us"]

_children: set[Popen[Any]] = set()
os.register_at_fork(after_in_child=_children.clear)  # there they are no children


def end_with_us(child: Popen[Any]) -> None:
    """Kill a child, and its children, at our end. It leads a process group."""
    _children.difference_update([other for other in list(_children) if _has_ended(other)])
    _children.add(child)


def end_at_once(exit_code: int) -> NoReturn:
    """End this process now, whatever its threads do. May be called in a signal handler."""
    _kill_all()
    os._exit(exit_code)


@atexit.register
def _kill_all() -> None:
    for child in list(_children):  # at one go, as another thread may add one
        if not _has_ended(child):
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)


def _has_ended(child: Popen[Any]) -> bool:
    """Return whether somebody has waited for its end: its number may be another's by now."""
    return child.returncode is not None
