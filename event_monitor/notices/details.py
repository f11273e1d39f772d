"""Details: what a log of DEBUG shows of each snapshot besides its line."""

from __future__ import annotations

import logging

from ..snapshot import Snapshot

__all__ = ["log_details"]

log = logging.getLogger(__name__)

_MOST = 20  # workers, and queues, that have a line each


def log_details(snapshot: Snapshot) -> None:
    """Log the numbers that a line of INFO has no room for; None is what is unknown."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    window, survey = snapshot.window, snapshot.survey
    delay = window.event_delay
    log.debug(
        "events: %d received, %d invalid, delayed by up to %.3f s; tasks: %d in flight, %d running",
        *(window.events_received, window.events_invalid, max(delay.values, default=0.0)),
        *(snapshot.tasks_in_flight, sum(task.count for task in snapshot.running)),
    )
    log.debug(
        "answers: of workers %s s old, of queues %s s old, questions that failed: %d",
        *(_rounded(survey.workers_age_seconds), _rounded(survey.queues_age_seconds)),
        survey.failures,
    )
    for worker in snapshot.workers[:_MOST]:
        log.debug(
            "worker %s: %s, silent for %.1f s, active %s, processed %s",
            *(worker.hostname, worker.state.value, worker.silent_seconds),
            *(worker.active, worker.processed),
        )
    for queue in (survey.queues or ())[:_MOST]:
        log.debug(
            "queue %s: waiting %s, unacknowledged %s, readers %s, oldest %s s",
            *(queue.name, queue.ready, queue.unacked, queue.consumers),
            _rounded(queue.oldest_seconds),
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
