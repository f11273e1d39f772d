"""Window line: what one window counted, on one line of the log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..snapshot import BrokerLink, Snapshot
from ..survey import QueueDepth

__all__ = ["Facts", "added", "facts_of", "line_of", "local_time", "oldest_in", "waiting_in"]

#: Counted always, and those that are named only if there were any.
_ALWAYS = ("succeeded", "failed")
_IF_ANY = ("retried", "revoked", "rejected")
_LINKS = {
    BrokerLink.CONNECTING: "no broker yet",
    BrokerLink.SUBSCRIBED: "nothing from the durable queue yet",
    BrokerLink.STANDBY: "standby",
    BrokerLink.AWAY: "the broker is away",
}

Facts = dict[str, float | None]


def facts_of(snapshot: Snapshot) -> Facts:
    """Return what the line is made of, by name. None is unknown."""
    counts = [task for _, task in snapshot.window.tasks]
    tasks: Facts = {
        name: sum(getattr(task, name) for task in counts) for name in (*_ALWAYS, *_IF_ANY)
    }
    queues = snapshot.survey.queues
    return {
        **tasks,
        "events_lost": sum(lost for _, lost in snapshot.window.events_lost),
        "missing": snapshot.missing.count if snapshot.missing else 0,
        "orphaned": sum(len(loss.orphans) for loss in snapshot.losses),
        "workers": len(snapshot.online),
        "stalled": len(snapshot.survey.stalled or ()),
        "waiting": waiting_in(queues),
        "oldest_seconds": oldest_in(queues),
    }


def added(before: Facts, after: Facts) -> Facts:
    """Return the facts of two windows as of one: counts add up, the rest is as it is now."""
    summed = (*_ALWAYS, *_IF_ANY, "events_lost", "missing", "orphaned")
    return after | {name: (before[name] or 0) + (after[name] or 0) for name in summed}


def line_of(facts: Facts, *, closed_at: float, link: BrokerLink, with_seconds: bool) -> str:
    """Return ``12:01 516 succeeded, 40 failed, 0 lost · 2 workers · 31 waiting, oldest 4 s``."""
    counts = [f"{facts[name]:,} {name}" for name in _ALWAYS]
    counts += [f"{facts[name]:,} {name}" for name in _IF_ANY if facts[name]]
    lost = [
        f"{facts[name]:,} {one if facts[name] == 1 else f'{one}s'} {what}"
        for name, one, what in (
            ("events_lost", "event", "lost"),
            ("missing", "task", "missing"),
            ("orphaned", "task", "orphaned"),
        )
        if facts[name]
    ]
    workers = _workers(int(facts["workers"] or 0), int(facts["stalled"] or 0))
    is_listening = link is BrokerLink.LISTENING
    # While no event can come, zeros would be a claim.
    knows_counts = is_listening or lost or any(facts[name] for name in (*_ALWAYS, *_IF_ANY))
    parts = [", ".join([*counts, *(lost or ["0 lost"])])] if knows_counts else []
    parts.append(workers if is_listening else _LINKS[link])
    if facts["waiting"] is not None:
        oldest = facts["oldest_seconds"]
        age = f", oldest {_duration(oldest)}" if oldest is not None and facts["waiting"] else ""
        parts.append(f"{facts['waiting']:,} waiting{age}")
    return f"{local_time(closed_at, with_seconds=with_seconds)} {' · '.join(parts)}"


def waiting_in(queues: Sequence[QueueDepth] | None) -> int | None:
    """Return how many messages wait in all queues; None while that of one is unknown."""
    depths = [queue.ready for queue in queues or () if not queue.missing]
    known = [depth for depth in depths if depth is not None]
    return sum(known) if queues is not None and len(known) == len(depths) else None


def oldest_in(queues: Sequence[QueueDepth] | None) -> float | None:
    """Return how old the oldest message is; None while that is unknown of a queue with messages."""
    ages = [queue.oldest_seconds for queue in queues or () if queue.ready]
    known = [age for age in ages if age is not None]
    return max(known, default=None) if len(known) == len(ages) else None


def local_time(at: float, *, with_seconds: bool) -> str:
    """Return the time of day, in this machine's time zone as the log's own times are."""
    form = "%H:%M:%S" if with_seconds else "%H:%M"
    return datetime.fromtimestamp(at).strftime(form)  # noqa: DTZ006  local on purpose


def _workers(online: int, stalled: int) -> str:
    count = "1 worker" if online == 1 else f"{online:,} workers" if online else "no worker"
    return f"{count} ({stalled:,} stalled)" if stalled else count


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
