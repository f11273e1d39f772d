"""Held: the tasks in replies to inspect."""

from __future__ import annotations

import pytest

from event_monitor.check.held import HeldTask, by_its_own_clock, held_tasks

NOW = 1_000_000.0  # 1970-01-12T13:46:40 in UTC


def test_running_tasks_and_those_with_an_eta_are_read() -> None:
    """As Celery replies to ``active`` and ``scheduled``."""
    request = {"id": "1", "name": "proj.a", "acknowledged": False, "time_start": None}
    entries = [
        {**request, "time_start": NOW - 30, "acknowledged": True},
        {"eta": "1970-01-12T14:46:40+00:00", "priority": 6, "request": request},
        {"eta": "1970-01-12T15:46:40+01:00", "priority": 6, "request": request},
    ]

    waits = HeldTask(name="proj.a", worker="w1@host", until_eta=3_600.0, acknowledged=False)
    assert list(held_tasks("w1@host", entries, now=NOW)) == [
        HeldTask(name="proj.a", worker="w1@host", running=30.0, acknowledged=True),
        waits,
        waits,
    ]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"name": "t", "time_start": True}, HeldTask(name="t", worker="w")),
        ({"name": "t", "time_start": float("nan")}, HeldTask(name="t", worker="w")),
        ({"name": "t", "time_start": -1}, HeldTask(name="t", worker="w")),
        ({"name": "t", "acknowledged": "no"}, HeldTask(name="t", worker="w")),
        ({"eta": "soon", "request": {"name": "t"}}, HeldTask(name="t", worker="w")),
        ({"name": "t" * 256}, None),
        ({"request": 3}, None),
        ({"name": 3}, None),
        (3, None),
    ],
)
def test_what_is_malformed_is_left_out(entry: object, expected: HeldTask | None) -> None:
    """A name that is none leaves out the task."""
    found = list(held_tasks("w", [entry], now=NOW))

    assert found == ([] if expected is None else [expected])
    assert list(held_tasks("w", {"error": "x"}, now=NOW)) == []


def test_times_are_those_of_the_workers_clock() -> None:
    """One that is an hour behind has not run its task for an hour."""
    task = HeldTask(name="t", worker="w", running=3_610.0)
    waits = HeldTask(name="t", worker="w", until_eta=10.0)

    assert by_its_own_clock(task, 3_600.0).running == 10.0
    assert by_its_own_clock(waits, 3_600.0).until_eta == 3_610.0
    assert by_its_own_clock(task, None) == task
