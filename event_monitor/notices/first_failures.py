"""First failures: the log names each kind of failure when it first comes, with the id of a task."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import UNKNOWN, EndedTask, Snapshot

__all__ = ["FirstFailures"]

log = logging.getLogger(__name__)

_MAX_LINES = 10  # in one window; the next shot tells how many more there were
_MAX_KINDS = 1_000  # names of tasks and exceptions come from whoever writes to the broker
_FORGET_SECONDS = 3_600.0  # a kind that stayed away for so long is news again
_MAX_NAMED = 5  # kinds that the line about the rest names

_Kind = tuple[str, str]  # name of the task, class of the exception


class FirstFailures:
    """Logs the first failure of each task and exception class, as a ``TaskConsumer``.

    ``on_tasks`` belongs to the receiving thread, ``on_snapshot`` to the one that takes the shot.
    Neither waits for more than the other's moment.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen_at: dict[_Kind, float] = {}  # our monotonic clock
        self._told = 0  # lines in this window
        self._untold: list[_Kind] = []  # the rest of it

    def on_tasks(self, tasks: Sequence[EndedTask]) -> None:
        """Log the failures of kinds that are new."""
        now = self._clock.monotonic()
        for task in tasks:
            if task.how != "failed":
                continue
            kind = task.name or UNKNOWN, task.exception or UNKNOWN
            seen_at = self._seen_at.get(kind)
            if seen_at is None and len(self._seen_at) >= _MAX_KINDS:
                continue
            self._seen_at[kind] = now
            if seen_at is None or now - seen_at >= _FORGET_SECONDS:
                self._tell(task, kind)
            else:
                log.debug("%s failed again with %s: task %s", *kind, task.id)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Say how many more there were in this window; begin the next."""
        del snapshot
        with self._lock:
            untold, self._untold, self._told = self._untold, [], 0
        if untold:
            named = ", ".join(f"{name} with {exception}" for name, exception in untold[:_MAX_NAMED])
            more = ", …" if len(untold) > _MAX_NAMED else ""
            log.info(
                "first failures of %d more kinds: %s%s",
                *(len(untold), named, more),
                extra={"notice": "failures-more", "kinds": len(untold)},
            )

    def _tell(self, task: EndedTask, kind: _Kind) -> None:
        with self._lock:
            self._told += 1
            if self._told > _MAX_LINES:
                self._untold.append(kind)
                return
        name, exception = kind
        place = f", at {task.place}" if task.place else ""
        log.info(
            "first failure of %s with %s: task %s on %s%s",
            *(name, exception, task.id, task.worker or UNKNOWN, place),
            extra={
                "notice": "failure-first",
                "task": name,
                "exception_type": exception,
                "uuid": task.id,
                "worker": task.worker,
                "queue": task.queue,
                "place": task.place,
            },
        )
