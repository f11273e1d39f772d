"""One service: monitors that are limited to one each add up to a monitor of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_monitor import events as ev
from event_monitor.distribution import Distribution
from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, Snapshot, TaskCounts, TaskInFlight
from event_monitor.state import State
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import beat, task
from .scene import Scene

SERVICES = ("shop", "mail", "rest")
NAMES = ("pay", "poll")
WORKERS = tuple(f"{service}-{number}@h" for service in SERVICES for number in (1, 2))
BY_NAME: list[dict[str, tuple[str, ...]]] = [
    {"only_tasks": ("shop.*",)},
    {"only_tasks": ("mail.*",)},
    {"only_tasks": ("!shop.*", "!mail.*")},  # and what has no name
]
BY_QUEUE: list[dict[str, tuple[str, ...]]] = [
    {"only_queues": ("shop",)},
    {"only_queues": ("mail",)},
    {"only_queues": ("!shop", "!mail")},
]
BY_WORKER: list[dict[str, tuple[str, ...]]] = [
    {"only_workers": ("shop-*",)},
    {"only_workers": ("mail-*",)},
    {"only_workers": ("!shop-*", "!mail-*")},
]


class Step(NamedTuple):
    """One event of a task: of which service, which of its tasks, what, on which worker."""

    service: str
    number: int
    what: str
    worker: int
    requeue: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(SERVICES),
        st.integers(0, 2),
        st.sampled_from(
            [
                "sent",
                "received",
                "received",
                "started",
                "started",
                "succeeded",
                "failed",
                "retried",
                "revoked",
                "rejected",
                "cancelled",
            ]
        ),
        st.integers(1, 2),
        st.booleans(),
    ),
    max_size=40,
)


def named_first(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps of each task from the first that tells its name."""
    named = set()
    for step in steps:
        if step.what in ("sent", "received"):
            named.add(step[:2])
        if step[:2] in named:
            yield step


def events_of(steps: Iterable[Step]) -> list[ev.Event]:
    events: list[ev.Event] = []
    for at, step in enumerate(steps):
        uuid, name = f"{step.service}{step.number}", f"{step.service}.{NAMES[step.number % 2]}"
        extra: dict[str, Any] = {}
        if step.what in ("sent", "received"):
            extra["name"] = name
        if step.what == "sent":
            extra |= {"queue": step.service, "on": "gen1@web"}
        else:
            extra["on"] = f"{step.service}-{step.worker}@h"
        if step.what == "rejected":
            extra["requeue"] = step.requeue
        if step.what == "succeeded":
            extra["runtime"] = 1.5
        events.append(task(step.what, uuid, at=1_000.0 + at, **extra))
    return events


def answers() -> list[WorkerAnswer]:
    return [WorkerAnswer(name, queues=(name.partition("-")[0],)) for name in WORKERS]


def shot(state: State) -> Snapshot:
    snapshot: Snapshot = state.freeze_while(state.expose).develop()
    return snapshot


def watched(
    batches: Sequence[Sequence[ev.Event]], **only: Any
) -> tuple[Counter[tuple[str, ...]], list[EndedTask]]:
    """Return all numbers of the shots after each batch, and what ended."""
    ended: list[EndedTask] = []
    clock = FakeClock()
    state = State(Settings(**only), clock=clock, task_consumers=(ended.extend,))
    state.note_answers(answers(), age_seconds=0.0)
    numbers: Counter[tuple[str, ...]] = Counter()
    for batch in batches:
        clock.advance(10.0)
        state.observe(batch)
        snapshot = shot(state)
        for name, counts in snapshot.window.tasks:
            for key, number in numbers_of(counts):
                numbers[name, key] += number
        for queue, counts in snapshot.window.by_queue:
            for key, number in numbers_of(counts):
                numbers["queue", queue, key] += number
        numbers.update({("running", of.name): of.count for of in snapshot.running})
        numbers["in flight",] += snapshot.tasks_in_flight
    return numbers, ended


def numbers_of(counts: TaskCounts) -> Iterable[tuple[str, int]]:
    for field in fields(counts):
        value = getattr(counts, field.name)
        if isinstance(value, Distribution):
            yield field.name, sum(value.counts)
        elif isinstance(value, int):
            yield field.name, value


