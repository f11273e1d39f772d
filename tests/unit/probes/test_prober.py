"""Prober: what was answered is known until it is too old; a failure is counted and logged once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery

from event_monitor.broker.protocols import CeleryApp, Errors
from event_monitor.clock import SYSTEM_CLOCK, Clock
from event_monitor.probes.prober import OnFirst, Prober
from event_monitor.settings import Settings
from event_monitor.snapshot import UnreceivedTasks
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

Logged = Callable[[], list[tuple[str, str]]]

W1 = WorkerAnswer("w1@h", active=1, pool_processes=2, queues=("celery", "mail"))
LIMITED = replace(W1, start_interval_seconds=6.0)  # with what it replied about its rate limits
DEADLINE_SECONDS = 60
NO_WORKERS = "could not ask the workers: nobody is there"
NO_BROKER = "could not ask the broker for its queues: it is away"


class FakeCluster:
    """Workers and broker that answer what a test wants, or raise it if it is an exception.

    It is its own queue probe, and what producers sent.
    """

    def __init__(self) -> None:
        self.app = Celery("asked", broker="memory://", set_as_current=False)
        self.workers: tuple[WorkerAnswer, ...] | Exception = (W1,)
        self.ready: dict[str, int | None] | Exception = {}
        self.missing: set[str] = set()  # queues that do not exist
        self.app_queues: tuple[str, ...] = ("celery",)
        self.gone: Errors = (OSError,)
        self.age_hint = "ask the producers"
        self.refusal: Exception | None = None
        self.intervals: dict[str, float] | Exception = {"w1@h": 6.0}
        self.sent: dict[str, UnreceivedTasks] = {}
        self.forgotten: list[tuple[str, float]] = []
        self.may_answer = threading.Event()  # until it is set, a question to the workers hangs
        self.may_answer.set()

        self.workers_asked = threading.Event()
        self.queues_asked = threading.Event()
        self.closed = threading.Event()
        self.expected: Collection[str] | None = None
        self.timeout: float | None = None
        self.asked_for: list[tuple[str, ...]] = []  # queues, by question
        self.limits_asked: list[tuple[str, ...]] = []  # workers, by question
        self.probes = 0
        self.clocks: list[Clock] = []

    def prober(
        self,
        settings: Settings | None = None,
        *,
        online: Callable[[], Collection[str]] = tuple,
        told: Callable[[], Collection[WorkerAnswer]] = tuple,
        has_connected: Callable[[], bool] = lambda: True,
        on_first: OnFirst | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Prober:
        """Return a prober of this cluster; its thread is not started."""
        return Prober(
            self.app,
            settings or Settings(),
            online=online,
            told=told,
            has_connected=has_connected,
            on_first=on_first,
            sent=self,
            ask_workers=self.ask_workers,
            ask_start_intervals=self.ask_start_intervals,
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

    def ask_start_intervals(
        self, app: CeleryApp, destination: Collection[str], *, timeout: float, clock: Clock
    ) -> dict[str, float]:
        del timeout
        assert app is self.app
        self.limits_asked.append(tuple(destination))
        self.clocks.append(clock)
        if isinstance(self.intervals, Exception):
            raise self.intervals
        return {name: self.intervals[name] for name in destination if name in self.intervals}

    def unreceived(self) -> dict[str, UnreceivedTasks]:
        return dict(self.sent)

    def forget_unreceived(self, queue: str, *, before: float) -> None:
        self.forgotten.append((queue, before))

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
        return tuple(
            QueueDepth(name, missing=True)
            if name in self.missing
            else QueueDepth(name, ready=self.ready.get(name, 0))
            for name in names
        )

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
        workers=(LIMITED,),
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


# -- who did not answer ----------------------------------------------------------------------------


def test_workers_that_are_online_and_do_not_answer_are_absent_with_the_queues_they_read(
    cluster: FakeCluster,
) -> None:
    """As they named them when they last answered; of one that never did, they are unknown."""
    online = ["w1@h", "w2@h"]
    prober = cluster.prober(online=lambda: tuple(online))
    prober.ask()
    assert prober.survey().absent == (AbsentWorker("w2@h"),)

    cluster.workers = ()
    prober.ask()
    assert prober.survey().absent == (
        AbsentWorker("w1@h", ("celery", "mail")),
        AbsentWorker("w2@h"),
    )

    # When it is gone, so is what it said
    online.remove("w1@h")
    prober.ask()
    online.append("w1@h")
    prober.ask()
    assert prober.survey().absent == (AbsentWorker("w1@h"), AbsentWorker("w2@h"))


def test_a_worker_that_never_answers_is_logged_once_with_what_is_unknown(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    prober = cluster.prober(online=lambda: ("w1@h", "w2@h", "w3@h"))
    for _ in range(2):
        prober.ask()
    assert caplog.messages == []

    for _ in range(3):
        prober.ask()
    (message,) = caplog.messages
    assert message.startswith("no answer from w2@h, w3@h: while that lasts the totals of Pool")


# -- rate limits -----------------------------------------------------------------------------------


def test_a_worker_is_asked_for_its_rate_limits_once_and_while_it_looks_stalled(
    prober: Prober, cluster: FakeCluster
) -> None:
    """The reply is long; but limits may be changed while it runs."""
    prober.ask()
    prober.ask()
    assert cluster.limits_asked == [("w1@h",)]

    # When it is idle while work waits
    cluster.workers, cluster.ready = (replace(W1, active=0),), {"mail": 1}
    cluster.intervals = {"w1@h": 60.0}
    prober.ask()

    # Then
    assert cluster.limits_asked == [("w1@h",), ("w1@h",)]
    (answer,) = prober.survey().workers or ()
    assert answer.start_interval_seconds == 60.0


def test_few_workers_at_a_time_are_asked_for_their_rate_limits(
    prober: Prober, cluster: FakeCluster
) -> None:
    """Those that look stalled first."""
    names = [f"w{number}@h" for number in range(250)]
    cluster.workers = tuple(WorkerAnswer(name, active=1, queues=("celery",)) for name in names)
    cluster.workers += (WorkerAnswer("idle@h", active=0, queues=("celery",)),)
    cluster.ready = {"celery": 1}
    cluster.intervals = dict.fromkeys((*names, "idle@h"), 0.0)
    for _ in range(4):
        prober.ask()

    assert [len(asked) for asked in cluster.limits_asked] == [100, 100, 53, 1]
    assert {asked[0] for asked in cluster.limits_asked} == {"idle@h"}


def test_rate_limits_are_not_asked_for_while_workers_or_broker_do_not_answer(
    prober: Prober, cluster: FakeCluster
) -> None:
    cluster.workers = ConnectionError("nobody is there")
    prober.ask()
    cluster.workers, cluster.ready = (W1,), OSError("it is away")
    prober.ask()

    assert cluster.limits_asked == []
    assert prober.survey().failures == 2


def test_rate_limits_that_cannot_be_had_leave_the_answers_known(
    prober: Prober, cluster: FakeCluster, logged: Logged
) -> None:
    cluster.intervals = ConnectionError("it hangs")
    prober.ask()

    survey = prober.survey()
    assert (survey.workers, survey.failures) == ((W1,), 1)
    assert logged() == [("WARNING", "could not ask the workers for their rate limits: it hangs")]


# -- ages ------------------------------------------------------------------------------------------


def test_the_age_of_what_producers_sent_stands_in_where_the_broker_agrees(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    cluster.ready = {"celery": 3, "mail": 3}
    cluster.sent = {
        "celery": UnreceivedTasks(3, since=clock.wall() - 61),
        "mail": UnreceivedTasks(2, since=clock.wall() - 61),
    }
    prober.ask()

    assert prober.survey().queues == (
        QueueDepth("celery", ready=3, oldest_seconds=61.0),
        QueueDepth("mail", ready=3),
    )


def test_an_age_that_stays_unknown_is_logged_once(
    prober: Prober, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Why, and what to do; for a moment it is unknown often."""
    sentence = "OldestMessageAge is unknown for queue celery: ask the producers"
    cluster.ready = {"celery": 3}
    prober.ask()
    assert caplog.messages == []

    for _ in range(3):
        prober.ask()
    assert caplog.messages == [sentence]

    # And of others
    cluster.ready = {"celery": 3, **{f"q{number}": 1 for number in range(7)}}
    cluster.app_queues = tuple(cluster.ready)
    for _ in range(3):
        prober.ask()
    assert caplog.messages[1:] == [
        "OldestMessageAge is unknown for queue q0, q1, q2, q3, q4 and 2 more: ask the producers"
    ]


