"""Shared names: several live processes under one nodename are no death, whatever they send."""

from __future__ import annotations

import random

import pytest

from .scene import Scene, Worker


def assert_nothing_wrong(scene: Scene) -> None:
    scene.shoot()
    assert (scene.deaths, scene.orphans, scene.lost_events) == (0, [], 0)


@pytest.mark.parametrize("pids", [(1, 1), (7, 8), (1, 1, 1), (7, 8, 9), (7, 8, 7)])
@pytest.mark.parametrize("offsets", [(0.0, 1.0, 1.5), (0.0, 0.001, 0.002), (0.0, 0.3, 1.9)])
def test_replicas_under_one_name_are_all_alive(
    pids: tuple[int, ...], offsets: tuple[float, ...]
) -> None:
    """Containers all have pid 1; there their counts and the rhythm of their beats differ."""
    # Given replicas that have run different numbers of tasks
    scene = Scene()
    workers = [scene.worker(pid=pid) for pid in pids]
    for place, worker in enumerate(workers):
        worker.processed = 100 * place

    # When they run tasks for two minutes
    rng, ids = random.Random(1), iter(range(10_000))

    def work() -> None:
        worker = rng.choice(workers)
        worker.begin(uuid := f"u{next(ids)}")
        worker.end(uuid)

    scene.run(120, *workers, offsets=offsets, each_beat=work)

    # Then nothing is wrong, and all of them are seen
    assert_nothing_wrong(scene)
    status = scene.status()
    assert (status.processes, status.is_shared) == (len(pids), True)


def test_idle_replicas_with_the_same_pid_and_count_are_told_apart_by_their_rhythm() -> None:
    """No process beats faster than its ``freq``."""
    scene = Scene()
    workers = [scene.worker().hello() for _ in range(3)]
    scene.clock.advance(2)
    scene.run(90, *workers)
    assert_nothing_wrong(scene)
    assert scene.status().processes == 3


@pytest.mark.parametrize("clock_off", [-30.0, 30.0])
@pytest.mark.parametrize("count", [0, 50])
def test_replicas_on_machines_whose_clocks_differ_are_no_deaths(
    clock_off: float, count: int
) -> None:
    """Whose clock is ahead says nothing about who lives."""
    scene = Scene()
    first, second = scene.worker(), scene.worker(clock_off=clock_off)
    second.processed = count
    scene.run(120, first, second)
    assert_nothing_wrong(scene)
    assert scene.status().is_shared


@pytest.mark.parametrize("pid", [1, 2])
def test_a_replica_that_comes_up_beside_a_busy_one_kills_nobody(pid: int) -> None:
    """Its hello looks like the one after a restart, until the other beats on."""
    scene = Scene()
    first = scene.worker(pid=1).hello()
    first.begin("long")
    scene.run(20, first)
    second = scene.worker(pid=pid).hello()
    second.begin("other")
    scene.run(120, first, second)
    assert_nothing_wrong(scene)
    assert sum(running.count for running in scene.shots[-1].running) == 2


@pytest.mark.parametrize("pid", [1, 2])
def test_one_of_two_that_stops_cleanly_leaves_the_other_alone(pid: int) -> None:
    """A goodbye is that of the process whose count it carries."""
    scene = Scene()
    first, second = scene.worker(pid=1).hello(), scene.worker(pid=pid)
    first.processed = 40
    second.hello()
    scene.run(60, first, second)
    first.goodbye()
    scene.run(300, second)
    assert_nothing_wrong(scene)
    status = scene.status()
    assert (status.state.value, status.processes, status.is_shared) == ("online", 1, False)


def test_one_of_two_with_its_own_pid_that_dies_is_lost_with_its_tasks_only() -> None:
    """It had beaten regularly and went silent past the grace, while the other goes on."""
    scene = Scene()
    first, second = scene.worker(pid=7).hello(), scene.worker(pid=8).hello()
    scene.run(60, first, second)
    first.begin("mine")
    second.begin("its")
    scene.run(30, first, second)
    scene.run(120, second)
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["mine"])


