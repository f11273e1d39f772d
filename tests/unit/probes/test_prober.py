"""Prober: what was answered is known until it is too old; a failure is counted and logged once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

import pytest
from celery import Celery

from event_monitor.broker.protocols import CeleryApp, Errors
from event_monitor.clock import SYSTEM_CLOCK, Clock
from event_monitor.probes.prober import Prober
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

Logged = Callable[[], list[tuple[str, str]]]

W1 = WorkerAnswer("w1@h", active=1, pool_processes=2, queues=("celery", "mail"))
DEADLINE_SECONDS = 10
NO_WORKERS = "could not ask the workers: nobody is there"
NO_BROKER = "could not ask the broker for its queues: it is away"


class FakeCluster:
    """Workers and broker that answer what a test wants, or raise it if it is an exception.

    It is its own queue probe.
    """

    def __init__(self) -> None:
        self.app = Celery("asked", broker="memory://", set_as_current=False)
        self.workers: tuple[WorkerAnswer, ...] | Exception = (W1,)
        self.ready: dict[str, int | None] | Exception = {}
        self.app_queues: tuple[str, ...] = ("celery",)
        self.gone: Errors = (OSError,)
        self.may_answer = threading.Event()  # until it is set, a question to the workers hangs
        self.may_answer.set()

        self.workers_asked = threading.Event()
        self.queues_asked = threading.Event()
        self.closed = threading.Event()
        self.expected: Collection[str] | None = None
        self.timeout: float | None = None
        self.asked_for: list[tuple[str, ...]] = []  # queues, by question
        self.probes = 0
        self.clocks: list[Clock] = []

    def prober(
        self,
        settings: Settings | None = None,
        *,
        online: Callable[[], Collection[str]] = tuple,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Prober:
        """Return a prober of this cluster; its thread is not started."""
        return Prober(
            self.app,
            settings or Settings(),
            online=online,
            ask_workers=self.ask_workers,
            queue_names=self.queue_names,
            make_queue_probe=self.make_queue_probe,
            clock=clock,
        )

    def ask_workers(
        self, app: CeleryApp, *, timeout: float, expected: Collection[str], clock: Clock
    ) -> tuple[WorkerAnswer, ...]:
        assert app is self.app
        self.expected, self.timeout = expected, timeout
        self.clocks.append(clock)
        self.workers_asked.set()
        assert self.may_answer.wait(DEADLINE_SECONDS), "nobody let the workers answer"
        if isinstance(self.workers, Exception):
            raise self.workers
        return self.workers

    def queue_names(self, app: CeleryApp, settings: Settings) -> tuple[str, ...]:
        assert app is self.app
        return tuple(sorted({*self.app_queues, *settings.queues}))

    def make_queue_probe(self, app: CeleryApp, settings: Settings, *, clock: Clock) -> FakeCluster:
        del settings
        assert app is self.app
        self.probes += 1
        self.clocks.append(clock)
        return self

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        self.asked_for.append(tuple(names))
        self.queues_asked.set()
        if isinstance(self.ready, Exception):
            raise self.ready
        return tuple(QueueDepth(name, ready=self.ready.get(name, 0)) for name in names)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def prober(cluster: FakeCluster, clock: FakeClock) -> Prober:
    """A prober that tests ask by hand, as if once a minute."""
    return cluster.prober(clock=clock)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Return what was logged since the last call, as (level, sentence)."""
    caplog.set_level(logging.INFO, logger="event_monitor.probes.prober")

    def lines() -> list[tuple[str, str]]:
        lines = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return lines

    return lines


# -- what is known ---------------------------------------------------------------------------------


def test_nothing_is_known_before_the_first_answer(prober: Prober) -> None:
    assert prober.survey() == Survey()


def test_the_last_answers_are_taken_with_their_age(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    """A snapshot between two questions gets the answers to the first."""
    cluster.ready = {"celery": 3}
    prober.ask()
    clock.advance(7)

    assert prober.survey() == Survey(
        queues=(QueueDepth("celery", ready=3), QueueDepth("mail", ready=0)),
        queues_age_seconds=7.0,
        workers=(W1,),
        workers_age_seconds=7.0,
    )


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (Settings(), 180),
        (Settings(interval=300.0), 900),
        (Settings(interval=1.0), 15),  # nothing is asked more often than every five seconds
        (Settings(interval=1.0, probe_seconds=20.0), 60),  # nor before the last question is over
    ],
)
def test_answers_older_than_three_periods_are_unknown(
    settings: Settings, seconds: float, cluster: FakeCluster, clock: FakeClock
) -> None:
    """They are known until then."""
    prober = cluster.prober(settings, clock=clock)
    prober.ask()

    clock.advance(seconds)
    known = prober.survey()
    clock.advance(0.5)

    assert (known.queues is None, known.workers is None) == (False, False)
    assert prober.survey() == Survey()


