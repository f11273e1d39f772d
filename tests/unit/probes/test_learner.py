"""Learner: workers are asked in the background, by few threads at a time; a failure is logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

from event_monitor.probes.learner import Learner
from event_monitor.snapshot import TaskInFlight

TASKS = (
    TaskInFlight("1", "app.add", "w1@h", running_since=1_700_000_000.0),
    TaskInFlight("2", "app.mail", "w2@h"),
)
DEADLINE_SECONDS = 60


class FakeWorkers:
    """Answers once it may, or raises the answer if it is an exception; keeps what was learnt."""

    def __init__(self) -> None:
        self.answer: tuple[TaskInFlight, ...] | Exception = TASKS
        self.may_answer = threading.Event()
        self.asked = 0
        self.learnt: list[Sequence[TaskInFlight]] = []
        self._lock = threading.Lock()
        self._others = frozenset(threading.enumerate())

    def ask(self) -> tuple[TaskInFlight, ...]:
        with self._lock:
            self.asked += 1
        assert self.may_answer.wait(DEADLINE_SECONDS), "nobody let the workers answer"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def answer_all(self) -> None:
        """Let the workers answer, and wait until every learner has ended."""
        self.may_answer.set()
        for thread in threading.enumerate():
            if thread.name == "learner" and thread not in self._others:
                thread.join(DEADLINE_SECONDS)
                assert not thread.is_alive()


@pytest.fixture
def workers() -> Iterator[FakeWorkers]:
    workers = FakeWorkers()
    yield workers
    workers.answer_all()


@pytest.fixture
def learner(workers: FakeWorkers) -> Learner:
    return Learner(workers.learnt.append, ask=workers.ask)


@pytest.fixture(autouse=True)
def _log_from_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="event_monitor.probes.learner")


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_start_does_not_wait_for_the_answer(
    learner: Learner, workers: FakeWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    """The tasks are handed on when it comes."""
    learner.start()
    before = list(workers.learnt)
    workers.answer_all()

    assert (before, workers.learnt) == ([], [TASKS])
    assert logged(caplog) == [("INFO", "learnt 2 tasks in flight from the workers")]


def test_three_are_under_way_at_most(learner: Learner, workers: FakeWorkers) -> None:
    """Each may hang for minutes; a broker that comes and goes must not pile them up."""
    # Given three that hang
    for _ in range(3):
        learner.start()

    # When
    learner.start()
    workers.answer_all()

    # Then
    assert (workers.asked, len(workers.learnt)) == (3, 3)


@pytest.mark.parametrize("answer", [TASKS, ConnectionError("nobody is there")])
def test_one_that_ended_makes_room_for_the_next(
    answer: tuple[TaskInFlight, ...] | Exception, learner: Learner, workers: FakeWorkers
) -> None:
    """However it ended."""
    workers.answer = answer
    for _ in range(4):
        for _ in range(3):
            learner.start()
        workers.answer_all()

    assert workers.asked == 12


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(ConnectionError("nobody\n is there."), "nobody is there"), (KeyError(), "KeyError")],
)
def test_workers_that_cannot_be_asked_are_logged_and_nothing_is_learnt(
    error: Exception,
    sentence: str,
    learner: Learner,
    workers: FakeWorkers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only the names of some tasks are missing then."""
    workers.answer = error
    learner.start()
    workers.answer_all()

    assert workers.learnt == []
    assert logged(caplog) == [
        ("WARNING", f"could not ask the workers for the tasks they hold: {sentence}")
    ]


def test_a_lack_of_threads_is_told_and_over_when_there_are_some_again(
    workers: FakeWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it was tried: the next time the workers are asked."""
    learner = Learner(workers.learnt.append, ask=workers.ask)

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(5):
            learner.start()
    assert caplog.text.count("can't start new thread") == 5

    learner.start()
    workers.answer_all()
    assert workers.learnt == [TASKS]
