"""The recorder: what ended, what of it is kept, and that counts are exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_monitor.errors import SettingsError, UnavailableError
from event_monitor.history import FILE_NAME, HOUR, MINUTE, Kept, Reader, Recorder, RunFilter
from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, OrphanedTask, TaskCounts, WorkerLoss
from event_monitor.testing import FakeClock

from ...support.making import W1
from .conftest import OpenHistory
from .making import NOW, PLACE, ended, shot

Read = Callable[[], Reader]


def test_a_run_is_read_back_as_it_ended(open_history: OpenHistory, read: Read) -> None:
    """With its times, its exception and its place; nothing else."""
    history = open_history()
    times = {"sent": NOW - 9, "received": NOW - 8, "started": NOW - 5}
    history.on_tasks([ended("u1", "failed", queue="celery", retries=2, **times)])
    history.flush()

    (run,) = read().task("u1")

    assert (run.id, run.name, run.state, run.worker) == ("u1", "shop.pay", "failed", W1)
    assert (run.sent, run.received, run.started, run.ended) == (NOW - 9, NOW - 8, NOW - 5, NOW)
    assert (run.queue, run.retries, run.runtime, run.weight) == ("celery", 2, 5.0, 1.0)
    assert (run.exception, run.place, run.message, run.details) == ("ValueError", PLACE, None, ())


def test_a_task_has_all_its_runs(open_history: OpenHistory, read: Read) -> None:
    """Retried twice, then well: in the order in which they ended."""
    history = open_history()
    history.on_tasks([ended("u1", "retried"), ended("u2"), ended("u1", "retried", retries=1)])
    history.flush()
    history.on_tasks([ended("u1", "succeeded", retries=2)])
    history.flush()

    assert [run.state for run in read().task("u1")] == ["retried", "retried", "succeeded"]
    assert read().task("u3") == ()


def test_failures_are_grouped_and_each_is_counted(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """By task, exception class and place, however few of them are kept."""
    # Given
    history = open_history()
    kinds = {
        ("shop.pay", "ValueError", PLACE): 3_000,
        ("shop.pay", "ValueError", "/app/shop.py:9 in refund"): 2,
        ("shop.pay", "KeyError", PLACE): 1,
        ("shop.mail", "ValueError", ""): 4,
    }

    # When
    for (name, exception, place), times in kinds.items():
        one = {"name": name, "exception": exception, "place": place or None}
        history.on_tasks([ended(f"u{number}", "failed", **one) for number in range(times)])
        clock.advance(1)
    history.flush()

    # Then
    groups = read().failures()
    assert {(g.name, g.exception, g.place): g.count for g in groups} == kinds
    assert [group.name for group in groups][:1] == ["shop.mail"]  # the last one first
    assert [(g.first_at, g.last_at, g.last_id) for g in groups if g.count == 3_000] == [
        (NOW, NOW, "u2999")
    ]
    assert read().kept() == (Kept(state="failed", ended=3_007, kept=2_008),)


def test_the_first_failure_of_a_kind_is_kept_even_in_a_storm(
    open_history: OpenHistory, read: Read
) -> None:
    """It is the one that somebody looks for."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(5_000)])
    history.flush()
    history.on_tasks([ended("rare", "failed", exception="KeyError"), ended("late", "failed")])
    history.flush()

    assert [run.id for run in read().runs(RunFilter(exception="KeyError")).runs] == ["rare"]
    assert read().task("late") == ()