def positive(numbers: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return +numbers


@pytest.mark.parametrize("parts", [BY_NAME, BY_QUEUE, BY_WORKER], ids=["name", "queue", "worker"])
@given(STEPS, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_three_services_add_up_to_all_of_them(
    parts: list[dict[str, tuple[str, ...]]], steps: list[Step], shots: int
) -> None:
    """Whatever the events and their order: each is counted by one of the three, and as ever."""
    events = events_of(named_first(steps) if parts is BY_NAME else steps)
    size = len(events) // shots + 1
    batches = [events[at : at + size] for at in range(0, len(events), size)]

    everything, ended = watched(batches)
    limited = [watched(batches, **only) for only in parts]

    assert positive(sum((numbers for numbers, _ in limited), Counter())) == positive(everything)
    assert Counter(one for _, ended in limited for one in ended) == Counter(ended)


def of_shop(**only: Any) -> Scene:
    return Scene(**{"only_tasks": ("shop.*",), **only})


def counted(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Return how many tasks were received, and succeeded, by name."""
    return {name: (of.received, of.succeeded) for name, of in snapshot.window.tasks}


def test_what_is_left_out_is_no_loss() -> None:
    """The loss meter sees all: only what never came is lost, of whatever task."""
    scene = of_shop()
    worker = scene.worker().hello()
    scene.answer(WorkerAnswer("celery@one"))
    scene.run(10.0, worker)
    for number in range(20):
        worker.begin(f"m{number}", name="mail.send")
        worker.end(f"m{number}")
    worker.begin("s1", name="shop.pay")
    worker.end("s1")
    scene.run(20.0, worker)
    assert all(shot.window.events_lost == () for shot in scene.shots)

    worker.begin_unheard()
    worker.end_silently()
    scene.run(300.0, worker)
    lost = [count for shot in scene.shots for _, count in shot.window.events_lost]
    received = sum(shot.window.events_received for shot in scene.shots)
    assert lost == [1]
    assert received > 60
    assert counted(scene.shoot()) == {"shop.pay": (0, 0)}


def test_tasks_of_others_that_send_events_are_none_that_are_silent_on_purpose() -> None:
    """Else a worker's own totals would excuse the loss of an event of ours."""
    scene = of_shop()
    worker = scene.worker().hello()
    scene.answer(WorkerAnswer("celery@one", processed=()))
    worker.beat()
    for number in range(5):
        worker.begin(f"m{number}", name="mail.send")
        worker.end(f"m{number}")
    worker.begin_unheard()
    worker.end_silently()
    totals = (("mail.send", 5), ("shop.pay", 1))
    scene.run(60.0, worker)
    worker.begin("s1", name="shop.pay")
    worker.end("s1")
    scene.answer(WorkerAnswer("celery@one", processed=totals))
    scene.run(300.0, worker)
    assert [count for shot in scene.shots for _, count in shot.window.events_lost] == [1]


def test_a_worker_that_runs_tasks_of_others_is_busy() -> None:
    """One without heartbeats is silent while its long task runs, whosever that is."""
    scene = of_shop(worker_forget_seconds=60.0)
    worker = scene.worker()
    worker.begin("m1", name="mail.send")
    scene.clock.advance(1_000.0)
    assert [status.hostname for status in scene.shoot().workers] == ["celery@one"]

    worker.end("m1")
    scene.clock.advance(1_000.0)
    assert scene.shoot().workers == ()


def test_only_our_tasks_are_running_orphaned_and_in_flight() -> None:
    """A worker that dies leaves those of others behind, too; they are theirs to tell of."""
    scene = of_shop()
    worker = scene.worker().hello()
    worker.begin("m1", "m2", name="mail.send")
    worker.begin("s1", name="shop.pay")
    snapshot = scene.shoot()
    live = scene.state.peek()
    assert [(of.name, of.count) for of in snapshot.running] == [("shop.pay", 1)]
    assert snapshot.tasks_in_flight == live.tasks_in_flight == live.running_count == 1

    scene.clock.advance(100.0)
    (loss,) = scene.shoot().losses
    assert [orphan.name for orphan in loss.orphans] == ["shop.pay"]


def test_thousands_of_names_of_others_take_no_place_from_ours() -> None:
    """They are followed as far as the bounds go, and fold nothing."""
    scene = of_shop(max_task_names=10, max_tasks_in_flight=100)
    worker = scene.worker().hello()
    for number in range(15_000):
        worker.begin(f"m{number}", name=f"mail.{number}")
        if number % 3:
            worker.end(f"m{number}")
    for number in range(9):
        worker.begin(f"s{number}", name=f"shop.{number}")
    snapshot = scene.shoot()
    assert [name for name, _ in snapshot.window.tasks] == [f"shop.{number}" for number in range(9)]
    assert (snapshot.window.names_folded, snapshot.window.tasks_forgotten) == (0, 0)
    assert snapshot.tasks_in_flight == 9


def test_a_task_without_a_name_belongs_where_unknown_does() -> None:
    """It was received before anybody listened, and no worker has told its name."""
    for globs, expected in (
        (("shop.*",), {}),
        (("shop.*", "unknown"), {"unknown": (0, 1)}),
        (("!mail.*",), {"unknown": (0, 1)}),
    ):
        scene = of_shop(only_tasks=globs)
        scene.state.observe([task("started", "u1"), task("succeeded", "u1")])
        assert counted(scene.shoot()) == expected


def test_names_that_workers_tell_decide_what_waited_for_them() -> None:
    """Tasks that run when the monitor starts are sorted as any others."""
    scene = of_shop(only_tasks=("!mail.*",))
    scene.state.await_names(10.0)
    scene.state.observe([task("succeeded", "s1"), task("succeeded", "m1")])
    scene.state.learn(
        [
            TaskInFlight("s1", "shop.pay", "celery@one", running_since=1.0),
            TaskInFlight("m1", "mail.send", "celery@one", running_since=1.0),
            TaskInFlight("m2", "mail.send", "celery@one", running_since=1.0),
        ]
    )
    scene.state.observe([task("succeeded", "m2")])
    snapshot = scene.shoot()
    assert counted(snapshot) == {"shop.pay": (0, 1)}
    assert snapshot.tasks_in_flight == 0


def test_a_checkpoint_keeps_the_tasks_of_others_apart() -> None:
    """After a restart their ends are no ends of unknown tasks."""
    options = {"only_tasks": ("!mail.*",), "durable_queue": "events", "state_dir": "unused"}
    before = Scene(**options)
    before.worker().hello().begin("m1", name="mail.send")
    before.worker().begin("s1", name="shop.pay")

    after = Scene(**options)
    after.state.learn(before.shoot().in_flight)
    after.state.observe([task("succeeded", "m1"), task("succeeded", "s1")])
    assert counted(after.shoot()) == {"shop.pay": (0, 1)}


def test_a_queue_that_is_not_known_belongs_if_it_does_whichever_it_is() -> None:
    """A worker that reads several queues of one service gets no tasks of another."""
    for queues, expected in ((("shop", "shop-low"), 1), (("shop", "mail"), 0)):
        scene = Scene(only_queues=("shop*",))
        scene.answer(WorkerAnswer("celery@one", queues=queues))
        scene.worker().begin("u1", name="pay")
        assert sum(of.received for _, of in scene.shoot().window.tasks) == expected


def test_a_task_that_goes_to_a_worker_of_others_is_theirs() -> None:
    """It was sent to a queue that both read; nothing of it stays in flight with us."""
    scene = Scene(only_workers=("one@*",))
    scene.state.observe([task("sent", "u1", on="gen@web", queue="both")])
    assert scene.shoot().tasks_in_flight == 1
    scene.state.observe([task(what, "u1", on="two@h") for what in ("received", "started")])
    snapshot = scene.shoot()
    assert (snapshot.tasks_in_flight, snapshot.running) == (0, ())
    scene.state.observe([task("succeeded", "u1", on="two@h"), beat("two@h")])
    assert sum(of.succeeded for _, of in scene.shoot().window.tasks) == 0


def test_a_task_that_ran_before_its_worker_said_what_it_reads_is_ours_from_then_on() -> None:
    """A monitor that starts learns of a long task before it knows whose the worker is."""
    scene = Scene(only_queues=("shop",))
    long_ago = scene.clock.wall() - 500.0
    scene.state.learn(
        [
            TaskInFlight("s1", "pay", "one@h", running_since=long_ago),
            TaskInFlight("m1", "pay", "two@h", running_since=long_ago),
        ]
    )
    assert scene.shoot().running == ()

    scene.answer(WorkerAnswer("one@h", queues=("shop",)), WorkerAnswer("two@h", queues=("mail",)))
    (running,) = scene.shoot().running
    assert (running.count, round(running.oldest_seconds)) == (1, 500)
    scene.state.observe([task("succeeded", "s1", on="one@h"), task("succeeded", "m1", on="two@h")])
    assert counted(scene.shoot()) == {"pay": (0, 1)}


def test_what_a_task_sent_has_told_of_the_queue_outweighs_what_workers_hold() -> None:
    """They say no queue, and this worker reads those of two services."""
    scene = Scene(only_queues=("shop",))
    scene.answer(WorkerAnswer("one@h", queues=("shop", "mail")))
    scene.state.observe([task("sent", "s1", on="gen@web", queue="shop", name="pay")])
    scene.state.observe([task("received", "s1", on="one@h", name="pay")])
    scene.state.learn([TaskInFlight("s1", "pay", "one@h")])
    scene.state.observe([task("succeeded", "s1", on="one@h")])
    assert counted(scene.shoot()) == {"pay": (1, 1)}


def test_the_routes_of_our_app_say_nothing_of_a_worker_that_has_not_answered() -> None:
    """Its default queue is that of every name it does not know, as those of other services."""
    scene = Scene(only_queues=("shop",))
    scene.state = State(
        Settings(only_queues=("shop",)), clock=scene.clock, route=lambda _name: "shop"
    )
    run = ("received", "started", "succeeded")
    scene.state.observe([task(what, "m1", on="mail@h", name="mail.send") for what in run])
    assert counted(scene.shoot()) == {}

    # Once the workers have answered, the routes choose among the queues that one reads
    scene.answer(
        WorkerAnswer("shop@h", queues=("shop", "mail")), WorkerAnswer("mail@h", queues=("mail",))
    )
    for worker in ("shop@h", "mail@h"):
        scene.state.observe([task(what, worker, on=worker, name="pay") for what in run])
    assert counted(scene.shoot()) == {"pay": (1, 1)}
