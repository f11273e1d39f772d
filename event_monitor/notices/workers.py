"""Workers: which of them come, return and leave, from one snapshot to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..snapshot import Snapshot, WorkerState, WorkerStatus
from .notice import Notice

__all__ = ["WorkerChanges"]

_FIRST_SECONDS = 2.0  # after which all that were asked for a heartbeat have sent one


class WorkerChanges:
    """Compares the workers of each snapshot with those of the one before. Not thread-safe.

    The first that are there are found, all at once; who came and left before is told to have left.
    A worker that died is left to the losses.
    """

    def __init__(self) -> None:
        self._known: dict[str, WorkerStatus] = {}
        self._has_found = False

    @property
    def has_found(self) -> bool:
        """Return whether there was a worker yet."""
        return self._has_found

    def find(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Yield what has changed; the snapshot is remembered for the next."""
        listened = snapshot.listening_seconds
        if not self._has_found and (listened is None or listened < _FIRST_SECONDS):
            self._known |= {worker.hostname: worker for worker in snapshot.online}
            return
        before, self._known = self._known, {w.hostname: w for w in snapshot.workers}
        if not self._has_found:
            names = tuple(sorted(worker.hostname for worker in snapshot.online))
            self._has_found = bool(names or before)
            if names:
                yield Notice(kind="workers-found", workers=names)
            before = self._known | before | {w.hostname: w for w in snapshot.online}
        told = {loss.hostname for loss in (*snapshot.losses, *snapshot.leaving)}
        for worker in snapshot.workers:
            if worker.hostname not in told:
                yield from _change(before.get(worker.hostname), worker)


def _change(before: WorkerStatus | None, worker: WorkerStatus) -> Iterator[Notice]:
    name, is_online = worker.hostname, worker.state is WorkerState.ONLINE
    if before is None:
        if is_online:
            yield Notice(kind="worker-came", worker=name)
    elif is_online and before.state is not WorkerState.ONLINE:
        yield Notice(kind="worker-back", worker=name)
    elif is_online and _has_another_process(before, worker):
        yield Notice(kind="worker-restarted", worker=name)
    elif worker.state is WorkerState.OFFLINE and before.state is WorkerState.ONLINE:
        yield Notice(kind="worker-gone", worker=name)


def _has_another_process(before: WorkerStatus, worker: WorkerStatus) -> bool:
    if before.is_shared or worker.is_shared:
        return False
    return None not in (before.pid, worker.pid) and before.pid != worker.pid