def test_answers_of_queues_and_of_workers_expire_separately(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    prober.ask()
    cluster.workers = ConnectionError("nobody is there")
    clock.advance(100)
    prober.ask()
    clock.advance(100)

    survey = prober.survey()

    assert (survey.workers, survey.workers_age_seconds) == (None, None)
    assert [queue.name for queue in survey.queues or ()] == ["celery", "mail"]
    assert survey.queues_age_seconds == 100


# -- growth ----------------------------------------------------------------------------------------


def test_growth_is_of_queues_known_both_times(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    """In messages per second; what was unknown before has not grown from zero."""
    # Given
    cluster.ready = {"celery": 10, "mail": None}
    prober.ask()
    assert prober.survey().ready_growth_per_second is None

    # When one falls, another is known at last, and a third is new
    cluster.ready, cluster.app_queues = {"celery": 4, "mail": 70, "new": 90}, ("celery", "new")
    clock.advance(60)
    prober.ask()

    # Then
    assert prober.survey().ready_growth_per_second == -0.1


def test_growth_over_an_outage_is_unknown(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    """It does not describe the present; from the next answer on it is known again."""
    prober.ask()
    cluster.ready = {"celery": 600}
    clock.advance(181)
    prober.ask()
    after_outage = prober.survey()
    cluster.ready = {"celery": 660}
    clock.advance(60)
    prober.ask()

    assert after_outage.queues is not None
    assert after_outage.ready_growth_per_second is None
    assert prober.survey().ready_growth_per_second == 1.0


# -- failures --------------------------------------------------------------------------------------


def test_a_failure_is_reported_once_and_logged_once_until_it_works_again(
    prober: Prober, cluster: FakeCluster, logged: Logged
) -> None:
    """Every failure is counted; each question logs one WARNING, and one INFO when it is over."""
    # When both fail, twice
    cluster.workers, cluster.ready = ConnectionError("nobody is there"), OSError("it is away")
    prober.ask()
    prober.ask()

    # Then
    assert [prober.survey().failures, prober.survey().failures] == [4, 0]
    assert logged() == [("WARNING", NO_WORKERS), ("WARNING", NO_BROKER)]

    # When one works again, that is logged, and the other is not mentioned
    cluster.workers = ()
    prober.ask()
    assert prober.survey().failures == 1
    assert logged() == [("INFO", "can ask the workers again")]

    # And it is logged again when it fails anew
    cluster.workers, cluster.ready = ConnectionError("nobody is there"), {}
    prober.ask()
    assert logged() == [
        ("WARNING", NO_WORKERS),
        ("INFO", "can ask the broker for its queues again"),
    ]


def test_workers_that_cannot_be_asked_leave_the_queues_known(
    prober: Prober, cluster: FakeCluster
) -> None:
    cluster.workers = ConnectionError("nobody is there")
    prober.ask()

    survey = prober.survey()

    assert survey.queues == (QueueDepth("celery", ready=0),)
    assert (survey.workers, survey.failures) == (None, 1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(ValueError("two\n  lines"), "two lines"), (KeyError(), "KeyError")],
)
def test_whatever_goes_wrong_is_logged_in_one_line(
    error: Exception, sentence: str, prober: Prober, cluster: FakeCluster, logged: Logged
) -> None:
    cluster.workers = error
    prober.ask()

    assert logged() == [("WARNING", f"could not ask the workers: {sentence}")]


# -- what is asked ---------------------------------------------------------------------------------


def test_workers_and_queues_are_asked_on_the_clock_that_was_handed_in(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    prober.ask()

    assert cluster.clocks == [clock, clock]


def test_only_workers_that_are_online_are_waited_for(cluster: FakeCluster) -> None:
    """And none for longer than the settings say."""
    prober = cluster.prober(Settings(probe_seconds=2.5), online=lambda: ("w1@h", "w2@h"))
    prober.ask()

    assert (cluster.expected, cluster.timeout) == (("w1@h", "w2@h"), 2.5)


@pytest.mark.parametrize("wanted", ["queues", "workers"])
def test_what_is_switched_off_is_never_asked(wanted: str, cluster: FakeCluster) -> None:
    """It stays unknown, and is no failure."""
    prober = cluster.prober(
        Settings(probe_queues=wanted == "queues", probe_workers=wanted == "workers")
    )
    prober.ask()

    survey = prober.survey()
    asked = (bool(cluster.probes), cluster.timeout is not None)

    assert asked == (wanted == "queues", wanted == "workers")
    assert (survey.queues is None, survey.workers is None) == (wanted != "queues", not asked[1])
    assert survey.failures == 0


def test_a_queue_that_nobody_reads_any_more_is_watched_until_its_workers_are_forgotten(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """Work may wait in it: that is when it matters most."""
    # Given queues of the app, of the settings, and of a worker
    settings = Settings(queues=("bulk",), worker_forget_seconds=600.0)
    prober = cluster.prober(settings, clock=clock)
    prober.ask()

    # When the worker is gone
    cluster.workers = ()
    clock.advance(600)
    prober.ask()
    clock.advance(1)
    prober.ask()

    # Then its own queue is forgotten in time, and the others never
    assert cluster.asked_for == [
        ("bulk", "celery", "mail"),
        ("bulk", "celery", "mail"),
        ("bulk", "celery"),
    ]


def test_made_up_queues_are_bounded_and_push_out_none(prober: Prober, cluster: FakeCluster) -> None:
    """Whoever may write to the broker can answer with names for ever."""
    prober.ask()
    for part in range(8):
        names = tuple(f"made-up-{part}-{number}" for number in range(2_000))
        cluster.workers = (WorkerAnswer("w2@h", queues=names), W1)
        prober.ask()

    assert len(cluster.asked_for[-1]) == 10_000
    assert cluster.asked_for[-1][:2] == ("celery", "mail")


@pytest.mark.parametrize(
    ("settings", "wall", "seconds"),
    [
        (Settings(), 1_200.0, 53.0),  # five seconds for the workers, and two for the queues
        (Settings(), 1_253.0, 60.0),
        (Settings(probe_seconds=30.0), 1_200.0, 45.0),
        (Settings(interval=1.0), 1_200.0, 3.75),
    ],
)
def test_the_next_question_comes_shortly_before_a_snapshot(
    settings: Settings, wall: float, seconds: float, cluster: FakeCluster
) -> None:
    """Both answers are complete by then, and fresh."""
    prober = cluster.prober(settings, clock=FakeClock(wall))

    assert prober.seconds_to_next() == seconds


# -- the thread ------------------------------------------------------------------------------------


def test_the_thread_asks_at_once_and_closes_the_probe_at_the_end(
    prober: Prober, cluster: FakeCluster
) -> None:
    """One probe serves all questions."""
    # Given one that has asked before
    prober.ask()
    cluster.queues_asked.clear()

    # When
    prober.start()
    assert cluster.queues_asked.wait(DEADLINE_SECONDS)
    ended = prober.close(deadline_seconds=DEADLINE_SECONDS)

    # Then
    assert (ended, cluster.closed.is_set()) == (True, True)
    assert prober.survey().workers == (W1,)
    assert cluster.probes == 1


def test_close_does_not_wait_for_a_question_that_hangs(
    prober: Prober, cluster: FakeCluster
) -> None:
    """When that is over at last, no other is asked."""
    # Given
    cluster.workers = ()
    cluster.may_answer.clear()
    prober.start()
    assert cluster.workers_asked.wait(DEADLINE_SECONDS)

    # When
    ended = prober.close()

    # Then it returned first
    assert not ended
    cluster.may_answer.set()
    assert prober.close(deadline_seconds=DEADLINE_SECONDS)
    assert (prober.survey().workers, prober.survey().failures) == ((), 0)
    assert cluster.asked_for == []


def test_nothing_to_ask_needs_no_thread(cluster: FakeCluster) -> None:
    """And is closed all the same."""
    prober = cluster.prober(Settings(probe_queues=False, probe_workers=False))
    prober.start()

    assert prober.close()
    assert prober.survey() == Survey()
