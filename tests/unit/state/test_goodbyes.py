"""Goodbyes: final until another process says hello; the tasks of a worker that leaves go on."""

from __future__ import annotations

import random

import pytest

from event_monitor.snapshot import OrphanedTask, WorkerLoss

from ...support.making import W1, W2
from .scene import Scene, Worker


def running(scene: Scene) -> int:
    return sum(tasks.count for tasks in scene.shoot().running)


@pytest.mark.parametrize("beats_on", [False, True])
def test_tasks_go_on_after_the_goodbye_until_they_end(beats_on: bool) -> None:
    """Prefork is silent meanwhile; gevent beats on, which does not revive it."""
    # Given a worker that says goodbye while two tasks run
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1", "u2")
    scene.run(10, worker)
    worker.goodbye()

    # Then they are named, once
    snapshot = scene.shoot()
    names = (OrphanedTask("u1", "job"), OrphanedTask("u2", "job"))
    assert snapshot.leaving == (WorkerLoss(W1, 0.0, names, said_goodbye=True),)
    assert scene.shoot().leaving == ()

    # And they run and drain for as long as they take
    scene.run(600, *([worker] if beats_on else []))
    snapshot = scene.shoot()
    assert (running(scene), snapshot.draining, snapshot.online) == (2, 2, ())
    assert snapshot.running[0].oldest_seconds > 600
    worker.end("u1")
    assert scene.shoot().draining == 1
    worker.end("u2")
    scene.run(4_000)
    assert scene.shoot().draining == 0
    assert (scene.deaths, scene.orphans, scene.vanished) == (0, [], 0)


def test_a_worker_killed_after_its_goodbye_leaves_orphans_at_the_limit() -> None:
    """SIGTERM, then SIGKILL: its tasks never end, and nobody says so."""
    scene = Scene(worker_drain_seconds=600)
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.goodbye()
    scene.run(599)
    assert (running(scene), scene.orphans) == (1, [])
    scene.run(2)
    assert running(scene) == 0
    assert (scene.deaths, scene.orphans) == (0, ["u1"])
    assert scene.shoot().tasks_in_flight == 0


def test_a_worker_is_not_forgotten_while_its_tasks_drain() -> None:
    """Whatever `worker_forget_seconds` says."""
    scene = Scene(worker_drain_seconds=7_200, worker_forget_seconds=60)
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.goodbye()
    scene.run(7_000)
    assert scene.shoot().draining == 1
    scene.run(400)
    scene.shoot()
    assert (scene.orphans, scene.shots[-1].workers) == (["u1"], ())


