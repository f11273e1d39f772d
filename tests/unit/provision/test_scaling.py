"""Scaling: policies that start and stop workers when they should."""

from __future__ import annotations

import pytest

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.scaling import build_scaling_policies

from .cluster import PLAIN, Period, period, waiting
from .evaluator import goes_off


@pytest.mark.parametrize("scale_by", ["target", "step"])
def test_a_waiting_message_starts_the_first_worker_of_a_service(scale_by: str) -> None:
    """From zero to one; not when somebody is there already, nor when nothing is known."""
    wake, *_ = build_scaling_policies(PLAIN, ProvisionOptions(scale_by=scale_by, workers_from=0))
    assert wake.alarm is not None

    assert goes_off(wake.alarm, [period(workers=0, survey=waiting(1, 1.0))] * 5)
    assert not goes_off(wake.alarm, [period(survey=waiting(1, 1.0))] * 5)
    assert not goes_off(wake.alarm, [period(workers=0)] * 5)
    assert not goes_off(wake.alarm, [(), ()])
    assert [step.change for step in wake.steps] == [1]  # one more: it never shrinks a fleet


def test_steps_scale_out_when_there_is_much_and_in_when_there_is_little() -> None:
    """And neither when the monitor is dead."""
    out, in_ = build_scaling_policies(PLAIN, ProvisionOptions(scale_by="step", backlog=10.0))
    assert out.alarm is not None
    assert in_.alarm is not None
    much = [period(survey=waiting(80, 1.0))] * 15  # for 4 processes
    little = [period()] * 15

    assert (goes_off(out.alarm, much), goes_off(in_.alarm, much)) == (True, False)
    assert (goes_off(out.alarm, little), goes_off(in_.alarm, little)) == (False, True)
    dead: list[Period] = [()] * 15
    assert (goes_off(out.alarm, dead), goes_off(in_.alarm, dead)) == (False, False)
    assert [step.change for step in (*out.steps, *in_.steps)] == [1, 3, -1]
