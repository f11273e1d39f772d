"""Too long: tasks that hang, by the history beside us or by the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.distribution import Distribution
from event_monitor.history import FILE_NAME, LongRun, Recorder
from event_monitor.provision.options import ProvisionOptions
from event_monitor.settings import Settings
from event_monitor.snapshot import RunningTask, Snapshot, TaskCounts, TaskInFlight, Window
from event_monitor.status.render import as_json, as_text
from event_monitor.status.report import Level, Problem
from event_monitor.status.too_long import find_too_long
from event_monitor.testing import FakeClock

from .cluster import judged, report


def in_flight(uuid: str, name: str | None, *, since: float | None) -> TaskInFlight:
    return TaskInFlight(uuid, name, "w1@host", running_since=since)


def found(tasks: tuple[TaskInFlight, ...], settings: Settings, *, now: float) -> list[str]:
    return [run.task.id for run in find_too_long(tasks, settings, now=now)]


def test_without_a_history_an_hour_is_too_long_or_what_is_set() -> None:
    """A start that is not known proves nothing."""
    tasks = (
        in_flight("u1", "shop.a", since=1_000.0),
        in_flight("u2", "shop.b", since=6_000.0),
        in_flight("u3", None, since=None),
    )

    assert found(tasks, Settings(), now=8_000.0) == ["u1"]
    assert found(tasks, Settings(long_run_seconds=600.0), now=8_000.0) == ["u1", "u2"]
    assert found(tasks, Settings(long_run_seconds=0.0), now=8_000.0) == []


def test_without_a_history_status_and_alarm_agree() -> None:
    """On when a task that nobody knows runs too long."""
    assert Settings().long_run_seconds == ProvisionOptions().max_running


def test_a_history_in_our_state_dir_knows_better(tmp_path: Path) -> None:
    """Hours are usual for one task, and a minute and a half is not for another."""
    # Given
    clock = FakeClock()
    settings = Settings(state_dir=str(tmp_path), history=True)
    recorder = Recorder(settings, clock=clock)
    took = {"shop.slow": 7_000.0, "shop.fast": 20.0}
    counts = tuple(
        (name, TaskCounts(succeeded=1, runtime=Distribution((seconds,), (1,))))
        for name, seconds in took.items()
    )
    recorder.on_snapshot(Snapshot(window=Window(clock.wall() - 60, clock.wall(), tasks=counts)))
    recorder.flush()
    recorder.close()
    now = clock.wall() + 60

    # When and then
    tasks = (
        in_flight("u1", "shop.slow", since=now - 7_200),
        in_flight("u2", "shop.fast", since=now - 90),
    )
    assert found(tasks, settings, now=now) == ["u2"]

    # And one that cannot be read is none
    (tmp_path / FILE_NAME).write_text("damaged, and longer than a header of SQLite " * 9)
    assert found(tasks, settings, now=now) == ["u1"]


RUNS = (
    LongRun(RunningTask("u1", "shop.pay", "w1@host", 100.0), 7_500.0, longest=40.0),
    LongRun(RunningTask("u2", "shop.b", "w1@host", 200.0), 4_000.0),
)


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (
            RUNS,
            "shop.pay has been running for 2h 05m on w1@host, where 99 % take 40s at most, and 1 "
            "more runs far too long",
        ),
        (RUNS[1:], "shop.b has been running for 1h 06m on w1@host"),
    ],
)
def test_it_is_a_warning_with_the_longest_named(runs: tuple[LongRun, ...], sentence: str) -> None:
    """And all of them are in the JSON."""
    status = report(too_long=runs)
    verdict = judged(status)

    name = runs[0].task.name or ""
    assert verdict.found == (Problem(Level.WARNING, sentence, "name", name),)
    assert as_text(status, verdict).startswith(f"WARNING: {sentence}\n")
    document = as_json(status, verdict)["tasks"]
    assert isinstance(document, dict)
    assert [run["id"] for run in document["too_long"]] == [run.task.id for run in runs]
    assert document["too_long"][-1] == {
        "id": "u2",
        "name": "shop.b",
        "worker": "w1@host",
        "since": 200.0,
        "seconds": 4_000.0,
        "p99": None,
    }


def test_a_management_url_that_is_of_no_use_is_a_warning() -> None:
    """What AMQP tells is known all the same."""
    sentence = "management_url is of no use: the broker is redis, not RabbitMQ"

    assert judged(report(management=sentence)).found == (Problem(Level.WARNING, sentence),)