def test_a_goodbye_without_running_tasks_is_not_worth_a_word() -> None:
    """Most of them are."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.end("u1")
    worker.goodbye()
    assert scene.shoot().leaving == ()


@pytest.mark.parametrize("pid", [1, 2])
@pytest.mark.parametrize("seconds", [0.1, 3.0, 300.0])
def test_a_new_worker_under_the_name_of_one_that_drains_orphans_nothing(
    pid: int, seconds: float
) -> None:
    """A deploy: the new container comes while the old one finishes; both have pid 1."""
    # Given a worker that drains, and another that takes its name and works
    scene = Scene()
    old = scene.worker(pid=1).hello()
    old.begin("long")
    scene.run(10, old)
    old.goodbye()
    scene.clock.advance(seconds)
    new = scene.worker(pid=pid).hello()
    new.begin("short")

    # Then both run, and only the old one drains, though the new one is idle at times
    assert running(scene) == 2
    scene.run(10, new)
    new.end("short")
    scene.run(60, new)
    assert running(scene) == 1
    assert scene.shots[-1].draining == 1
    assert [status.processes for status in scene.shots[-1].online] == [1]

    # And the old one's task ends in its own time
    old.end("long")
    scene.run(4_000, new)
    assert running(scene) == 0
    assert (scene.deaths, scene.orphans, scene.vanished) == (0, [], 0)


def test_a_new_worker_that_dies_while_the_old_one_drains_takes_only_its_own() -> None:
    """Two processes, one name, two fates."""
    scene = Scene()
    old = scene.worker().hello()
    old.begin("long")
    old.goodbye()
    scene.clock.advance(5)
    new = scene.worker().hello()
    new.begin("short")
    scene.run(20, new)
    scene.run(61)
    assert running(scene) == 1
    assert (scene.deaths, scene.orphans) == (1, ["short"])
    old.end("long")
    assert running(scene) == 0


def test_a_goodbye_that_comes_after_the_hello_of_the_next_one_is_the_old_ones() -> None:
    """A rolling deploy starts the new one first."""
    scene = Scene()
    old = scene.worker().hello()
    old.begin("u1", "u2")
    old.end("u2")
    scene.run(10, old)
    new = scene.worker().hello()
    scene.run(2, old, new)
    old.goodbye()
    scene.run(120, new)
    status = scene.status()
    assert (status.state.value, status.processes) == ("online", 1)
    assert scene.shots[-1].draining == 1
    assert (scene.deaths, scene.orphans) == (0, [])


@pytest.mark.parametrize("count", [0, 5])
def test_a_stale_goodbye_before_the_hello_of_a_reconnect_is_no_goodbye(count: int) -> None:
    """Workers since 5.7 send it when they are connected again."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.processed = count
    scene.run(10, worker)
    worker.begin("u1")
    worker.goodbye()
    worker.hello()
    assert scene.shoot().leaving == ()
    scene.run(120, worker)
    status = scene.status()
    assert (status.state.value, status.processes) == ("online", 1)
    assert scene.shots[-1].draining == 0
    assert (scene.deaths, scene.orphans, running(scene)) == (0, [], 1)


def test_a_beat_with_another_pid_after_a_goodbye_is_a_new_process() -> None:
    """Its hello did not come."""
    scene = Scene()
    scene.worker(pid=7).hello().goodbye()
    scene.clock.advance(30)
    scene.run(10, scene.worker(pid=8))
    assert scene.status().state.value == "online"


def test_a_task_that_is_handed_over_is_no_orphan_of_the_one_that_left() -> None:
    """A soft shutdown gives its tasks back; another worker runs them."""
    scene = Scene(worker_drain_seconds=60)
    old, other = scene.worker().hello(), scene.worker(W2, pid=3).hello()
    old.begin("u1")
    old.goodbye()
    scene.clock.advance(1)
    other.begin("u1")
    scene.run(120, other)
    assert running(scene) == 1
    assert (scene.deaths, scene.orphans) == (0, [])


def test_a_cold_shutdown_is_known_by_the_worker_that_comes_next_and_runs_them_again() -> None:
    """Redelivered under its name: the first run is over, and its task is no orphan."""
    scene = Scene(worker_drain_seconds=60)
    old = scene.worker().hello()
    old.begin("u1")
    old.goodbye()
    scene.clock.advance(1)
    new = scene.worker().hello()
    new.begin("u1")
    scene.run(120, new)
    assert scene.shots[-1].draining == 0
    assert (running(scene), scene.orphans) == (1, [])


def test_events_that_wait_in_a_worker_while_it_drains_are_not_lost() -> None:
    """A pool of threads sends them when its last task has ended, long after the goodbye."""
    scene = Scene(probe_workers=False)
    worker = scene.worker().hello()
    worker.begin("long")
    scene.run(4, worker)
    worker.processed += 1
    worker.goodbye()
    worker.processed -= 1
    scene.run(40)
    assert scene.lost_events == 0
    worker._clock_off = -40.05
    worker.begin("short")
    worker.end("short", "long")
    scene.run(40)
    scene.shoot()
    assert (scene.lost_events, scene.orphans, scene.deaths) == (0, [], 0)


