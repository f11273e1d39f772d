"""Failing tasks: the names of which nothing but failures comes."""

from __future__ import annotations

import pytest

from event_monitor.snapshot import OTHER, UNKNOWN, FailingTask, TaskCounts, Window
from event_monitor.state import FailingTasks

MINUTE = 60.0


def window(number: int, *, name: str = "t", succeeded: int = 0, failed: int = 0) -> Window:
    """Return the window of that minute, in which tasks of one name ended."""
    counts = TaskCounts(succeeded=succeeded, failed=failed)
    return Window(number * MINUTE, (number + 1) * MINUTE, tasks=((name, counts),))


def names(failing: tuple[FailingTask, ...]) -> list[str]:
    return [task.name for task in failing]


def test_two_failures_in_a_row_are_no_chance() -> None:
    """However long it takes until the second: here ten minutes."""
    tasks = FailingTasks()

    assert tasks.after(window(0, failed=1)) == ()
    assert all(tasks.after(window(minute)) == () for minute in range(1, 10))
    assert tasks.after(window(10, failed=1)) == (FailingTask("t", 2),)
    assert names(tasks.after(window(11))) == ["t"]


def test_a_success_ends_it() -> None:
    """In the same window as well: of a busy task one run in a thousand may fail."""
    tasks = FailingTasks()

    assert names(tasks.after(window(0, failed=5))) == ["t"]
    assert tasks.after(window(1, failed=5, succeeded=1)) == ()
    assert tasks.after(window(2, failed=1)) == ()


def test_it_is_forgotten_an_hour_after_the_last_failure() -> None:
    """It may have been mended, and run once a day."""
    tasks = FailingTasks()
    tasks.after(window(0, failed=2))

    assert names(tasks.after(window(59))) == ["t"]
    assert tasks.after(window(60)) == ()
    assert tasks.after(window(61, failed=1)) == ()


def test_a_clock_that_was_stepped_back_keeps_nothing_for_ever() -> None:
    """Nor forward."""
    tasks = FailingTasks()
    tasks.after(window(100_000, failed=2))

    assert tasks.after(window(0)) == ()


@pytest.mark.parametrize("name", ["shop.flaky.one", OTHER, UNKNOWN])
def test_names_that_may_fail_or_are_none_do_not_count(name: str) -> None:
    """`other` is many names, of which each might fail once."""
    tasks = FailingTasks(may_fail=("shop.flaky.*",))

    assert tasks.after(window(0, name=name, failed=9)) == ()
    assert names(tasks.after(window(1, name="shop.pay", failed=9))) == ["shop.pay"]