def test_a_storm_that_is_over_leaves_room_again(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """Twenty a second."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(5_000)])
    history.flush()
    clock.advance(2)
    history.on_tasks([ended(f"v{number}", "failed") for number in range(100)])
    history.flush()

    later = [run for run in read().runs(limit=10_000).runs if run.id.startswith("v")]
    assert len(later) == 40


def test_failures_of_the_last_hour_are_counted_apart(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """A group that has not failed since is left out."""
    history = open_history()
    history.on_tasks([ended("u1", "failed"), ended("u2", "failed", name="old")])
    history.flush()
    clock.advance(7_200)
    history.on_tasks([ended("u3", "failed")])
    history.flush()

    recent = read().failures(since=clock.wall() - 3_600)
    assert [(group.name, group.count, group.recent) for group in recent] == [("shop.pay", 2, 1)]
    assert [group.name for group in read().failures(name="old")] == ["old"]


def test_what_a_dead_worker_left_is_orphaned(open_history: OpenHistory, read: Read) -> None:
    """Its rows have the worker; each is counted."""
    history = open_history()
    loss = WorkerLoss(W1, 60.0, (OrphanedTask("u1", "shop.pay"), OrphanedTask("u2", "shop.mail")))
    history.on_snapshot(shot(losses=(loss,)))
    history.flush()

    runs = read().runs(RunFilter(states=("orphaned",))).runs
    assert [(run.id, run.name, run.worker) for run in runs] == [
        ("u2", "shop.mail", W1),
        ("u1", "shop.pay", W1),
    ]
    assert read().kept() == (Kept(state="orphaned", ended=2, kept=2),)
    points = read().task_points(MINUTE, name=None, since=NOW - 60, until=NOW)
    assert [(point.name, point.orphaned) for point in points] == [("shop.mail", 1), ("shop.pay", 1)]


def test_what_succeeds_is_sampled_and_counted(open_history: OpenHistory, read: Read) -> None:
    """Each row says how many it stands for; the counts are exact."""
    history = open_history()
    weights = [history.weigh(f"u{number}", "shop.pay", 0.1) for number in range(10_000)]
    chosen = [ended(f"u{number}", weight=weight) for number, weight in enumerate(weights) if weight]
    history.on_tasks(chosen)
    history.flush()

    (kept,) = read().kept()
    assert (kept.state, kept.ended) == ("succeeded", 10_000)
    assert 100 <= kept.kept <= 300
    runs = read().runs(limit=1_000).runs
    assert [run.weight for run in reversed(runs)] == [weight for weight in weights if weight]


def test_a_consumer_that_gets_all_chooses_too(open_history: OpenHistory, read: Read) -> None:
    """Beside consumers of the user's own, nobody has chosen before."""
    history = open_history()
    history.on_all_tasks([ended(f"u{number}") for number in range(10_000)])
    history.on_all_tasks([ended("retried", retries=1), ended("failed", "failed")])
    history.flush()

    failed, succeeded = sorted(read().kept(), key=lambda kept: kept.state)
    assert (failed.ended, succeeded.ended) == (1, 10_001)
    assert succeeded.kept <= 300
    assert [run.state for run in read().task("retried")] == ["succeeded"]


def test_the_history_survives_a_restart(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """Groups go on counting, and numbers go on growing."""
    first = open_history()
    first.on_tasks([ended("u1", "failed")])
    first.on_snapshot(shot(tasks={"shop.pay": TaskCounts(failed=1)}))
    first.flush()
    first.close()

    second = open_history()
    clock.advance(5)
    second.on_tasks([ended("u2", "failed")])
    second.on_snapshot(shot(tasks={"shop.pay": TaskCounts(failed=1)}))
    second.flush()

    (group,) = read().failures()
    assert (group.count, group.first_at, group.last_at) == (2, NOW, NOW + 5)
    numbers = [run.number for run in read().runs().runs]
    assert numbers == sorted(numbers, reverse=True)
    (hour,) = read().task_points(HOUR, since=NOW - 3_600, until=NOW)
    assert hour.failed == 2


def test_it_is_in_memory_without_a_state_dir(open_history: OpenHistory, tmp_path: Path) -> None:
    """And can be read all the same, by the same process."""
    history = open_history(state_dir="")
    history.on_tasks([ended("u1", "failed")])
    history.flush()

    with history.reader() as reader:
        assert [run.id for run in reader.runs().runs] == ["u1"]
    with history.reader() as reader:
        assert reader.failures()[0].count == 1
    assert list(tmp_path.iterdir()) == []


def test_its_thread_writes_what_is_left_when_it_ends(tmp_path: Path) -> None:
    """Nothing that was gathered is lost by a graceful shutdown."""
    history = Recorder(Settings(state_dir=str(tmp_path), history=True))
    history.open()
    history.on_tasks([ended("u1", "failed")])
    history.close()

    with Reader.open(tmp_path / FILE_NAME) as reader:
        assert [run.id for run in reader.task("u1")] == ["u1"]


def test_a_reader_of_a_closed_memory_says_so() -> None:
    """One sentence."""
    history = Recorder(Settings(history=True))
    with pytest.raises(UnavailableError, match="not open"):
        history.reader()


def test_a_group_that_does_not_exist_ends_the_start() -> None:
    """It can never work."""
    with pytest.raises(SettingsError, match="state_group is 'no-such-group'"):
        Recorder(Settings(history=True, state_group="no-such-group"))


def test_what_cannot_be_written_does_not_keep_the_rest_from_it(
    open_history: OpenHistory, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    """Should anything ever be no text at all."""
    history = open_history()
    history.on_tasks([ended("u1", "failed", worker=17)])
    history.flush()
    history.on_tasks([ended("u2", "failed")])
    history.flush()

    assert [run.id for run in read().runs().runs] == ["u2"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_values_of_any_kind_are_hashable_groups() -> None:
    """A task without a name, or an exception, is of the unknown."""
    clock = FakeClock()
    history = Recorder(Settings(history=True), clock=clock)
    history.flush()
    history.on_tasks([EndedTask(id="u1", name=None, how="failed", ended=1.0)])
    history.flush()
    (group,) = history.reader().failures()
    assert (group.name, group.exception, group.place) == ("unknown", "unknown", "")
    history.close()