@pytest.mark.parametrize("beats", [2.0, 5.0, 11.0])
def test_a_twin_that_dies_young_is_lost_and_so_is_the_next(beats: float) -> None:
    """A pid of its own and a hello are evidence enough; how long it lived is not asked."""
    scene = Scene()
    first = scene.worker(pid=10).hello()
    first.processed = 21
    scene.run(20, first)
    for number, pid in enumerate((20, 30)):
        twin = scene.worker(pid=pid).hello()
        first.begin(f"long{number}")
        scene.run(beats, first, twin)
        twin.begin(f"its{number}")
        scene.clock.advance(0.1)
        scene.run(100, first)
        first.end(f"long{number}")
    scene.shoot()
    assert (scene.deaths, scene.orphans, scene.lost_events) == (2, ["its0", "its1"], 0)
    assert scene.status().processes == 1


def test_a_living_process_is_not_forgotten_for_those_that_die_beside_it() -> None:
    """So many under one name are remembered, and the dead make room first."""
    scene = Scene()
    living = scene.worker(pid=1_000).hello()
    living.begin("mine")
    scene.run(10, living)
    for number in range(20):
        crashing = scene.worker(pid=100 + number).hello()
        scene.run(20, living, crashing)
        scene.run(80, living)
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (20, [])
    assert [one.pid for one in scene.shoot().online] == [1_000]


@pytest.mark.parametrize("goodbye", [False, True])
def test_a_process_with_its_own_pid_counts_its_own_tasks(goodbye: bool) -> None:
    """Also those whose events come after its goodbye, or after another's hello."""
    scene = Scene(probe_workers=False)
    first, second = scene.worker(pid=7), scene.worker(pid=8)
    first.processed = 21
    first.hello()
    second.hello()
    for number in range(20):
        for worker in (first, second):
            worker.begin(uuid := f"u{number}-{worker.processed}")
            worker.end(uuid)
        second.begin_unheard()
        second.end_silently()
        scene.run(3, first, second)
    if goodbye:
        second.processed += 1
        second.goodbye()
        second._clock_off = -0.05  # it was sent before, in a batch
        second.begin("last")
        second.end("last")
    scene.run(60, *((first,) if goodbye else (first, second)))
    scene.shoot()
    assert (scene.deaths, scene.lost_events) == (0, 20)


def test_one_of_two_with_one_pid_that_falls_silent_is_not_judged() -> None:
    """Nobody can tell who it was: when in doubt there is no alarm."""
    scene = Scene()
    first, second = scene.worker(), scene.worker()
    first.processed = 40
    scene.run(60, first, second)
    scene.run(300, second)
    assert_nothing_wrong(scene)
    assert scene.status().processes == 1


def test_replicas_that_all_fall_silent_are_all_lost() -> None:
    """A dead host is a dead host."""
    scene = Scene()
    first, second = scene.worker(), scene.worker()
    first.processed = 40
    scene.run(60, first, second)
    scene.run(120)
    scene.shoot()
    assert scene.deaths == 2
    assert scene.shots[-1].online == ()


def test_a_name_that_is_not_shared_any_more_is_judged_again() -> None:
    """The others went away; what is left is one worker like any other."""
    scene = Scene()
    first, second = scene.worker(pid=7).hello(), scene.worker(pid=8).hello()
    scene.run(60, first, second)
    second.goodbye()
    scene.run(200, first)
    first.begin("mine")
    scene.run(90)
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["mine"])


def test_a_heartbeat_delivered_late_is_no_second_worker() -> None:
    """It says less than was said since; the next ones go on where it was."""
    scene = Scene()
    worker, old = scene.worker().hello(), scene.worker(clock_off=-10.0)
    worker.begin("u1", "u2")
    scene.run(20, worker)
    old.processed = 1
    old.beat()
    scene.run(120, worker)
    assert_nothing_wrong(scene)
    status = scene.status()
    assert (status.processes, status.is_shared) == (1, False)


