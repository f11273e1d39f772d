"""Rest: the end of a soak, when nothing happens any more and every verdict has been given."""

from __future__ import annotations

import time

from celery import Celery

from ..support.waiting import wait_until
from .app import QUEUE, SHORT_QUEUE, app
from .director import Director
from .fleet import Fleet
from .recording import Recording
from .stage import GRACE_SECONDS, INTERVAL_SECONDS, Stage

REST_SECONDS = 60.0  # deadline for queues and workers to come to rest
HEARTBEAT_SECONDS = 2.0  # Celery's default
SETTLE_HEARTBEATS = 4  # an idle worker's lost events are known by then


def come_to_rest(director: Director, fleet: Fleet, recording: Recording) -> None:
    """Wait until the queues are empty, no living worker runs anything, and no more events come."""
    seen = -1

    def is_at_rest() -> bool:
        nonlocal seen
        director.tick()
        before, seen = seen, recording.task_events
        living = [worker for worker in fleet.workers if not worker.has_ended]
        return seen == before and not any(w.running for w in living) and not _waiting(app)

    wait_until(is_at_rest, REST_SECONDS, "queues and workers come to rest", poll_seconds=1.5)


def _waiting(client: Celery) -> int:
    """Return how many messages wait in the queues."""
    ready = 0
    for queue in (QUEUE, SHORT_QUEUE):
        with client.connection_for_read() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue=queue, passive=True)
            except connection.channel_errors:
                continue  # an empty list on Redis does not exist
            ready += declared.message_count
    return ready


def wait_for_verdicts(fleet: Fleet, on: Stage) -> None:
    """Wait until the monitor has published a window that closed after the last silence was long.

    A worker that was killed is due after the grace, or, if it had said goodbye, after the longer
    time for which its tasks may go on.
    """
    due = [time.time() + SETTLE_HEARTBEATS * HEARTBEAT_SECONDS]
    for life in fleet.lives:
        if life.killed_at is not None:
            patience = GRACE_SECONDS if life.stopped_at is None else on.drain_seconds
            due.append(life.killed_at + patience + 1)
    wait_until(
        lambda: (
            (shots := on.cloudwatch.series("MonitorHeartbeat"))
            and shots[-1].timestamp + INTERVAL_SECONDS >= max(due)
        ),
        max(due) - time.time() + 6 * INTERVAL_SECONDS,
        "the monitor publishes its last verdicts",
        poll_seconds=0.5,
    )
