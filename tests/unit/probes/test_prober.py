"""Surveyor: what was answered is known until it is too old; a failure is told, and said, once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from event_monitor.probes import prober as station
from event_monitor.probes.prober import Surveyor
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

W1 = WorkerAnswer("w1@h", active=1, pool_processes=2, queues=("celery", "mail"))
DEADLINE_SECONDS = 10
NOBODY = "could not ask the workers: nobody is there"
NO_BROKER = "could not ask the broker for its queues: it is away"


class Cluster:
    """What workers and broker answer; an exception is raised instead."""

    def __init__(self) -> None:
        self.workers: tuple[WorkerAnswer, ...] | Exception = (W1,)
        self.ready: dict[str, int | None] | Exception = {}
        self.app_queues = ("celery",)
        self.expected: Collection[str] | None = None
        self.timeout: float | None = None
        self.asked_for: tuple[str, ...] = ()
        self.probes = 0
        self.closed = threading.Event()

    def ask_workers(
        self, app: Any, *, timeout: float, expected: Collection[str]
    ) -> tuple[WorkerAnswer, ...]:
        del app
        self.expected, self.timeout = expected, timeout
        if isinstance(self.workers, Exception):
            raise self.workers
        return self.workers

    def queue_names(self, app: Any, settings: Settings) -> tuple[str, ...]:
        del app
        return tuple(sorted({*self.app_queues, *settings.queues}))

    def queue_probe_to(self, app: Any, settings: Settings) -> Cluster:
        del app, settings
        self.probes += 1
        return self

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        self.asked_for = tuple(names)
        if isinstance(self.ready, Exception):
            raise self.ready
        return tuple(QueueDepth(name, ready=self.ready.get(name, 0)) for name in names)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    for name in ("ask_workers", "queue_names", "queue_probe_to"):
        monkeypatch.setattr(station, name, getattr(cluster, name))
    return cluster


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def surveyor(cluster: Cluster, clock: FakeClock) -> Surveyor:
    """One that is asked by hand, as if once a minute; its thread is not started."""
    del cluster
    return Surveyor(None, Settings(), clock=clock)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """What was said since the last look, as (level, sentence)."""
    caplog.set_level(logging.INFO, logger=station.__name__)

    def look() -> list[tuple[str, str]]:
        lines = [(one.levelname, one.getMessage()) for one in caplog.records]
        caplog.clear()
        return lines

    return look


# -- what is known ---------------------------------------------------------------------------------


def test_nothing_is_known_before_the_first_answer(surveyor: Surveyor) -> None:
    assert surveyor.take() == Survey()


def test_the_last_answers_are_taken_with_their_age(
    surveyor: Surveyor, cluster: Cluster, clock: FakeClock
) -> None:
    """A shot between two questions gets what was answered to the first."""
    cluster.ready = {"celery": 3}
    surveyor.ask()
    clock.advance(7)

    assert surveyor.take() == Survey(
        queues=(QueueDepth("celery", ready=3), QueueDepth("mail", ready=0)),
        queues_age_seconds=7.0,
        workers=(W1,),
        workers_age_seconds=7.0,
    )


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 180),
        ({"interval": 300.0}, 900),
        ({"interval": 1.0}, 15),  # more often than every five seconds nothing is asked
        ({"interval": 1.0, "probe_seconds": 20.0}, 60),  # nor before the last question is over
    ],
)
def test_answers_older_than_three_periods_are_unknown(
    settings: dict[str, Any], seconds: float, cluster: Cluster, clock: FakeClock
) -> None:
    """They are known until then."""
    del cluster
    surveyor = Surveyor(None, Settings(**settings), clock=clock)
    surveyor.ask()

    clock.advance(seconds)
    known = surveyor.take()
    clock.advance(0.5)

    assert (known.queues is None, known.workers is None) == (False, False)
    assert surveyor.take() == Survey()


def test_queues_and_workers_grow_old_each_for_itself(
    surveyor: Surveyor, cluster: Cluster, clock: FakeClock
) -> None:
    surveyor.ask()
    cluster.workers = ConnectionError("nobody is there")
    clock.advance(100)
    surveyor.ask()
    clock.advance(100)

    survey = surveyor.take()

    assert (survey.workers, survey.workers_age_seconds) == (None, None)
    assert [one.name for one in survey.queues or ()] == ["celery", "mail"]
    assert survey.queues_age_seconds == 100


# -- growth ----------------------------------------------------------------------------------------


def test_growth_is_of_queues_known_both_times(
    surveyor: Surveyor, cluster: Cluster, clock: FakeClock
) -> None:
    """In messages per second; what was unknown before has not grown from zero."""
    # Given
    cluster.ready = {"celery": 10, "mail": None}
    surveyor.ask()
    assert surveyor.take().ready_growth_per_second is None

    # When one falls, another is known at last, and a third is new
    cluster.ready, cluster.app_queues = {"celery": 4, "mail": 70, "new": 90}, ("celery", "new")
    clock.advance(60)
    surveyor.ask()

    # Then
    assert surveyor.take().ready_growth_per_second == -0.1


def test_growth_over_an_outage_is_unknown(
    surveyor: Surveyor, cluster: Cluster, clock: FakeClock
) -> None:
    """It says nothing of now; from the next answer on it is known again."""
    surveyor.ask()
    cluster.ready = {"celery": 600}
    clock.advance(181)
    surveyor.ask()
    after_outage = surveyor.take()
    cluster.ready = {"celery": 660}
    clock.advance(60)
    surveyor.ask()

    assert after_outage.queues is not None
    assert after_outage.ready_growth_per_second is None
    assert surveyor.take().ready_growth_per_second == 1.0


# -- failures --------------------------------------------------------------------------------------


def test_a_failure_is_told_once_and_said_once_until_it_works_again(
    surveyor: Surveyor, cluster: Cluster, said: Any
) -> None:
    """Every failure counts; of each kind one WARNING, and one INFO when it is over."""
    # When both fail, twice
    cluster.workers, cluster.ready = ConnectionError("nobody is there"), OSError("it is away")
    surveyor.ask()
    surveyor.ask()

    # Then
    assert [surveyor.take().failures, surveyor.take().failures] == [4, 0]
    assert said() == [("WARNING", NOBODY), ("WARNING", NO_BROKER)]

    # When one works again, it is said, and the other is not mentioned
    cluster.workers = ()
    surveyor.ask()
    assert surveyor.take().failures == 1
    assert said() == [("INFO", "can ask the workers again")]

    # And it is worth a word when it fails anew
    cluster.workers, cluster.ready = ConnectionError("nobody is there"), {}
    surveyor.ask()
    assert said() == [
        ("WARNING", NOBODY),
        ("INFO", "can ask the broker for its queues again"),
    ]


def test_workers_that_cannot_be_asked_leave_the_queues_known(
    surveyor: Surveyor, cluster: Cluster
) -> None:
    cluster.workers = ConnectionError("nobody is there")
    surveyor.ask()

    survey = surveyor.take()

    assert survey.queues == (QueueDepth("celery", ready=0),)
    assert (survey.workers, survey.failures) == (None, 1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(ValueError("two\n  lines"), "two lines"), (KeyError(), "KeyError")],
)
def test_whatever_goes_wrong_is_one_line(
    error: Exception, sentence: str, surveyor: Surveyor, cluster: Cluster, said: Any
) -> None:
    cluster.workers = error
    surveyor.ask()

    assert said() == [("WARNING", f"could not ask the workers: {sentence}")]


# -- what is asked ---------------------------------------------------------------------------------


def test_only_workers_that_are_online_are_waited_for(cluster: Cluster) -> None:
    """And none for longer than the settings say."""
    surveyor = Surveyor(None, Settings(probe_seconds=2.5), online=lambda: ("w1@h", "w2@h"))
    surveyor.ask()

    assert (cluster.expected, cluster.timeout) == (("w1@h", "w2@h"), 2.5)


@pytest.mark.parametrize("wanted", ["queues", "workers"])
def test_what_is_switched_off_is_never_asked(wanted: str, cluster: Cluster) -> None:
    """It stays unknown, and is no failure."""
    off = {"probe_workers": False} if wanted == "queues" else {"probe_queues": False}
    surveyor = Surveyor(None, Settings(**off))
    surveyor.ask()

    survey = surveyor.take()
    asked = (bool(cluster.probes), cluster.timeout is not None)

    assert asked == (wanted == "queues", wanted == "workers")
    assert (survey.queues is None, survey.workers is None) == (wanted != "queues", not asked[1])
    assert survey.failures == 0


def test_a_queue_that_nobody_reads_any_more_is_watched_until_its_workers_are_forgotten(
    cluster: Cluster, clock: FakeClock
) -> None:
    """Work may wait in it: that is when it matters most."""
    # Given queues of the app, of the settings, and of a worker
    settings = Settings(queues=("bulk",), worker_forget_seconds=600.0)
    surveyor = Surveyor(None, settings, clock=clock)
    surveyor.ask()
    assert cluster.asked_for == ("bulk", "celery", "mail")

    # When the worker is gone
    cluster.workers = ()
    clock.advance(600)
    surveyor.ask()
    assert cluster.asked_for == ("bulk", "celery", "mail")

    # Then its own queue is forgotten in time, and the others never
    clock.advance(1)
    surveyor.ask()
    assert cluster.asked_for == ("bulk", "celery")


def test_made_up_queues_are_bounded_and_push_out_none(surveyor: Surveyor, cluster: Cluster) -> None:
    """Whoever may write to the broker can answer with names for ever."""
    surveyor.ask()
    for part in range(8):
        names = tuple(f"made-up-{part}-{number}" for number in range(2_000))
        cluster.workers = (WorkerAnswer("w2@h", queues=names), W1)
        surveyor.ask()

    assert len(cluster.asked_for) == 10_000
    assert cluster.asked_for[:2] == ("celery", "mail")


@pytest.mark.parametrize(
    ("settings", "wall", "seconds"),
    [
        ({}, 1_200.0, 53.0),  # workers may take five seconds, and queues are asked after them
        ({}, 1_253.0, 60.0),
        ({"probe_seconds": 30.0}, 1_200.0, 45.0),
        ({"interval": 1.0}, 1_200.0, 3.75),
    ],
)
def test_the_next_question_comes_shortly_before_a_shot(
    settings: dict[str, Any], wall: float, seconds: float
) -> None:
    """So that both answers are there, and fresh."""
    surveyor = Surveyor(None, Settings(**settings), clock=FakeClock(wall))

    assert surveyor._seconds_to_next() == seconds


# -- the thread ------------------------------------------------------------------------------------


def test_the_thread_asks_at_once_and_closes_the_probe_at_the_end(
    surveyor: Surveyor, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One probe serves all questions."""
    asked = threading.Event()
    monkeypatch.setattr(surveyor, "_seconds_to_next", lambda: asked.set() or DEADLINE_SECONDS)
    surveyor.ask()
    surveyor.start()
    assert asked.wait(DEADLINE_SECONDS)
    surveyor.close()

    assert cluster.closed.wait(DEADLINE_SECONDS)
    assert surveyor.take().workers == (W1,)
    assert cluster.probes == 1


def test_close_does_not_wait_for_a_question_that_hangs(
    surveyor: Surveyor, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When that is over at last, no other is asked."""
    # Given
    asked, let_go = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> tuple[WorkerAnswer, ...]:
        asked.set()
        assert let_go.wait(DEADLINE_SECONDS), "close has waited"
        return ()

    monkeypatch.setattr(station, "ask_workers", hang)
    surveyor.start()
    assert asked.wait(DEADLINE_SECONDS)

    # When
    surveyor.close()

    # Then it returned first
    let_go.set()
    surveyor._thread.join(DEADLINE_SECONDS)
    assert not surveyor._thread.is_alive()
    assert (surveyor.take().workers, surveyor.take().failures) == ((), 0)
    assert cluster.asked_for == ()


def test_nothing_to_ask_needs_no_thread() -> None:
    """And is closed all the same."""
    surveyor = Surveyor(None, Settings(probe_queues=False, probe_workers=False))
    surveyor.start()
    surveyor.close()

    assert surveyor.take() == Survey()
