"""Totals: the values of the whole cluster, and of the monitor itself."""

from __future__ import annotations

from ..settings import Settings
from ..snapshot import Snapshot, WorkerState, total
from .gauges import queue_totals, worker_totals
from .source_values import SourceValues, known, values_of_counts

__all__ = ["RETRIES_TO_WAIT", "totals_of"]

# It waits for the tasks of a chord by retrying, about once a second, so its retries say only that a
# chord is under way: an alarm on retries would be about nothing else. They are left out here, where
# the alarm gets its number, and not by the alarm itself: the series of one task that it would have
# to subtract is published only with the right `by_task`, groups and budget, and would be billed.
RETRIES_TO_WAIT = "celery.chord_unlock"


def totals_of(snapshot: Snapshot, settings: Settings, *, series_folded: int) -> SourceValues:
    """Return the value of every metric's total, without those that are not known."""
    tasks = snapshot.window.tasks
    totals = values_of_counts(total(counts for _, counts in tasks))
    totals["retried"] = sum(counts.retried for name, counts in tasks if name != RETRIES_TO_WAIT)
    totals |= _from_events(snapshot, settings)
    totals |= _of_monitor(snapshot, settings, series_folded=series_folded)
    totals |= queue_totals(snapshot, settings)
    totals |= worker_totals(snapshot.survey)
    return totals


def _from_events(snapshot: Snapshot, settings: Settings) -> SourceValues:
    online, slos = snapshot.online, snapshot.objectives
    offline = sum(worker.state is WorkerState.OFFLINE for worker in snapshot.workers)
    # Which workers read these queues only they can say.
    are_told = bool(snapshot.workers) or snapshot.survey.workers is not None
    is_known = are_told or not settings.only_queues
    actives = [worker.active for worker in online if worker.active is not None]
    loads = [worker.load_average for worker in online if worker.load_average is not None]
    values: SourceValues = {
        "custom_events": sum(count for _, count in snapshot.window.custom_events),
        "running": sum(running.count for running in snapshot.running),
        "oldest_running": max(
            (running.oldest_seconds for running in snapshot.running), default=0.0
        ),
        "tasks_in_flight": snapshot.tasks_in_flight,
        "draining": snapshot.draining,
        "names_failing": len(snapshot.failing),
        "orphaned": sum(len(loss.orphans) for loss in snapshot.losses),
        "lost": sum(not loss.said_goodbye for loss in snapshot.losses),
    }
    # That no worker says what it runs is unknown, not zero; without workers it is zero.
    return values | known(
        {
            "online": sum(worker.processes for worker in online) if is_known else None,
            "offline": offline if is_known else None,
            "missing": None if snapshot.missing is None else snapshot.missing.count,
            "active": sum(actives) if actives or (is_known and not online) else None,
            "load_average": max(loads, default=None),
            "slo_good": sum(slo.good for slo in slos) if slos else None,
            "slo_total": sum(slo.total for slo in slos) if slos else None,
            "slo_budget": min((slo.budget_left for slo in slos), default=None),
            "schedule_overdue": max(
                (task.overdue_seconds for task in snapshot.judged), default=None
            ),
        }
    )


def _of_monitor(snapshot: Snapshot, settings: Settings, *, series_folded: int) -> SourceValues:
    window, publisher = snapshot.window, snapshot.publisher
    values: SourceValues = {
        "heartbeat": 1,
        "connected": int(snapshot.link.is_connected),
        "events_received": window.events_received,
        "events_invalid": window.events_invalid,
        "events_lost": sum(count for _, count in window.events_lost),
        "disconnections": window.disconnections,
        "event_delay": window.event_delay,
        "tasks_forgotten": window.tasks_forgotten,
        "series_folded": window.names_folded + series_folded,
        "probe_failures": snapshot.survey.failures,
        "publish_failures": publisher.failures,
        "publish_ambiguous": publisher.ambiguous + bool(window.messages_doubtful),
        "datums_dropped": publisher.dropped,
        "spool_metrics": publisher.unsent,
        "spool_age": publisher.unsent_seconds,
    }
    return values | known(
        {
            "events_dropped": window.events_dropped,
            "standbys": snapshot.standbys if settings.standby else None,
            "event_queue_length": snapshot.survey.event_queue_length,
            "flush_duration": publisher.flush_seconds,
        }
    )
