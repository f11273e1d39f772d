"""Looks: what is shown of the open window is what its snapshot will have."""

from __future__ import annotations

import msgspec
import pytest

from event_monitor.distribution import Recorder
from event_monitor.settings import Settings
from event_monitor.snapshot import ExceptionCounts, Live, Window
from event_monitor.state import State
from event_monitor.state.exposure import Exposure
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, task


def runs_of_two_queues(state: State) -> None:
    """One task succeeds in each queue; one fails in one."""
    for number, queue in enumerate(("mail", "mail", "web")):
        uuid = f"u{number}"
        state.observe(
            [
                task("sent", uuid, at=1_000.0, queue=queue),
                task("received", uuid, at=1_001.0),
                task("started", uuid, at=1_002.0 + number),
            ]
        )
    state.observe(
        [
            task("succeeded", "u0", at=1_010.0, runtime=0.5),
            task("failed", "u1", at=1_010.0, exception=msgspec.Raw(b'"ValueError(1)"')),
            task("succeeded", "u2", at=1_010.0, runtime=2.0),
        ]
    )


def times(shown: Live | Window) -> dict[tuple[str, str], tuple[tuple[float, ...], ...]]:
    return {
        (name, queue): (counts.runtime.values, counts.queue_time.values)
        for name, queue, counts in shown.by_task_and_queue
    }


def cut(state: State) -> Window:
    exposure: Exposure = state.freeze_while(state.expose)
    return exposure.develop().window


def test_a_look_has_the_times_and_exceptions_of_each_queue() -> None:
    """As the snapshot has, where they are served."""
    state = State(Settings(http="127.0.0.1:9808"), clock=FakeClock(wall=1_020.0))
    runs_of_two_queues(state)
    look, window = state.peek(), cut(state)

    assert (
        times(look)
        == times(window)
        == {
            ("proj.add", "mail"): ((0.5,), (2.0, 3.0)),
            ("proj.add", "web"): ((2.0,), (4.0,)),
        }
    )
    raised = (ExceptionCounts("proj.add", "mail", "ValueError", failed=1),)
    assert look.exceptions == window.exceptions == raised
    assert [counts.succeeded for _, counts in look.tasks] == [2]
    assert state.peek().by_task_and_queue == ()


def test_a_look_without_times_has_the_counts_of_each_name() -> None:
    """Times have to be put in order, which only who asks for them pays."""
    state = State(Settings(http="127.0.0.1:9808"), clock=FakeClock(wall=1_020.0))
    runs_of_two_queues(state)
    whole, look = state.peek(), state.peek(with_times=False)

    assert look.tasks == whole.tasks
    assert (look.opened_at, look.running_count) == (whole.opened_at, whole.running_count)
    assert (look.by_task_and_queue, look.exceptions) == ((), ())


def test_each_name_and_queue_has_only_what_somebody_asks_for() -> None:
    """There may be thousands: objectives need their counts, a page the times too."""
    nothing: dict[tuple[str, str], tuple[tuple[float, ...], ...]] = {}
    counts = {("proj.add", "mail"): ((), ()), ("proj.add", "web"): ((), ())}
    levels = ("queue mail: 99 % succeed",)
    for settings, expected in (Settings(), nothing), (Settings(slo=levels), counts):
        state = State(settings, clock=FakeClock(wall=1_020.0))
        runs_of_two_queues(state)
        window = cut(state)
        assert times(window) == expected
        assert {queue for queue, _ in window.by_queue} == {"mail", "web"}


@pytest.mark.parametrize("count", [1, 40, 400])
def test_a_copy_of_a_recorder_goes_its_own_way(count: int) -> None:
    """Whatever it keeps: single values, counted ones, or sub-buckets."""
    recorder = Recorder()
    for number in range(count):
        recorder.record(float(number))
    recorder.compact()
    copy = recorder.copy()
    recorder.record(1e6)
    assert (copy.freeze().count, recorder.freeze().count) == (count, count + 1)
    assert copy.freeze().sum == sum(range(count))


def test_where_hosts_are_told_apart_counts_times_and_exceptions_are_by_worker() -> None:
    """What a producer sends is of none."""
    settings = Settings(http="127.0.0.1:9808", http_hostname_label="host")
    state = State(settings, clock=FakeClock(wall=1_020.0))
    runs_of_two_queues(state)
    state.observe([task("received", "u3", on=W2), task("started", "u3", on=W2)])
    raised = msgspec.Raw(b'"ValueError(2)"')
    state.observe([task("failed", "u3", on=W2, exception=raised)])
    look, window = state.peek(), cut(state)

    for shown in (look, window):
        assert {
            (queue, worker): (counts.sent, counts.received, counts.failed, counts.runtime.values)
            for _, queue, worker, counts in shown.by_task_queue_and_worker
        } == {
            ("mail", None): (2, 0, 0, ()),
            ("web", None): (1, 0, 0, ()),
            ("mail", W1): (0, 2, 1, (0.5,)),
            ("web", W1): (0, 1, 0, (2.0,)),
            ("unknown", W2): (0, 1, 1, ()),
        }
        assert [(of.queue, of.worker, of.failed) for of in shown.exceptions] == [
            ("mail", W1, 1),
            ("unknown", W2, 1),
        ]
    generic = State(Settings(http="127.0.0.1:9808"), clock=FakeClock(wall=1_020.0))
    runs_of_two_queues(generic)
    assert cut(generic).by_task_queue_and_worker == ()
