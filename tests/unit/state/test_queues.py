"""Queues: every task is counted under the queue it came from, as far as that can be known."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping

import msgspec
import pytest

from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, ExceptionCounts, Snapshot
from event_monitor.state import State
from event_monitor.state.cells import Cell
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, beat, task

DAY = 86_400.0


@pytest.fixture
def state(clock: FakeClock) -> State:
    return make(clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make(clock: FakeClock, **settings: object) -> State:
    """Return the state of an app that sends every task to ``routed``."""
    return State(Settings(**settings), clock=clock, route=lambda _: "routed")  # type: ignore[arg-type]


def shoot(state: State) -> Snapshot:
    return state.freeze_while(state.expose).develop()  # type: ignore[no-any-return]


def reads(state: State, **queues: tuple[str, ...]) -> None:
    """Let the workers w1 and w2 say which queues they read."""
    names = {"w1": W1, "w2": W2}
    state.observe([beat(names[worker]) for worker in queues])
    answers = [WorkerAnswer(names[worker], queues=of) for worker, of in queues.items()]
    state.note_answers(answers, age_seconds=0.0)


def run(state: State, uuid: str = "u1", *, on: str = W1, name: str = "proj.add") -> None:
    """Let a worker receive, start and end a task."""
    state.observe(
        [
            task("received", uuid, on=on, name=name),
            task("started", uuid, on=on),
            task("succeeded", uuid, on=on, runtime=1.0),
        ]
    )


def succeeded(snapshot: Snapshot) -> Mapping[str, int]:
    """Return how many succeeded by queue."""
    return {queue: counts.succeeded for queue, counts in snapshot.window.by_queue}


def test_the_queue_a_producer_names_counts_whatever_the_worker_reads(state: State) -> None:
    """task-sent says where to."""
    reads(state, w1=("celery",))
    state.observe([task("sent", queue="mail")])
    run(state)
    ((queue, counts),) = shoot(state).window.by_queue
    assert (queue, counts.sent, counts.received, counts.started, counts.succeeded) == (
        "mail",
        1,
        1,
        1,
        1,
    )


def test_a_task_sent_that_comes_late_moves_what_follows(state: State) -> None:
    """Events of producer and worker come in any order."""
    reads(state, w1=("celery",))
    state.observe([task("received"), task("sent", queue="mail"), task("started")])
    state.observe([task("succeeded", runtime=1.0)])
    assert succeeded(shoot(state)) == {"celery": 0, "mail": 1}


def test_a_worker_that_reads_one_queue_tells_the_queue(clock: FakeClock) -> None:
    """Of all its tasks, those of one name on different workers apart."""
    state = make(clock, http="127.0.0.1:9808")
    reads(state, w1=("celery",), w2=("mail",))
    run(state, "a", on=W1)
    run(state, "b", on=W2)
    run(state, "c", on=W2)
    window = shoot(state).window
    assert {queue: counts.succeeded for queue, counts in window.by_queue} == {
        "celery": 1,
        "mail": 2,
    }
    assert [(name, counts.succeeded) for name, counts in window.tasks] == [("proj.add", 3)]
    assert [(name, queue, n.succeeded) for name, queue, n in window.by_task_and_queue] == [
        ("proj.add", "celery", 1),
        ("proj.add", "mail", 2),
    ]


@pytest.mark.parametrize(
    ("queues", "queue"),
    [(("celery", "routed"), "routed"), (("celery", "mail"), "unknown"), (None, "routed")],
)
def test_the_apps_routes_tell_the_queue_if_the_worker_reads_it(
    state: State, queues: tuple[str, ...] | None, queue: str
) -> None:
    """Else nobody knows it."""
    if queues is not None:
        reads(state, w1=queues)
    run(state)
    assert succeeded(shoot(state)) == {queue: 1}


def test_without_an_app_the_queue_is_unknown(clock: FakeClock) -> None:
    """Nothing tells it."""
    state = State(Settings(), clock=clock)
    run(state)
    assert succeeded(shoot(state)) == {"unknown": 1}


def test_a_task_that_moves_to_another_worker_counts_under_its_queue(state: State) -> None:
    """It was sent to one queue, and another worker that reads several received it again."""
    reads(state, w1=("mail",), w2=("celery", "mail"))
    state.observe([task("sent", queue="mail"), task("received"), task("started")])
    state.observe([task("received", on=W2), task("started", on=W2), task("succeeded", on=W2)])
    assert succeeded(shoot(state)) == {"mail": 1}


def test_a_checkpoint_keeps_the_queue(clock: FakeClock) -> None:
    """The task may end after a restart."""
    before = make(clock, durable_queue="q", state_dir="/nowhere")
    before.observe([task("sent", queue="mail"), task("received"), task("started")])
    kept = shoot(before).in_flight
    after = make(clock)
    after.learn(kept)
    after.observe([task("succeeded", runtime=1.0)])
    assert succeeded(shoot(after)) == {"mail": 1}


def test_a_consumer_of_tasks_gets_the_queue(clock: FakeClock) -> None:
    """As far as it is known."""
    ended: list[EndedTask] = []
    state = State(Settings(), clock=clock, task_consumers=(ended.extend,))
    run(state, "a")
    reads(state, w1=("mail",))
    run(state, "b")
    assert [task.queue for task in ended] == [None, "mail"]


def test_times_and_exceptions_are_kept_by_task_and_queue(clock: FakeClock) -> None:
    """Those of retries too."""
    state = make(clock, by_exception=True)
    raised = msgspec.Raw(b'"ValueError(1)"')
    state.observe([task("sent", "a", queue="mail"), task("received", "a"), task("started", "a")])
    state.observe([task("retried", "a", exception=raised), task("received", "a", retries=1)])
    state.observe([task("started", "a"), task("failed", "a", exception=raised, at=1_005.0)])
    window = shoot(state).window
    assert window.exceptions == (
        ExceptionCounts("proj.add", "mail", "ValueError", failed=1, retried=1),
    )
    ((_, counts),) = window.by_queue
    assert (counts.failed_runtime.sum, counts.retries.sum) == (5.0, 1.0)


def test_with_by_worker_the_queues_are_the_same(clock: FakeClock) -> None:
    """A cell is of a name, a queue and a worker then."""
    state = make(clock, by_worker=("TasksSucceeded",))
    reads(state, w1=("celery",), w2=("celery",))
    for window in range(3):
        for number, worker in enumerate((W1, W2, W1)):
            run(state, f"{window}{number}", on=worker)
        found = shoot(state).window
        assert {worker: counts.succeeded for worker, counts in found.by_worker} == {W1: 2, W2: 1}
        assert [(queue, counts.succeeded) for queue, counts in found.by_queue] == [("celery", 3)]


def test_starts_in_time_are_counted_exactly(clock: FakeClock) -> None:
    """Of tasks that an objective covers, by name or queue; at the limit is in time."""
    state = make(clock, slo=("queue mail: 99 % start in 2 s", "proj.*: 90 % start in 5 s"))
    reads(state, w1=("celery",), w2=("mail",))
    for number, wait in enumerate((0.5, 2.0, 2.5, 5.0, 5.5)):
        for worker in (W1, W2):
            uuid = f"{number}{worker}"
            state.observe([task("received", uuid, on=worker, at=1_000.0)])
            state.observe([task("started", uuid, on=worker, at=1_000.0 + wait)])
    found = {queue: counts.on_time for queue, counts in shoot(state).window.by_queue}
    assert found == {
        "celery": ((5.0, 4), (math.inf, 5)),
        "mail": ((2.0, 2), (5.0, 4), (math.inf, 5)),
    }


def test_starts_in_time_are_counted_with_task_sent_and_by_worker(clock: FakeClock) -> None:
    """However the queue time becomes known, and whoever counts it."""
    state = make(clock, slo=("proj.add: 90 % start in 5 s",), by_worker=("TasksSucceeded",))
    for number, wait in enumerate((1.0, 9.0, 4.0)):
        worker = (W1, W2)[number % 2]
        state.observe([task("sent", str(number), at=1_000.0, queue="mail")])
        state.observe([task("received", str(number), on=worker, at=1_000.5)])
        state.observe([task("started", str(number), on=worker, at=1_000.0 + wait)])
    window = shoot(state).window
    ((_, counts),) = window.by_queue
    assert counts.on_time == ((5.0, 2), (math.inf, 3))
    assert counts.queue_time.count == 3


def test_queues_beyond_the_bound_are_counted_as_other(state: State) -> None:
    """Whoever may write to the broker can make names up."""
    for number in range(1_100):
        state.observe([task("sent", f"u{number}", queue=f"q{number}")])
    window = shoot(state).window
    sent = {queue: counts.sent for queue, counts in window.by_queue}
    assert (len(sent), sent["other"], sum(sent.values())) == (1_001, 100, 1_100)
    assert window.names_folded == 100


def test_pairs_beyond_the_bound_are_counted_as_other(clock: FakeClock) -> None:
    """Any task may be sent to any queue."""
    state = make(clock, http="127.0.0.1:9808")
    for name in range(210):
        state.observe(
            [
                task("sent", f"{name}-{queue}", name=f"t{name}", queue=f"q{queue}")
                for queue in range(100)
            ]
        )
    window = shoot(state).window
    assert sum(counts.sent for _, counts in window.by_queue) == 21_000
    assert 20_000 <= len(window.by_task_and_queue) <= 20_210
    assert len(window.tasks) == 210


def test_workers_with_queues_of_their_own_leave_nothing_behind(clock: FakeClock) -> None:
    """With `worker_direct` no two read the same, and pods come and go."""
    state = make(clock, worker_forget_seconds=60.0)
    for number in range(300):
        name = f"celery@pod{number}"
        state.observe([beat(name)])
        answer = WorkerAnswer(name, queues=("routed", f"{name}.dq"))
        state.note_answers([answer], age_seconds=0.0)
        run(state, f"u{number}", on=name)
        assert succeeded(shoot(state)) == {"routed": 1}
        clock.advance(30.0)
    gc.collect()
    cells = [one for one in gc.get_objects() if isinstance(one, Cell) and one.name == "proj.add"]
    assert len(cells) < 50


def test_an_idle_queue_makes_room(clock: FakeClock) -> None:
    """After the time for which idle series are published."""
    state = make(clock, idle_series_seconds=DAY)
    state.observe([task("sent", f"u{n}", queue=f"q{n}") for n in range(1_000)])
    shoot(state)
    clock.advance(DAY + 1)
    shoot(state)
    state.observe([task("sent", "late", queue="late")])
    assert [queue for queue, _ in shoot(state).window.by_queue] == ["late"]
