"""Prober: asks broker and workers once a period, in a thread of its own, and keeps the answers.

A snapshot never waits for an answer: it takes the last complete ones, until they are too old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ..broker.capabilities import answers_remote_control
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from ..survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer
from ..text import one_line
from .inspect import ask_start_intervals, ask_workers
from .known_queues import KnownQueues
from .latest_answers import LatestAnswers
from .queues import QueueProbe, queue_names, queue_probe_to
from .sent_ages import SentAges, SentTasks
from .silent_workers import SilentWorkers
from .start_intervals import StartIntervals
from .unknown_ages import UnknownAges

__all__ = ["AskStartIntervals", "AskWorkers", "MakeQueueProbe", "OnFirst", "Prober"]

log = logging.getLogger(__name__)

_STALE_PERIODS = 3  # answers older than that do not describe the present
_QUEUES_SECONDS = 2.0  # reserved for the queues, which are asked for after the workers
_CLOSE_SECONDS = 0.5  # `close` does not wait longer for a question under way


class AskWorkers(Protocol):
    """``probes.inspect.ask_workers``, as far as it is used here."""

    def __call__(
        self, app: CeleryApp, /, *, timeout: float, expected: Collection[str], clock: Clock
    ) -> tuple[WorkerAnswer, ...]:
        """Return the answers of the workers; raise any exception if they cannot be asked."""
        ...


class AskStartIntervals(Protocol):
    """``probes.inspect.ask_start_intervals``."""

    def __call__(
        self, app: CeleryApp, destination: Collection[str], /, *, timeout: float, clock: Clock
    ) -> dict[str, float]:
        """Return what these workers reply; raise any exception if they cannot be asked."""
        ...


class MakeQueueProbe(Protocol):
    """``probes.queues.queue_probe_to``."""

    def __call__(self, app: CeleryApp, settings: Settings, /, *, clock: Clock) -> QueueProbe:
        """Return the probe that suits the app's broker, not connected."""
        ...


#: Gets the first answers of workers and broker; None of which were not asked, or failed.
OnFirst = Callable[[Sequence[WorkerAnswer] | None, Sequence[QueueDepth] | None], None]


