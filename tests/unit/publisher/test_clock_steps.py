"""Clock steps: how old a window is by a clock that nobody steps."""

from __future__ import annotations

import pytest

from event_monitor.publisher.clock_steps import ClockSteps
from event_monitor.testing import FakeClock

DAY = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize("step", [20 * DAY, -20 * DAY, -400 * DAY])
def test_the_age_of_a_window_survives_each_step(step: float, clock: FakeClock) -> None:
    """Those counted before it, by the wrong clock, and after it was set right."""
    # Given
    steps = ClockSteps(clock)
    shown = []

    # When
    for stepped_by in (0.0, 0.0, step, 0.0, -step, 0.0):
        clock.step_wall(stepped_by)
        shown.append(clock.wall())
        clock.advance(60)
        steps.look()

    # Then
    assert [steps.age_of(timestamp) for timestamp in shown] == [360, 300, 240, 180, 120, 60]


def test_what_this_process_cannot_have_counted_has_no_age(clock: FakeClock) -> None:
    """Another one left it in the spool."""
    steps = ClockSteps(clock)
    clock.advance(DAY)

    assert steps.age_of(clock.wall() - 20 * DAY) is None
    assert steps.age_of(clock.wall() + 20 * DAY) is None


def test_a_clock_that_is_stepped_all_the_time_costs_no_memory(clock: FakeClock) -> None:
    """The latest steps are known."""
    steps = ClockSteps(clock)
    for _ in range(10_000):
        clock.step_wall(DAY)
        steps.look()
    clock.advance(5)

    assert steps.age_of(clock.wall() - 5) == 5
    assert steps.age_of(clock.wall() - 9_000 * DAY) is None
