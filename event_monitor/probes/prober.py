"""Surveyor: asks broker and workers once a period, in a thread of its own, and keeps the answers.

A shot never waits for an answer: it takes the last complete ones, until they are too old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from ..survey import QueueDepth, Survey, WorkerAnswer
from ..text import one_line
from .inspect import ask_workers
from .queues import QueueProbe, queue_names, queue_probe_to

__all__ = ["Surveyor"]

log = logging.getLogger(__name__)

_SHORTEST_PERIOD_SECONDS = 5.0  # every worker answers: more often is not worth its while
_STALE_PERIODS = 3  # answers older than that say nothing of now
_QUEUES_SECONDS = 2.0  # for the queues, which are asked when the workers' time is over
_MOST_QUEUES = 10_000  # remembered of workers: who may write to the broker can make names up
_END_SECONDS = 0.5  # a stop does not wait longer for a question under way


@dataclass(frozen=True, slots=True)
class _Answers:
    at: float  # our monotonic clock
    queues: tuple[QueueDepth, ...] | None = None
    workers: tuple[WorkerAnswer, ...] | None = None


class Surveyor:
    """``start`` it, ``take`` what is known, ``close`` it. ``take`` is thread-safe.

    ``online`` tells the workers that are known to be alive, so that nobody waits for others.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        *,
        online: Callable[[], Collection[str]] = tuple,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._settings = settings
        self._online = online
        self._clock: Clock = clock
        # A worker that does not answer takes the whole of `probe_seconds`.
        self._period = max(settings.interval, _SHORTEST_PERIOD_SECONDS, settings.probe_seconds)
        self._stale_seconds = _STALE_PERIODS * self._period
        self._lock = threading.Lock()
        self._queues: _Answers | None = None
        self._queues_before: _Answers | None = None
        self._workers: _Answers | None = None
        self._failures = 0
        self._failing: set[str] = set()
        self._consumed_at: dict[str, float] = {}  # queue → when a worker last said it reads it
        self._probe: QueueProbe | None = None  # the thread's own
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surveyor", daemon=True)

    def start(self) -> None:
        """Begin to ask, if there is anything to ask."""
        if self._settings.probe_queues or self._settings.probe_workers:
            self._thread.start()

    def close(self) -> None:
        """Ask no more. A question that hangs is left to itself."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)

    def take(self) -> Survey:
        """What is known now. Each failure is told once."""
        with self._lock:
            failures, self._failures = self._failures, 0
            queues, before, workers = self._queues, self._queues_before, self._workers
        now = self._clock.monotonic()
        if queues is not None and now - queues.at > self._stale_seconds:
            queues = None
        if workers is not None and now - workers.at > self._stale_seconds:
            workers = None
        if before is not None and queues and queues.at - before.at > self._stale_seconds:
            before = None  # how fast it grew over an outage says nothing of now
        return Survey(
            queues=queues.queues if queues else None,
            queues_age_seconds=now - queues.at if queues else None,
            ready_growth_per_second=_growth(before, queues),
            workers=workers.workers if workers else None,
            workers_age_seconds=now - workers.at if workers else None,
            failures=failures,
        )

    def ask(self) -> None:
        """Ask everything that is wanted, once. Only for the thread, or where it never started."""
        if self._settings.probe_workers and not self._end.is_set():
            self._try("ask the workers", self._ask_workers)
        if self._settings.probe_queues and not self._end.is_set():
            self._try("ask the broker for its queues", self._ask_queues)

    def _run(self) -> None:
        while not self._end.is_set():
            self.ask()
            self._end.wait(self._seconds_to_next())
        if self._probe is not None:
            self._probe.close()

    def _seconds_to_next(self) -> float:
        """Until shortly before the next shot, so that it gets fresh answers."""
        lead = min(self._settings.probe_seconds + _QUEUES_SECONDS, self._period / 4)
        return self._period - (self._clock.wall() + lead) % self._period

    def _try(self, what: str, question: Callable[[], None]) -> None:
        """A question that fails leaves things unknown; it is said once until it works again."""
        try:
            question()
        except Exception as error:  # noqa: BLE001  whatever it is, the next period may be better
            with self._lock:
                self._failures += 1
            if what not in self._failing:
                self._failing.add(what)
                log.warning("could not %s: %s", what, one_line(error))
        else:
            if what in self._failing:
                self._failing.discard(what)
                log.info("can %s again", what)

    def _ask_workers(self) -> None:
        settings = self._settings
        workers = ask_workers(self._app, timeout=settings.probe_seconds, expected=self._online())
        now = self._clock.monotonic()
        for name in (name for worker in workers for name in worker.queues or ()):
            if name in self._consumed_at or len(self._consumed_at) < _MOST_QUEUES:
                self._consumed_at[name] = now
        with self._lock:
            self._workers = _Answers(now, workers=workers)

    def _ask_queues(self) -> None:
        """Those of the app and of the settings, and those that workers read lately."""
        oldest = self._clock.monotonic() - self._settings.worker_forget_seconds
        self._consumed_at = {name: at for name, at in self._consumed_at.items() if at >= oldest}
        names = dict.fromkeys((*queue_names(self._app, self._settings), *self._consumed_at))
        if self._probe is None:
            self._probe = queue_probe_to(self._app, self._settings)
        queues = self._probe.read(tuple(names))
        with self._lock:
            self._queues_before = self._queues
            self._queues = _Answers(self._clock.monotonic(), queues=queues)


def _growth(before: _Answers | None, after: _Answers | None) -> float | None:
    """How fast what waits has become more, messages per second; None if it is not known."""
    if before is None or after is None or after.at <= before.at:
        return None
    then = {one.name: one.ready for one in before.queues or ()}
    grown = [
        one.ready - ready
        for one in after.queues or ()
        if one.ready is not None and (ready := then.get(one.name)) is not None
    ]
    return sum(grown) / (after.at - before.at) if grown else None
