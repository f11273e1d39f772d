"""Second monitor: what those that answer say of one more."""

from __future__ import annotations

import pytest

from event_monitor.check.second_monitor import judge_monitors
from event_monitor.events import OWN_EVENT, OwnEvent


def monitors(*roles: str) -> tuple[OwnEvent, ...]:
    return tuple(
        OwnEvent(type=OWN_EVENT, role=role, who=f"process {pid} on here")
        for pid, role in enumerate(roles, start=1)
    )


@pytest.mark.parametrize(
    ("roles", "is_off", "status", "message"),
    [
        (
            ("leader",),
            False,
            "ok",
            "process 1 on here publishes; one started beside it stands by",
        ),
        (
            ("leader", "standby", "standby"),
            False,
            "ok",
            "process 1 on here publishes, and 2 stand by; one started beside it stands by",
        ),
        (
            ("leader", "alone"),
            False,
            "warning",
            "2 monitors publish the same, so that everything counts twice: "
            "process 1 on here, process 2 on here",
        ),
        (
            ("alone",),
            False,
            "warning",
            "would count everything again: process 1 on here publishes already, and holds no lock",
        ),
        (
            ("leader",),
            True,
            "warning",
            "would count everything again: process 1 on here publishes already, "
            "and `leader` is off",
        ),
    ],
)
def test_who_runs_is_told(roles: tuple[str, ...], is_off: bool, status: str, message: str) -> None:
    """And what that means for one that is started now."""
    (finding,) = judge_monitors(monitors(*roles), is_off=is_off)
    assert (finding.status, finding.message) == (status, message)


def test_nobody_is_nothing_to_tell() -> None:
    """Nor are two leaders: one of them is about to learn that it is none."""
    assert list(judge_monitors((), is_off=True)) == []
    (finding,) = judge_monitors(monitors("leader", "leader"), is_off=False)
    assert finding.status == "ok"