@pytest.mark.parametrize("step", [-3_600.0, 3_600.0])
def test_a_clock_that_is_stepped_is_no_second_worker_and_no_death(step: float) -> None:
    """The process goes on counting; only its timestamps jump."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1")
    scene.run(20, worker)
    worker._clock_off = step
    scene.run(120, worker)
    assert_nothing_wrong(scene)
    assert scene.status().processes == 1


def restart(scene: Scene, worker: Worker, *, pid: int) -> Worker:
    del worker
    return scene.worker(pid=pid).hello()


@pytest.mark.parametrize("pid", [1, 2])
@pytest.mark.parametrize("life", [0.5, 3.0, 5.0, 20.0])
@pytest.mark.parametrize("uuid", ["poison", None])
def test_a_crash_loop_counts_each_death_with_its_task(
    pid: int, life: float, uuid: str | None
) -> None:
    """It dies within a heartbeat of starting its task and comes back, four times."""
    # Given a worker that begins a task and is killed, four times, and then stays up
    scene = Scene()
    worker = scene.worker(pid=1).hello()
    for number in range(4):
        worker.begin(uuid or f"u{number}")
        scene.clock.advance(life)
        worker = restart(scene, worker, pid=1 if pid == 1 else 10 + number)

    # When it is certain that none of the old ones beats any more
    scene.run(10, worker)
    scene.shoot()

    # Then each death is counted, and each of its tasks
    assert (scene.deaths, len(scene.orphans)) == (4, 4)
    assert scene.status().processes == 1


def test_a_restart_whose_hello_did_not_come_is_told_by_the_next_beats() -> None:
    """The count fell for good: two heartbeats say it, one would be a suspicion."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1", "u2")
    scene.run(20, worker)
    scene.clock.advance(6)
    again = scene.worker()
    again.beat()
    assert scene.shoot().losses == ()
    scene.clock.advance(2)
    again.beat()
    scene.clock.advance(6)
    again.beat()
    scene.shoot()
    assert (scene.deaths, sorted(scene.orphans)) == (1, ["u1", "u2"])


def test_a_task_that_ends_after_the_hello_of_the_next_process_is_no_orphan() -> None:
    """Its event was on its way."""
    scene = Scene()
    worker = scene.worker(pid=7).hello()
    worker.begin("u1", "u2")
    scene.clock.advance(1)
    scene.worker(pid=8).hello()
    worker.end("u1")
    scene.clock.advance(6)
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["u2"])


def test_a_worker_whose_beats_paused_before_is_given_the_whole_grace() -> None:
    """A solo pool is silent while a task runs: another hello is no proof that it is dead."""
    # Given a solo worker that has run a long task before
    scene = Scene()
    solo = scene.worker(pid=7).hello()
    scene.run(10, solo)
    scene.run(14)
    scene.run(10, solo)

    # When another comes up under its name while it runs the next
    solo.begin("long")
    scene.clock.advance(1)
    other = scene.worker(pid=8).hello()
    scene.run(30, other)
    solo.end("long")
    scene.run(60, solo, other)

    # Then nobody is called dead
    assert_nothing_wrong(scene)


@pytest.mark.parametrize("pause", [0.1, 0.5, 1.0])
def test_events_lost_of_a_worker_that_beats_too_fast_are_counted(pause: float) -> None:
    """As long as one process could send all its heartbeats, its count is one count."""
    scene = Scene(probe_workers=False)
    worker = scene.worker().hello()
    for number in range(20):
        worker.begin(f"u{number}")
        worker.end(f"u{number}")
        worker.begin_unheard()
        worker.end_silently()
        scene.clock.advance(pause)
        worker.beat()
    scene.run(30, worker)
    scene.shoot()
    assert scene.lost_events == 20


@pytest.mark.parametrize("says_goodbye", [False, True])
@pytest.mark.parametrize("pid", [1, 2])
def test_no_event_is_lost_by_a_restart(says_goodbye: bool, pid: int) -> None:
    """Each process counts from nothing; what the old one began is not missing from the new one."""
    scene = Scene(probe_workers=False)
    worker = scene.worker(pid=1).hello()
    for number in range(5):
        worker.begin(uuid := f"a{number}")
        worker.end(uuid)
        scene.run(4, worker)
    if says_goodbye:
        worker.goodbye()
    scene.clock.advance(1)
    again = scene.worker(pid=pid).hello()
    for number in range(5):
        again.begin(uuid := f"b{number}")
        again.end(uuid)
        scene.run(4, again)
    again.begin_unheard()
    again.end_silently()
    scene.run(60, again)
    scene.shoot()
    assert scene.lost_events == 1
    assert scene.deaths == int(not says_goodbye)
