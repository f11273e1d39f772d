"""Recent: what a history in our state_dir tells of the last minutes."""

from __future__ import annotations

from pathlib import Path

from event_monitor.history import FILE_NAME, Recorder
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    EndedTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from event_monitor.status.recent import recent_in
from event_monitor.status.report import Report, judge
from event_monitor.survey import QueueDepth, Survey
from event_monitor.testing import FakeClock


def failed(uuid: str, *, at: float, name: str = "shop.pay") -> EndedTask:
    return EndedTask(
        id=uuid, name=name, how="failed", ended=at, exception="KeyError", place="shop.py:3 in pay"
    )


def test_what_ended_in_the_last_ten_minutes_is_counted_and_grouped(tmp_path: Path) -> None:
    """What was before is not. Those of this minute are counted apart."""
    # Given a failure an hour ago, others since, and some in the minute that goes on
    clock = FakeClock()
    settings = Settings(state_dir=str(tmp_path), history=True)
    recorder = Recorder(settings, clock=clock)
    recorder.on_tasks((failed("u1", at=clock.wall(), name="shop.old"),))
    recorder.flush()
    clock.advance(3_600)
    recorder.on_tasks((failed("u2", at=clock.wall()), failed("u3", at=clock.wall())))
    counts = TaskCounts(succeeded=38, failed=2)
    window = Window(clock.wall() - 60, clock.wall(), tasks=(("shop.pay", counts),))
    recorder.on_snapshot(Snapshot(window=window))
    clock.advance(60)
    recorder.on_tasks(
        (failed("u4", at=clock.wall()), failed("u5", at=clock.wall(), name="shop.new"))
    )
    recorder.flush()
    recorder.close()

    # When
    recent = recent_in(settings, now=clock.wall())

    # Then
    assert recent is not None
    assert (recent.succeeded, recent.failed, recent.success_rate) == (38, 2, 95.0)
    assert recent.failed_since_then == 2
    kinds = [(kind.name, kind.count, kind.since_then, kind.last_id) for kind in recent.kinds]
    assert kinds == [("shop.new", 0, 1, "u5"), ("shop.pay", 2, 1, "u4")]


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    """No state_dir, none in it, or one that cannot be read."""
    assert recent_in(Settings(), now=0.0) is None
    settings = Settings(state_dir=str(tmp_path))
    assert recent_in(settings, now=0.0) is None
    (tmp_path / FILE_NAME).write_text("damaged, and longer than a header of SQLite " * 9)
    assert recent_in(settings, now=0.0) is None


def test_what_the_monitor_says_is_wrong_is_a_warning_while_it_does(tmp_path: Path) -> None:
    """Only who listens knows it. What was wrong when a monitor ended may be over."""
    # Given a monitor that has lost a worker, and whose queue is over a limit
    clock = FakeClock()
    settings = Settings(
        state_dir=str(tmp_path), history=True, queue_length_limits=(("mail", (5, 50)),)
    )
    recorder = Recorder(settings, clock=clock)

    def shoot() -> None:
        window = Window(clock.wall() - 60, clock.wall())
        worker = WorkerStatus("w1", WorkerState.LOST, silent_seconds=90.0)
        survey = Survey(queues=(QueueDepth("mail", ready=7),), queues_age_seconds=0.0)
        recorder.on_snapshot(Snapshot(window=window, workers=(worker,), survey=survey))
        recorder.flush()

    def sentences() -> list[str]:
        recent = recent_in(settings, now=clock.wall())
        report = Report(at=clock.wall(), workers=(), queues=(), recent=recent)
        return list(judge(report, settings, min_workers=0).problems)

    shoot()

    # When / then: as long as it is seen, for half an hour at most, and what a queue is one asks
    assert sentences() == ["w1 is lost"]
    clock.advance(100)
    assert sentences() == []
    shoot()
    assert sentences() == ["w1 is lost"]
    clock.advance(1_800)
    shoot()
    assert sentences() == []
    recorder.close()
