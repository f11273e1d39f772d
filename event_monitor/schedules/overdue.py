"""Overdue: which periodic tasks stay away. A fold over the snapshots.

Silence is evidence only of a task that was seen once, and only while whoever would tell of it does:
the broker is there, the monitor reads, and beat or the workers send events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import OTHER, ScheduledTask, Snapshot, TaskCounts, Window
from .expected import ExpectedTask
from .last_seen import LastSeen, Seen

__all__ = ["OverdueTasks"]

_INTERVALS = 2  # a task may be counted in the next shot, and be published in the one after
_SHARE = 0.1  # of the period: queues are never quite empty
_LONGEST_SHARE_SECONDS = 1_800.0
_AHEAD_SECONDS = 60.0  # a task may come so early by our clock: that of beat's host is ahead
_STEP_SECONDS = 5.0  # the wall clock was set; less is what an NTP client slews, or a slow shot


class OverdueTasks:
    """Remembers when each expected task was seen last. Not thread-safe.

    After a time in which nothing could be known, a task is late only from its next time on.
    ``interval_seconds`` is that of the shots, ``grace_seconds`` the least grace.
    """

    def __init__(
        self,
        expected: Sequence[ExpectedTask],
        *,
        interval_seconds: float,
        grace_seconds: float = 0.0,
        last_seen: LastSeen | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._expected = {task.name: task for task in expected}
        self._least_grace_seconds = max(_INTERVALS * interval_seconds, grace_seconds)
        self._last_seen = last_seen or LastSeen()
        self._clock = clock
        self._seen: dict[str, Seen] | None = None  # by name; None before it was loaded
        self._steady_since = -math.inf  # the wall clock was not set
        self._told_since = -math.inf  # the workers told what they received
        self._shot_at: tuple[float, float] | None = None  # the last one: wall, our monotonic clock

    def after(self, snapshot: Snapshot) -> tuple[ScheduledTask, ...]:
        """Return those of which something is known after this snapshot; call it once for each."""
        if not self._expected:
            return ()
        window, online = snapshot.window, snapshot.online
        now = window.closed_at
        seen = self._seen_until(now) if self._seen is None else self._seen
        self._note_clock(now, seen)
        if self._note_seen(window, seen):
            self._last_seen.save(seen)
        self._seen = seen
        workers_tell = bool(online) and all(worker.sends_task_events for worker in online)
        if not workers_tell:
            self._told_since = now
        if snapshot.listening_seconds is None:
            return ()
        began = max(now - snapshot.listening_seconds, self._steady_since)
        read_until = now - min(window.event_delay.values, default=0.0)  # there may be a backlog
        judged = (
            self._judge(task, seen.get(name), began=began, now=read_until)
            for name, task in self._expected.items()
            if workers_tell or (name in seen and seen[name].was_sent)
        )
        return tuple(task for task in judged if task is not None)

    def _judge(
        self, task: ExpectedTask, seen: Seen | None, *, began: float, now: float
    ) -> ScheduledTask | None:
        """Return how late it is; None if that cannot be known."""
        since = began if seen is None else max(began, seen.at)
        if seen is None or not seen.was_sent:  # the workers are the only ones who would tell
            since = max(since, self._told_since)
        ahead = min(_AHEAD_SECONDS, task.period_seconds / 2)
        due_in = task.due_in(since=since + ahead, now=now)
        if due_in is None:
            return None
        return ScheduledTask(
            name=task.name,
            seen_at=None if seen is None else seen.at,
            due_at=now + due_in,
            overdue_seconds=max(0.0, -due_in - self._grace_of(task)),
        )

    def _grace_of(self, task: ExpectedTask) -> float:
        share = min(_SHARE * task.period_seconds, _LONGEST_SHARE_SECONDS)
        return max(share, self._least_grace_seconds)

    def _note_seen(self, window: Window, seen: dict[str, Seen]) -> bool:
        """Note what came in this window; return whether there was anything."""
        names = dict(window.tasks)
        has_folded = OTHER in names and _came(names[OTHER])
        came = [
            name
            for name in self._expected
            # One that has no place of its own may be among those that are folded.
            if (_came(names[name]) if name in names else has_folded and name in seen)
        ]
        for name in came:  # what was sent in this window may begin in the next
            was_sent = name in seen and seen[name].was_sent
            was_sent = was_sent or (name in names and names[name].sent > 0)
            seen[name] = Seen(window.closed_at, was_sent)
        return bool(came)

    def _note_clock(self, now: float, seen: dict[str, Seen]) -> None:
        """Begin anew if the wall clock was set: when a task was seen says little then."""
        monotonic = self._clock.monotonic()
        if self._shot_at is not None:
            wall_before, monotonic_before = self._shot_at
            step = (now - wall_before) - (monotonic - monotonic_before)
            if abs(step) > _STEP_SECONDS:
                self._steady_since = now
                self._told_since = min(self._told_since, now)
                seen |= _none_after(now, seen)
        self._shot_at = now, monotonic

    def _seen_until(self, now: float) -> dict[str, Seen]:
        """Return what former runs saw of the tasks that are expected."""
        kept = {n: s for n, s in self._last_seen.load().items() if n in self._expected}
        return _none_after(now, kept)


def _came(counts: TaskCounts) -> bool:
    return bool(counts.sent or counts.received or counts.started)


def _none_after(now: float, seen: dict[str, Seen]) -> dict[str, Seen]:
    """Return it without times in the future, which a clock that was wrong has left."""
    return {name: Seen(min(found.at, now), found.was_sent) for name, found in seen.items()}