def test_where_nothing_can_be_done_about_ages_nothing_is_logged(
    prober: Prober, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.ready, cluster.age_hint = {"celery": 3}, ""
    for _ in range(3):
        prober.ask()

    assert caplog.messages == []


# -- growth ----------------------------------------------------------------------------------------


def test_growth_is_known_when_every_queue_is_known_both_times(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    """In messages per second; what was unknown before has not grown from zero."""

    def growth(**ready: int | None) -> float | None:
        cluster.ready = dict(ready)
        clock.advance(60)
        prober.ask()
        return prober.survey().ready_growth_per_second

    assert growth(celery=10, mail=None) is None
    assert growth(celery=4, mail=70) is None
    assert growth(celery=4, mail=64) == -0.1

    # A new queue is known for the first time
    cluster.app_queues = ("celery", "new")
    assert growth(celery=4, mail=64, new=90) is None
    assert growth(celery=4, mail=64, new=96) == 0.1


def test_a_queue_that_is_made_has_grown_from_nothing(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    cluster.missing = {"mail"}
    prober.ask()
    cluster.missing, cluster.ready = set(), {"mail": 6}
    clock.advance(60)
    prober.ask()

    assert prober.survey().ready_growth_per_second == 0.1


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


def test_before_the_first_connection_the_receiver_says_why_and_the_prober_need_not(
    cluster: FakeCluster, logged: Logged
) -> None:
    """One cause, one line; what goes wrong once there was a connection is told."""
    connected: list[None] = []
    prober = cluster.prober(has_connected=lambda: bool(connected))
    cluster.workers = ConnectionError("nobody is there")
    prober.ask()
    assert (logged(), prober.survey().failures) == ([], 1)

    connected.append(None)
    prober.ask()
    assert logged() == [("WARNING", NO_WORKERS)]


def test_the_first_answers_are_told_once(cluster: FakeCluster) -> None:
    """Without what could not be asked, and not before anybody has answered."""
    told: list[tuple[Any, Any]] = []
    prober = cluster.prober(on_first=lambda workers, queues: told.append((workers, queues)))
    cluster.workers, cluster.ready = ConnectionError("nobody"), ConnectionError("away")
    prober.ask()
    assert told == []

    cluster.ready = {"celery": 3, "mail": 0}
    for _ in range(2):
        prober.ask()
    ((workers, queues),) = told
    assert workers is None
    assert {queue.name: queue.ready for queue in queues}["celery"] == 3


# -- what is asked ---------------------------------------------------------------------------------


def test_workers_and_queues_are_asked_on_the_clock_that_was_handed_in(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    prober.ask()

    assert cluster.clocks == [clock, clock, clock]


def test_only_workers_that_are_online_are_waited_for(cluster: FakeCluster) -> None:
    """And none for longer than the settings say."""
    prober = cluster.prober(Settings(probe_seconds=2.5), online=lambda: ("w1@h", "w2@h"))
    prober.ask()

    assert cluster.expected is not None
    assert (set(cluster.expected), cluster.timeout) == ({"w1@h", "w2@h"}, 2.5)


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


def test_a_queue_in_which_messages_wait_is_never_forgotten(
    prober: Prober, cluster: FakeCluster, clock: FakeClock
) -> None:
    """Whether its workers are, or what was sent to it before we listened."""
    prober.ask()
    cluster.workers, cluster.ready = (), {"mail": 1}

    for _ in range(10):
        clock.advance(1_000)
        prober.ask()

    assert cluster.asked_for[-1] == ("celery", "mail")


def test_queues_that_only_producers_know_are_asked_for(
    prober: Prober, cluster: FakeCluster
) -> None:
    """Nobody reads them, so what is sent there waits for ever; an empty one is not of interest."""
    cluster.sent = {"typo": UnreceivedTasks(2, since=1.0), "done": UnreceivedTasks(0)}
    prober.ask()

    assert cluster.asked_for == [("celery", "mail", "typo")]


def test_the_queue_of_a_single_worker_goes_with_the_worker(cluster: FakeCluster) -> None:
    """Pods come and go. That it is too busy to answer is not the end of it."""
    # Given a worker with a queue of its own
    pods: list[str] = ["celery@pod-1"]
    prober = cluster.prober(online=lambda: tuple(pods))
    own = WorkerAnswer("celery@pod-1", queues=("celery", "celery@pod-1.dq2"))
    cluster.workers = (own,)
    prober.ask()

    # When it does not answer, and when it is gone
    cluster.workers = ()
    prober.ask()
    pods.clear()
    prober.ask()

    # Then
    assert cluster.asked_for == [
        ("celery", "celery@pod-1.dq2"),
        ("celery", "celery@pod-1.dq2"),
        ("celery",),
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
    assert prober.survey().workers == (LIMITED,)
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


def test_a_prober_that_was_asked_by_hand_closes_its_probe_too(
    prober: Prober, cluster: FakeCluster
) -> None:
    prober.ask()

    assert prober.close()
    assert cluster.closed.is_set()


def test_nothing_to_ask_needs_no_thread(cluster: FakeCluster) -> None:
    """And is closed all the same."""
    prober = cluster.prober(Settings(probe_queues=False, probe_workers=False))
    prober.start()

    assert prober.close()
    assert prober.survey() == Survey()


def test_a_prober_of_one_service_asks_for_its_queues_and_all_workers(cluster: FakeCluster) -> None:
    """Whose a worker is only its answer tells."""
    other = WorkerAnswer("w2@h", queues=("post",))
    cluster.workers, cluster.app_queues = (W1, other), ("celery", "mail", "post")
    cluster.ready = {"mail": 1}
    prober = cluster.prober(Settings(only_queues=("mail",)))
    prober.ask()

    assert cluster.asked_for == [("mail",)]
    assert [worker.hostname for worker in prober.survey().workers or ()] == ["w1@h", "w2@h"]


# -- workers that say it unasked -------------------------------------------------------------------


def test_nobody_is_asked_while_all_workers_say_it_unasked() -> None:
    """What was answered before is forgotten, and the queues that they read are known."""
    cluster = FakeCluster()
    told: list[WorkerAnswer] = []
    prober = cluster.prober(online=lambda: ["w1@h"], told=lambda: tuple(told))
    prober.ask()
    assert prober.survey().workers == (LIMITED,)

    cluster.workers_asked.clear()
    told.append(replace(W1, queues=("reports",)))
    prober.ask()

    assert not cluster.workers_asked.is_set()
    assert prober.survey().workers is None
    assert "reports" in cluster.asked_for[-1]


def test_all_are_asked_while_one_of_them_says_nothing_unasked() -> None:
    """A question reaches all workers; whoever waits for an answer knows who is online."""
    cluster = FakeCluster()
    prober = cluster.prober(online=lambda: ["w1@h", "w2@h"], told=lambda: (W1,))

    prober.ask()

    assert cluster.expected == {"w1@h", "w2@h"}
    assert prober.survey().workers == (LIMITED,)
