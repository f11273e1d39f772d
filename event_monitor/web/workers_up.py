"""Workers up: which workers are shown as up or down, and for how long one that is gone.

Alerts on a worker that is down wait for a quarter of an hour, so one that was lost is shown as down
for longer than that; after a goodbye nobody is missed, and no alert should wait for it.
"""

from __future__ import annotations

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import Snapshot, WorkerState

__all__ = ["WorkersUp"]

_LOST_SECONDS = 1_500.0  # shown as down for so long at least; CeleryWorkerDown needs 900
_LEFT_SECONDS = 240.0  # after a goodbye: under the five minutes that dashboards look back
_MOST_REMEMBERED = 10_000


class WorkersUp:
    """Remembers the workers that were lost, also when the roster forgets them. For one thread."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lost_at: dict[str, float] = {}  # nodename → our monotonic clock

    def add(self, snapshot: Snapshot) -> None:
        """Note who is lost, and who is back or said goodbye."""
        now = self._clock.monotonic()
        for loss in snapshot.losses:
            if not loss.said_goodbye and len(self._lost_at) < _MOST_REMEMBERED:
                self._lost_at.setdefault(loss.hostname, now)
        for worker in snapshot.workers:
            if worker.state is not WorkerState.LOST:
                self._lost_at.pop(worker.hostname, None)
        self._lost_at = {
            hostname: at for hostname, at in self._lost_at.items() if now - at < _LOST_SECONDS
        }

    def shown(self, snapshot: Snapshot) -> dict[str, tuple[int, int | None]]:
        """Return whether each is up, and how many tasks it runs (None: it did not say).

        Those that are down come first.
        """
        shown: dict[str, tuple[int, int | None]] = dict.fromkeys(self._lost_at, (0, 0))
        for worker in snapshot.workers:
            is_leaving = (
                worker.state is WorkerState.OFFLINE and worker.silent_seconds < _LEFT_SECONDS
            )
            if worker.state is WorkerState.LOST or is_leaving:
                shown[worker.hostname] = 0, 0
        for worker in snapshot.online:
            shown[worker.hostname] = 1, worker.active
        return shown