@pytest.mark.parametrize("lost", [0, 2])
def test_what_begins_after_the_first_goodbye_is_counted_by_the_last(lost: int) -> None:
    """Workers that send over SQS say it again once their pool has ended."""
    # Given a worker whose pool begins what it has taken after the goodbye
    scene = Scene(probe_workers=False)
    worker = scene.worker().hello()
    worker.begin("u1")
    scene.run(10, worker)
    worker.goodbye()
    worker.begin("u2", "u3")
    for _ in range(lost):
        worker.begin_unheard()
    worker.end_silently(lost)
    worker.end("u1", "u2", "u3")

    # When
    worker.goodbye(is_last=True)
    scene.run(70)
    scene.shoot()

    # Then
    assert scene.shots[-1].workers[0].processed == 3 + lost
    assert (scene.lost_events, scene.orphans, scene.deaths) == (lost, [], 0)
    assert sum(len(shot.leaving) for shot in scene.shots) == 1


@pytest.mark.parametrize("has_said_goodbye", [False, True])
def test_the_last_goodbye_of_one_is_not_that_of_its_namesake(has_said_goodbye: bool) -> None:
    """Containers of one name, with one pid; the next one has begun as many tasks by now."""
    # Given
    scene = Scene(probe_workers=False)
    old = scene.worker().hello()
    old.begin("u1")
    scene.run(10, old)
    if has_said_goodbye:
        old.goodbye()
    old.begin("u2")
    new = scene.worker().hello()
    new.begin("v1", "v2")
    new.end("v1", "v2")
    scene.run(10, new)

    # When
    old.end("u1", "u2")
    old.goodbye(is_last=True)
    scene.run(120, new)

    # Then
    assert len(scene.shots[-1].online) == 1
    assert scene.deaths == int(not has_said_goodbye)


def test_the_last_goodbye_is_one_though_the_first_never_came() -> None:
    """It was with another reader, or the sender's buffer was full: the pid tells whose it is."""
    # Given
    scene = Scene(probe_workers=False)
    worker = scene.worker(pid=4711).hello()
    worker.begin("u1")
    scene.run(10, worker)
    worker.end("u1")

    # When
    worker.goodbye(is_last=True)
    scene.run(200)
    scene.shoot()

    # Then
    assert (scene.deaths, scene.orphans, scene.lost_events) == (0, [], 0)
    assert sum(shot.online != () for shot in scene.shots[2:]) == 0


@pytest.mark.parametrize("pid", [1, 4711])
def test_who_is_known_by_its_tasks_only_leaves_with_its_last_goodbye(pid: int) -> None:
    """We came while it drained, after its first goodbye."""
    # Given
    scene = Scene(probe_workers=False)
    worker = scene.worker(pid=pid)
    worker.begin("u1")
    worker.end("u1")
    assert len(scene.shoot().online) == 1

    # When
    worker.goodbye(is_last=True)

    # Then
    assert scene.shoot().online == ()
    scene.run(200)
    assert scene.deaths == 0


@pytest.mark.parametrize("pid", [1, 4711])
def test_a_last_goodbye_that_the_only_process_cannot_have_said_is_anothers(pid: int) -> None:
    """It has begun more tasks; or it has pid 1, as the one before it."""
    scene = Scene(probe_workers=False)
    new = scene.worker(pid=pid).hello()
    new.begin("v1", "v2")
    scene.run(10, new)
    old = scene.worker(pid=pid)
    old.processed = 1 if pid > 1 else 2
    old.goodbye(is_last=True)
    scene.run(10, new)
    assert len(scene.shoot().online) == 1


def test_of_two_that_are_online_the_pid_says_which_one_leaves() -> None:
    """The first goodbye of the old one never came."""
    # Given
    scene = Scene(probe_workers=False)
    old = scene.worker(pid=11).hello()
    scene.run(10, old)
    new = scene.worker(pid=12).hello()
    scene.run(5, old, new)

    # When
    old.goodbye(is_last=True)
    scene.run(200, new)

    # Then
    assert scene.deaths == 0
    assert [worker.pid for worker in scene.shoot().online] == [12]


