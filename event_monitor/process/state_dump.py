"""State dump: what the process is doing, into the log. For when it seems to do nothing."""

from __future__ import annotations

import logging
import sys
import threading
import traceback

from ..snapshot import BrokerLink

__all__ = ["log_state", "log_threads"]

log = logging.getLogger(__name__)


def log_threads() -> None:
    """Log the stack of every thread. Takes no lock of ours."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001  the only way to other threads' stacks
    stacks = (
        f"Thread {names.get(ident, '?')}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
    )
    _log(f"state dump: {len(frames)} threads", {"threads": len(frames)}, stack="".join(stacks))


def log_state(
    *,
    link: BrokerLink,
    last_shot_at: float | None,
    last_accepted_at: float | None,
    tasks_in_flight: int | None,
    metrics_unsent: int,
    log_lines_waiting: int,
    now: float,
) -> None:
    """Log what waits, and when something last moved. Times are seconds since the Unix epoch."""
    facts: dict[str, object] = {
        "broker": link.name.lower(),
        "last_shot_seconds": None if last_shot_at is None else round(now - last_shot_at, 1),
        "last_accepted_seconds": (
            None if last_accepted_at is None else round(now - last_accepted_at, 1)
        ),
        "tasks_in_flight": tasks_in_flight,
        "metrics_unsent": metrics_unsent,
        "log_lines_waiting": log_lines_waiting,
    }
    _log(
        f"state dump: broker {facts['broker']}, last shot {_ago(facts['last_shot_seconds'])}, "
        f"last accepted {_ago(facts['last_accepted_seconds'])}, "
        f"tasks in flight: {'unknown' if tasks_in_flight is None else tasks_in_flight}, "
        f"metrics unsent: {metrics_unsent}, log lines waiting: {log_lines_waiting}",
        facts,
    )


def _ago(seconds: object) -> str:
    return "never" if seconds is None else f"{seconds} s ago"


def _log(text: str, facts: dict[str, object], *, stack: str | None = None) -> None:
    """Log it whatever the level: somebody has asked for it."""
    record = log.makeRecord(
        log.name, logging.INFO, __file__, 0, text, (), None, extra=facts, sinfo=stack
    )
    log.handle(record)
