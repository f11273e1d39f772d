"""Worker side: what a worker's main process adds to its events: facts, sent times, and the note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

from celery import signals

from ..enqueued_at import enqueued_at
from .fields import Fields
from .note import WorkerNote
from .queue_client import prepare
from .sender import sender_of
from .worker_facts import worker_facts

__all__ = ["WorkerSide", "observe_worker", "worker_side_of"]

_ATTRIBUTE = "_event_monitor_worker_side"  # of the app
_MOST_SENT_TIMES = 20_000  # 4 MB: of tasks that wait here for their eta, or will never start


class WorkerSide:
    """One worker, as long as its process lives. For the worker's own loop."""

    def __init__(self, worker: Any) -> None:
        self._worker = ref(worker)
        self._sender = sender_of(worker.app)
        self._note = WorkerNote(worker.app, worker.hostname)
        self._sent_times: dict[str, float] = {}
        self._beat_seconds = self._sender.queue.beat_seconds
        self._is_up = True
        self._sender.on_beat = self._leave_note

    def observes(self, worker: Any) -> bool:
        """Return whether it is that one, and sends where it did."""
        return self._worker() is worker is not None and self._sender is sender_of(worker.app)

    def note_receipt(self, request: Any) -> None:
        """Remember when a task that was just received was published, if its headers say so."""
        headers = request.request_dict
        # A retry keeps the time of the first publishing; its own begins with its eta.
        if headers.get("retries") and not headers.get("eta"):
            return
        sent_at = enqueued_at(headers)
        if sent_at is not None:
            if len(self._sent_times) >= _MOST_SENT_TIMES:
                del self._sent_times[next(iter(self._sent_times))]
            self._sent_times[request.id] = sent_at

    def add_sent_times(self, events: Sequence[Fields]) -> None:
        """Add to each task-started when the task was published.

        Not to task-received: the monitor would have to keep it for each task that waits.
        """
        if not self._sent_times:
            return
        for event in events:
            if event["type"] == "task-started":
                event["sent_at"] = self._sent_times.pop(event["uuid"], None)

    def complete(self, event: Fields) -> None:
        """Add to an event of the worker what it knows of itself."""
        self._beat_seconds = event["freq"]
        worker = self._worker()
        if worker is not None:
            event["facts"] = worker_facts(worker)
        self._is_up = event["type"] != "worker-offline"

    def _leave_note(self) -> None:
        """Leave the note, or take it away; in the sender's thread, which may wait for a disk."""
        if self._is_up:
            self._note.beat(interval_seconds=self._beat_seconds)
        else:
            self._note.close()


def observe_worker(worker: Any) -> None:
    """Begin to observe a worker that is being made, before its pool is.

    What sending needs is imported here, so that the pool's processes share it. Again, it changes
    nothing.
    """
    known = worker_side_of(worker.app)
    if known is not None and known.observes(worker):
        return
    prepare()
    setattr(worker.app, _ATTRIBUTE, WorkerSide(worker))
    signals.task_received.connect(_on_received, weak=False, dispatch_uid=_ATTRIBUTE)


def worker_side_of(app: Any) -> WorkerSide | None:
    """Return the worker that this process is, for this app; None if it is none."""
    found = getattr(app, _ATTRIBUTE, None)
    return found if isinstance(found, WorkerSide) else None


def _on_received(sender: Any, request: Any, **_signal: object) -> None:
    side = worker_side_of(sender.app)
    groups = sender.event_dispatcher.groups  # of events that are sent; with ``-E`` there are none
    if side is not None and (not groups or "task" in groups):
        side.note_receipt(request)