class Prober:
    """Asks in a daemon thread, from ``start`` to ``close``.

    ``survey`` may be called from any thread and never waits for a broker. ``start`` and ``close``
    belong to the thread that made the prober, and ``ask`` to the prober's own.

    ``online`` returns the nodenames of the workers known to be alive: nobody waits for others.
    ``told`` returns what workers say unasked; while that is all that are alive, nobody is asked.
    ``has_connected`` tells whether events ever came: before they do, the receiver says why not.
    ``sent`` are the tasks that producers sent, if their events are received. Both are called in
    the prober's thread, as are ``ask_workers``, ``ask_start_intervals``, ``queue_names`` and
    ``make_queue_probe``. The one probe that is made is used and closed there, too. So is
    ``on_first``, once, with the first answers there are.
    """

    def __init__(
        self,
        app: CeleryApp,
        settings: Settings,
        *,
        online: Callable[[], Collection[str]] = tuple,
        told: Callable[[], Collection[WorkerAnswer]] = tuple,
        has_connected: Callable[[], bool] = lambda: True,
        sent: SentTasks | None = None,
        ask_workers: AskWorkers = ask_workers,
        ask_start_intervals: AskStartIntervals = ask_start_intervals,
        queue_names: Callable[[CeleryApp, Settings], Collection[str]] = queue_names,
        make_queue_probe: MakeQueueProbe = queue_probe_to,
        on_first: OnFirst | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._settings = settings
        self._online = online
        self._told = told
        self._has_connected = has_connected
        self._sent = sent
        self._ask_workers = ask_workers
        self._ask_start_intervals = ask_start_intervals
        self._queue_names = queue_names
        self._make_queue_probe = make_queue_probe
        self._on_first = on_first
        self._clock = clock
        self._only = settings.only
        # A worker that does not answer takes the whole of `probe_seconds`.
        self._period = settings.survey_seconds
        self._may_ask_workers = settings.probe_workers and answers_remote_control(
            app.connection_for_read()
        )
        self._latest = LatestAnswers(stale_seconds=_STALE_PERIODS * self._period)

        # The thread's own.
        self._failing: set[str] = set()  # the questions that failed when last asked
        self._alive: frozenset[str] = frozenset()  # who is online, or answered last
        self._reads: dict[str, tuple[str, ...]] = {}  # of them: the queues they last named
        self._known_queues = KnownQueues(forget_seconds=settings.worker_forget_seconds)
        self._start_intervals = StartIntervals()
        self._sent_ages = None if sent is None else SentAges(sent)
        self._unknown_ages = UnknownAges()
        self._silent_workers = SilentWorkers()
        self._queue_probe: QueueProbe | None = None

        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def start(self) -> None:
        """Start the thread, if there is anything to ask."""
        if self._settings.probe_queues or self._settings.probe_workers:
            self._thread.start()

    def close(self, *, deadline_seconds: float = _CLOSE_SECONDS) -> bool:
        """Ask no more; return whether the thread has ended within the deadline.

        A question that hangs is left behind, and the thread ends after it. May be called again.
        """
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_seconds)
        elif self._queue_probe is not None:  # it was asked by hand
            self._queue_probe.close()
        return not self._thread.is_alive()

    def survey(self) -> Survey:
        """Return what is known now. Each failure is reported once."""
        return self._latest.survey(now=self._clock.monotonic())

    def ask(self) -> None:
        """Ask once for all that the settings want. For the prober's thread, or if none runs."""
        self._note_told()
        workers_answered = self._asks_workers() and self._try(
            "ask the workers", self._probe_workers
        )
        broker_answered = self._settings.probe_queues and self._try(
            "ask the broker for its queues", self._probe_queues
        )
        if workers_answered and broker_answered:
            self._try("ask the workers for their rate limits", self._probe_start_intervals)
        if self._on_first is not None and (workers_answered or broker_answered):
            tell, self._on_first = self._on_first, None
            tell(
                self._latest.workers if workers_answered else None,
                self._latest.depths if broker_answered else None,
            )

    def seconds_to_next(self) -> float:
        """Return how long to wait before asking again: until shortly before the next snapshot.

        Snapshots are taken at multiples of the interval on the wall clock, and get fresh answers.
        """
        lead = min(self._settings.probe_seconds + _QUEUES_SECONDS, self._period / 4)
        return self._period - (self._clock.wall() + lead) % self._period

    def _run(self) -> None:
        while not self._closing.is_set():
            self.ask()
            self._closing.wait(self.seconds_to_next())
        if self._queue_probe is not None:
            self._queue_probe.close()

    def _try(self, what: str, question: Callable[[], None]) -> bool:
        """Ask, unless closing; return whether it was answered.

        Counts a failure, and logs the first in a row and their end, once there was a connection.
        """
        if self._closing.is_set():
            return False
        try:
            question()
        except Exception as error:  # noqa: BLE001  whatever it is, the next period may be better
            self._latest.note_failure()
            if what not in self._failing and self._has_connected():
                self._failing.add(what)
                log.warning("could not %s: %s", what, one_line(error))
            return False
        if what in self._failing:
            self._failing.discard(what)
            log.info("can %s again", what)
        return True

    def _note_told(self) -> None:
        """Note which queues are read by workers that say so unasked."""
        now = self._clock.monotonic()
        for answer in self._told():
            self._known_queues.note(filter(self._only.has_queue, answer.queues or ()), now=now)

    def _asks_workers(self) -> bool:
        """Return whether there is a worker to ask; if there is none, forget what they answered."""
        told = {answer.hostname for answer in self._told()}
        if not told or not told.issuperset(self._online()):
            return self._may_ask_workers
        self._alive = frozenset(told)
        self._latest.forget_workers()
        return False

    def _probe_workers(self) -> None:
        """Ask the workers what they hold, and remember which queues they consume from."""
        online = frozenset(self._online())
        answers = self._ask_workers(
            self._app,
            timeout=self._settings.probe_seconds,
            expected=online,
            clock=self._clock,
        )
        now = self._clock.monotonic()
        answered = {answer.hostname for answer in answers}
        self._alive = online | answered
        reads = self._reads | {w.hostname: w.queues for w in answers if w.queues is not None}
        self._reads = {name: queues for name, queues in reads.items() if name in self._alive}
        for queues in self._reads.values():
            self._known_queues.note(filter(self._only.has_queue, queues), now=now)
        absent = tuple(
            AbsentWorker(name, self._reads.get(name)) for name in sorted(online - answered)
        )
        ours = (worker for worker in absent if self._only.has_node(worker.hostname))
        self._silent_workers.note(ours, alive=self._alive)
        answers = self._start_intervals.complete(answers)
        self._latest.note_workers(answers, absent=absent, now=now)

    def _probe_queues(self) -> None:
        """Ask for the queues of app and settings, and those that workers or producers use."""
        now = self._clock.monotonic()
        sent = {} if self._sent is None else self._sent.unreceived()
        used = (name for name, tasks in sent.items() if tasks.count)
        self._known_queues.note(filter(self._only.has_queue, used), now=now)
        named = self._queue_names(self._app, self._settings)
        known = self._known_queues.names(workers=self._alive, now=now)
        # A set that keeps the order. Of what belongs to others nothing is shown, so nobody asks.
        queues = dict.fromkeys(filter(self._only.has_queue, (*named, *known)))
        if self._queue_probe is None:
            self._queue_probe = self._make_queue_probe(self._app, self._settings, clock=self._clock)
        depths = self._queue_probe.read(tuple(queues))
        if self._sent_ages is not None:
            depths = self._sent_ages.complete(depths, before=sent, now=self._clock.wall())
        self._known_queues.keep((depth.name for depth in depths if depth.ready), now=now)
        self._unknown_ages.note(depths, hint=self._queue_probe.age_hint)
        self._latest.note_queues(depths, now=now)  # at the earliest: it may have taken a while

    def _probe_start_intervals(self) -> None:
        """Ask the workers for their rate limits, whose answers would else be taken for a stall."""
        answers = self._latest.workers
        to_ask = self._start_intervals.to_ask(answers, self._latest.depths)
        intervals = {}
        if to_ask:
            intervals = self._ask_start_intervals(
                self._app, to_ask, timeout=self._settings.probe_seconds, clock=self._clock
            )
        self._start_intervals.note(intervals, workers=self._alive)
        self._latest.complete_workers(self._start_intervals.complete(answers))
