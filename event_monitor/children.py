"""Children: processes that end with ours, however it ends, unless it is killed itself."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen
from typing import Any, NoReturn

__all__ = ["end_at_once", "end_with_us", "starting"]

_START_SECONDS = 1.0  # within which a child that is being started is known, or is let alone

_children: set[Popen[Any]] = set()
_starting = threading.RLock()  # ours may be the thread that a signal interrupts in it


@contextmanager
def starting() -> Iterator[None]:
    """Start a child in it, and hand it to ``end_with_us``: our end waits for that.

    Else it would outlive us if we end just then, since it runs before anybody knows it.
    """
    with _starting:
        yield


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
    is_ours = _starting.acquire(timeout=_START_SECONDS)
    for child in list(_children):  # at one go, as another thread may add one
        if not _has_ended(child):
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
    if is_ours:
        _starting.release()


def _has_ended(child: Popen[Any]) -> bool:
    """Return whether somebody has waited for its end: its number may be another's by now."""
    return child.returncode is not None


def _forget_all() -> None:
    """Begin anew in a process that was forked: they are no children of it."""
    global _starting
    _children.clear()
    _starting = threading.RLock()  # another thread of the parent may have had it


os.register_at_fork(after_in_child=_forget_all)
