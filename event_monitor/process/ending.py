"""Ending: the process ends in time, though nobody reads what it has written."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress

from ..children import end_at_once
from .log_queue import LogQueue

__all__ = ["end_output"]

_SECONDS = 1.0  # for a reader that takes what is left


def end_output(log_queue: LogQueue, *, exit_code: int) -> None:
    """Write what is left for log and standard output; end the process if that takes longer.

    A thread may be in the middle of a write that never ends: at its own end the interpreter would
    wait for it.
    """
    if not (log_queue.close(deadline_seconds=_SECONDS) and _stdout_is_free()):
        end_at_once(exit_code)


def _stdout_is_free() -> bool:
    flush = threading.Thread(target=_flush_stdout, name="flush", daemon=True)
    flush.start()
    flush.join(_SECONDS)
    return not flush.is_alive()


def _flush_stdout() -> None:
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or there is none
        sys.stdout.flush()
