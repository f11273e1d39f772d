"""Found: what broker and workers answered first, so that nobody waits for a window to see it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..survey import QueueDepth, WorkerAnswer
from .notice import workers_named

__all__ = ["log_found"]

log = logging.getLogger(__name__)

_MAX_QUEUES = 10  # that the line names


def log_found(workers: Sequence[WorkerAnswer] | None, queues: Sequence[QueueDepth] | None) -> None:
    """Log the first answers. None was not asked, or could not be: that is told elsewhere."""
    if workers is not None:
        names = tuple(worker.hostname for worker in workers)
        text = f"found {workers_named(names)}" if names else "no worker answers yet"
        log.info("%s", text, extra={"notice": "found-workers", "workers": len(names)})
    if queues is not None:
        text = f"found {_queues(queues)}" if queues else "no queue is known yet"
        log.info("%s", text, extra={"notice": "found-queues", "queues": len(queues)})


def _queues(queues: Sequence[QueueDepth]) -> str:
    """Return how many they are, the first of them, and how much waits in each."""
    count = "1 queue" if len(queues) == 1 else f"{len(queues):,} queues"
    named = ", ".join(f"{queue.name} ({_waiting(queue)})" for queue in queues[:_MAX_QUEUES])
    more = ", …" if len(queues) > _MAX_QUEUES else ""
    return f"{count}: {named}{more}"


def _waiting(queue: QueueDepth) -> str:
    if queue.missing:
        return "not made yet"
    return "length unknown" if queue.ready is None else f"{queue.ready:,} waiting"
