"""Without a monitor: broker and workers are asked, and what is not known then is said."""

from __future__ import annotations

import pytest

from event_monitor.errors import UnavailableError
from event_monitor.history import Run
from event_monitor.live import Broker, Either, Look, Monitor, NoMonitorError
from event_monitor.settings import Settings
from event_monitor.snapshot import TaskInFlight
from event_monitor.status.report import Report
from event_monitor.survey import QueueDepth, WorkerAnswer

from .screen import Shown, play

NOWHERE = "http://127.0.0.1:1"
REPORT = Report(
    at=1_000.0,
    workers=(WorkerAnswer("celery@w1", active=2, pool_processes=4),),
    running=(
        TaskInFlight("t2", "shop.pay", "celery@w1", running_since=940.0),
        TaskInFlight("t1", "shop.export", "celery@w1", running_since=100.0),
    ),
    queues=(QueueDepth("pay", 1_204, 16, 2, 372.0), QueueDepth("exports", 9, 0, 0)),
)
SETTINGS = Settings(queue_length_limits=(("*", (100.0, 1_000.0)),))


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def broker(report: Report = REPORT) -> Broker:
    return Broker("redis://cache:6379/0", lambda: report, SETTINGS)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_what_the_broker_tells_is_shown_and_the_rest_is_not_known(size: tuple[int, int]) -> None:
    """Not known is not none; the verdict is that of status."""

    async def script(shown: Shown) -> None:
        assert "redis://cache:6379/0" in shown.lines[0]
        assert shown.lines[1].startswith(" CRITICAL  queue pay: 1,204 waiting")
        assert shown.lines[2] == " running 2"
        assert shown.rows("failures")[1].strip() == "not known"
        assert shown.rows("changes")[1].strip() == "not known"
        assert shown.rows("queues")[1].split()[:2] == ["!pay", "1,204"]
        assert shown.rows("workers")[1].split()[:4] == ["celery@w1", "online", "████░░░░", "2/4"]
        assert [row.split()[0] for row in shown.rows("running")[1:3]] == ["shop.export", "shop.pay"]
        assert "no monitor runs here: failures, the last hour" in shown.text
        await shown.press("5", "enter")
        await shown.until(lambda: "known where a monitor with a history runs" in shown.text)
        assert "15m 00s" in shown.text

    play(broker(), script, size=size)


def test_a_broker_that_is_away_is_one_sentence() -> None:
    """As status says it."""
    away = Report(at=1.0, unknown=("the workers on redis://cache cannot be asked: refused",))

    with pytest.raises(UnavailableError, match=r"^the workers on redis://cache cannot be asked"):
        broker(away).look()


def test_neither_monitor_nor_broker() -> None:
    """One sentence for both."""
    away = Report(at=1.0, unknown=("the queues on redis://cache cannot be read: refused",))

    with pytest.raises(UnavailableError, match=rf"^no monitor answers at {NOWHERE}: .*, and the q"):
        Either(Monitor(NOWHERE), broker(away)).look()


class Coming:
    """A monitor that is not there yet, and who has asked for it."""

    where = "http://monitor"

    def __init__(self) -> None:
        self.is_there = False
        self.asked = 0

    def look(self) -> Look:
        self.asked += 1
        if not self.is_there:
            raise NoMonitorError("no monitor answers at http://monitor: refused.")
        return Look(at=1.0, level="ok", failures=())

    def runs(self, task_id: str) -> tuple[Run, ...]:
        return (Run(number=1, at=1.0, id=task_id, name="shop.pay", state="failed"),)


def test_a_monitor_that_comes_is_used_from_then_on() -> None:
    """It is looked for every half minute, and then not left for the broker again."""
    # Given
    clock, monitor = Clock(), Coming()
    either = Either(monitor, broker(), clock=clock)

    # When it is not there
    for _ in range(29):
        assert either.look().failures is None
        clock.sleep(1.0)
    assert (monitor.asked, either.where) == (1, "redis://cache:6379/0")

    # Then it is found half a minute later
    monitor.is_there = True
    clock.sleep(1.0)
    assert either.look().failures == ()
    assert either.where == "http://monitor"
    assert [run.id for run in either.runs("t1")] == ["t1"]
    monitor.is_there = False
    with pytest.raises(NoMonitorError):
        either.look()
