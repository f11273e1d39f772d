"""First failures: each kind is named once, and a storm of kinds is no storm of lines."""

from __future__ import annotations

import logging

import pytest

from event_monitor.notices import FirstFailures
from event_monitor.snapshot import EndedTask, Snapshot, Window
from event_monitor.testing import FakeClock

from ...support.making import W1

SHOT = Snapshot(window=Window(0.0, 60.0))


def failed(name: str = "shop.pay", exception: str = "KeyError", uuid: str = "u1") -> EndedTask:
    return EndedTask(
        id=uuid,
        name=name,
        how="failed",
        ended=1.0,
        worker=W1,
        exception=exception,
        place="shop/pay.py:88 in charge",
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def failures(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> FirstFailures:
    caplog.set_level(logging.INFO)
    return FirstFailures(clock=clock)


def test_the_first_failure_of_each_kind_is_named_with_a_task_to_look_at(
    failures: FirstFailures, caplog: pytest.LogCaptureFixture
) -> None:
    """A kind is a task name and a class of exception; good news to know early, so INFO."""
    failures.on_tasks((failed(), failed(uuid="u2"), failed(exception="OSError", uuid="u3")))
    failures.on_tasks((failed()._replace(how="retried", exception="ValueError"),))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "INFO",
            f"first failure of shop.pay with KeyError: task u1 on {W1}, "
            "at shop/pay.py:88 in charge",
        ),
        (
            "INFO",
            f"first failure of shop.pay with OSError: task u3 on {W1}, at shop/pay.py:88 in charge",
        ),
    ]
    facts = vars(caplog.records[0])
    assert (facts["task"], facts["exception_type"], facts["uuid"]) == ("shop.pay", "KeyError", "u1")


def test_a_kind_that_stayed_away_for_an_hour_is_news_again(
    failures: FirstFailures, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One that goes on failing is not."""
    for seconds in (0, 3_599, 3_599, 3_600):
        clock.advance(seconds)
        failures.on_tasks((failed(),))

    assert len(caplog.records) == 2


def test_ten_kinds_have_a_line_in_a_window_and_the_rest_one_together(
    failures: FirstFailures, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment that breaks everything breaks the log least of all."""
    failures.on_tasks([failed(f"t{number}") for number in range(17)])
    assert len(caplog.records) == 10
    failures.on_snapshot(SHOT)
    failures.on_snapshot(SHOT)
    failures.on_tasks([failed("another")])

    *_, rest, last = [record.getMessage() for record in caplog.records]
    assert rest == (
        "first failures of 7 more kinds: t10 with KeyError, t11 with KeyError, "
        "t12 with KeyError, t13 with KeyError, t14 with KeyError, …"
    )
    assert last.startswith("first failure of another ")


def test_names_without_end_are_not_remembered_without_end(
    failures: FirstFailures, caplog: pytest.LogCaptureFixture
) -> None:
    """They come from whoever may write to the broker."""
    failures.on_tasks([failed(f"t{number}") for number in range(1_000)])
    failures.on_snapshot(SHOT)
    caplog.clear()
    failures.on_tasks([failed(f"u{number}") for number in range(10)])

    assert caplog.records == []