@pytest.mark.parametrize("seed", range(8))
def test_deploys_of_one_busy_container_are_no_deaths(seed: int) -> None:
    """Always pid 1: the count of the new process passes that of the old one, in great steps."""
    rng, scene = random.Random(seed), Scene()
    for deploy in range(4):
        worker = scene.worker().hello()

        def work(worker: Worker = worker, deploy: int = deploy) -> None:
            for _ in range(rng.randint(0, 4)):
                worker.begin(uuid := f"{deploy}-{worker.processed}")
                worker.end(uuid)

        scene.run(rng.randint(40, 200), worker, each_beat=work)
        status = scene.status()
        assert (status.processed, status.processes) == (worker.processed, 1)
        worker.goodbye()
        scene.run(rng.randint(3, 20))
    scene.run(120)
    scene.shoot()
    assert (scene.deaths, scene.orphans, scene.lost_events) == (0, [], 0)


@pytest.mark.parametrize("deploys", [2, 12])
def test_each_task_that_drains_counts_once(deploys: int) -> None:
    """Also where several processes of one name finish their work."""
    scene = Scene()
    for number in range(deploys):
        worker = scene.worker(pid=100 + number).hello()
        worker.begin(f"long{number}")
        scene.run(30, worker)
        worker.goodbye()
        scene.run(5)
    assert scene.shoot().draining == deploys


def test_the_task_of_one_that_left_is_not_that_of_two_that_run_nothing() -> None:
    """A twin said goodbye before it; then two others came under the name, and both are idle."""
    scene = Scene(worker_drain_seconds=120)
    first, twin = scene.worker(pid=10).hello(), scene.worker(pid=11).hello()
    scene.run(10, first, twin)
    twin.goodbye()
    scene.run(10, first)
    first.begin("u1")
    first.goodbye()  # and is killed

    both = scene.worker(pid=12).hello(), scene.worker(pid=13).hello()
    scene.run(110, *both)
    assert (scene.vanished, scene.orphans) == (0, [])
    scene.run(40, *both)
    assert (scene.vanished, scene.orphans, scene.deaths) == (0, ["u1"], 0)


def test_two_that_left_keep_their_tasks_though_two_others_run_nothing() -> None:
    """Each of them ran one, and both are killed after their goodbyes."""
    scene = Scene(worker_drain_seconds=120)
    old = scene.worker(pid=10).hello(), scene.worker(pid=11).hello()
    scene.run(20, *old)
    for number, worker in enumerate(old):
        worker.begin(f"u{number}")
        worker.goodbye()
    new = scene.worker(pid=12).hello(), scene.worker(pid=13).hello()
    scene.run(150, *new)

    assert (scene.vanished, sorted(scene.orphans), scene.deaths) == (0, ["u0", "u1"], 0)


@pytest.mark.parametrize("tasks", [0, 3])
@pytest.mark.parametrize("pid", [1, 2], ids=["pid 1 as in a container", "another pid"])
def test_a_goodbye_that_comes_after_the_next_ones_hello_is_the_former_ones(
    pid: int, tasks: int
) -> None:
    """Over SQS messages of two processes may overtake each other; a late heartbeat comes, too."""
    # Given a worker that was restarted, whose last words come late
    scene = Scene()
    former = scene.worker().hello()
    former.begin(*(f"u{number}" for number in range(tasks)))
    former.end(*(f"u{number}" for number in range(tasks)))
    scene.run(20, former)
    following = Worker(scene, pid=pid, clock_off=10.0).hello()

    # When
    former.beat()
    former.goodbye()
    scene.run(200, following)

    # Then
    assert [(one.hostname, one.processes) for one in scene.shoot().online] == [(W1, 1)]
    assert scene.deaths == 0


def test_a_goodbye_counts_after_a_clock_was_stepped_back() -> None:
    """By more than any message is late."""
    scene = Scene()
    Worker(scene, clock_off=3_600.0).hello()
    Worker(scene).goodbye()
    scene.run(200)
    assert (scene.shoot().online, scene.deaths) == ((), 0)
