"""Silent workers: says once per worker which gauges are unknown because it does not answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..survey import AbsentWorker
from ..text import printable

__all__ = ["SilentWorkers"]

log = logging.getLogger(__name__)

_LASTING = 3  # questions in a row: a worker that has just started may not answer yet
_MOST_NAMED = 5  # in one line


class SilentWorkers:
    """Logs the workers that are online and do not answer, each once. Not thread-safe."""

    def __init__(self) -> None:
        self._silent: dict[str, int] = {}  # nodename → questions in a row
        self._logged: set[str] = set()

    def note(self, absent: Iterable[AbsentWorker], *, alive: Iterable[str]) -> None:
        """Note who did not answer; who is not ``alive`` any more is forgotten."""
        self._silent = {w.hostname: self._silent.get(w.hostname, 0) + 1 for w in absent}
        self._logged.intersection_update(alive)
        new = [
            name for name, n in self._silent.items() if n >= _LASTING and name not in self._logged
        ]
        if not new:
            return
        self._logged.update(new)
        names = ", ".join(printable(name) for name in new[:_MOST_NAMED])
        more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
        log.warning(
            "no answer from %s%s: while that lasts the totals of PoolProcesses, WorkerUtilization, "
            "TasksReserved and others are unknown, and so are QueueConsumers and BacklogPerWorker "
            "of their queues; a solo worker is silent while it runs a task, and others with "
            "worker_enable_remote_control off or pickle as task_serializer always",
            names,
            more,
            extra={"worker": new},
        )
