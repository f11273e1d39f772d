"""Signs of life: heartbeats, task events, answers; and our own absence, which is no sign at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.snapshot import BrokerLink
from event_monitor.survey import WorkerAnswer

from ...support.making import W1, W2
from .scene import Scene

PREFORK = WorkerAnswer(W1, active=0, pool_processes=4)
SOLO = WorkerAnswer(W1, active=0, pool_processes=1)
OTHER = WorkerAnswer(W2, active=0, pool_processes=4)


def ask(scene: Scene, seconds: float, *answers: WorkerAnswer) -> None:
    """Let time pass in which the workers are asked every ten seconds, of which these answer."""
    for _ in range(int(seconds / 10)):
        scene.clock.advance(10)
        scene.answer(*answers)
        scene.shoot()


def test_a_running_task_keeps_its_worker_known_though_it_never_beats() -> None:
    """--without-heartbeat, asked by nobody: a task of two hours."""
    scene = Scene()
    worker = scene.worker()
    worker.reply()
    worker.begin("long")
    scene.run(7_000)
    status = scene.status()
    assert (status.state.value, status.sends_heartbeats) == ("online", False)
    assert (scene.deaths, scene.orphans) == (0, [])
    worker.end("long")
    scene.run(3_700)
    assert scene.shoot().workers == ()


def test_a_worker_that_beat_and_fell_silent_is_lost_with_its_task() -> None:
    """Running is no sign of life of one whose heartbeats are missing."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1")
    scene.run(61)
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["u1"])


def test_a_look_tells_between_two_shots_who_is_silent_beyond_its_grace() -> None:
    """It judges nobody: that is for the shot, which finds the same."""
    scene = Scene()
    scene.worker().hello()
    scene.clock.advance(60)
    assert scene.state.peek().silent == ()  # the grace, and not longer
    scene.clock.advance(1)
    assert scene.state.peek().silent == ((W1, 61.0),)
    assert scene.deaths == 0
    scene.shoot()
    assert scene.deaths == 1
    assert scene.state.peek().silent == ()  # it is lost now


def test_a_look_names_some_of_very_many_that_are_silent() -> None:
    """It holds the lock as long as few take."""
    scene = Scene()
    for number in range(120):
        scene.worker(f"w{number}@h", pid=number).hello()
    scene.clock.advance(61)
    assert len(scene.state.peek().silent) == 50


def test_our_own_absence_makes_nobody_silent_in_a_look() -> None:
    """As in a shot."""
    scene = Scene()
    scene.worker().hello()
    scene.state.change_link(BrokerLink.AWAY)
    scene.clock.advance(600)
    assert scene.state.peek().silent == ()
    scene.state.change_link(BrokerLink.LISTENING)
    scene.clock.advance(59)
    assert scene.state.peek().silent == ()


def test_a_worker_without_heartbeats_is_online_while_it_answers() -> None:
    """It is never forgotten, however idle it is."""
    scene = Scene()
    ask(scene, 8_000, PREFORK)
    status = scene.status()
    assert (status.state.value, status.sends_heartbeats) == ("online", False)


def test_a_worker_without_heartbeats_is_lost_when_its_answers_stop() -> None:
    """After the grace, once, with its tasks."""
    scene = Scene()
    ask(scene, 100, PREFORK, OTHER)
    scene.worker().begin("u1")
    ask(scene, 60, OTHER)
    assert scene.deaths == 0
    ask(scene, 600, OTHER)
    assert (scene.deaths, scene.orphans) == (1, ["u1"])
    assert [worker.hostname for worker in scene.shots[-1].online] == [W2]

    # When it answers again, it is there again
    ask(scene, 10, PREFORK, OTHER)
    assert len(scene.shots[-1].online) == 2


def test_a_solo_pool_does_not_answer_while_its_task_runs() -> None:
    """Not even its events come: it is given as long as a task may drain."""
    scene = Scene()
    ask(scene, 100, SOLO, OTHER)
    worker = scene.worker()
    ask(scene, 3_000, OTHER)
    worker.begin("long")
    ask(scene, 3_700, OTHER)
    assert len(scene.shots[-1].online) == 2
    worker.end("long")
    ask(scene, 3_500, OTHER)
    assert (scene.deaths, scene.orphans, len(scene.shots[-1].online)) == (0, [], 2)
    ask(scene, 200, OTHER)
    assert scene.deaths == 1


def test_a_solo_pool_is_given_the_grace_when_another_takes_its_name() -> None:
    """It is silent while its task runs."""
    scene = Scene()
    ask(scene, 10, replace(SOLO, is_solo=True))
    solo = scene.worker(pid=7).hello()
    solo.begin("long")
    scene.clock.advance(1)
    other = scene.worker(pid=8).hello()
    scene.run(40, other)
    solo.end("long")
    scene.run(60, solo, other)
    assert (scene.deaths, scene.orphans) == (0, [])


def test_a_pool_of_one_process_is_judged_once_it_is_known_not_to_be_solo() -> None:
    """Its answer names the pool."""
    scene = Scene()
    ask(scene, 100, replace(SOLO, is_solo=False), OTHER)
    scene.worker().begin("u1")
    ask(scene, 100, OTHER)
    assert (scene.deaths, scene.orphans) == (1, ["u1"])


def test_a_single_missed_answer_is_no_death() -> None:
    """Asked once a minute, which is as long as the grace."""
    scene = Scene()
    scene.answer(PREFORK, OTHER)
    for seconds, answers in ((60, (OTHER,)), (60, (PREFORK, OTHER)), (60, (OTHER,))):
        scene.clock.advance(seconds)
        scene.shoot()
        scene.answer(*answers)
        scene.shoot()
    assert scene.deaths == 0


def test_nobody_without_heartbeats_is_judged_when_nobody_is_asked() -> None:
    """`probe_workers` is off, and an old answer proves nothing."""
    scene = Scene(probe_workers=False)
    ask(scene, 100, PREFORK)
    ask(scene, 600)
    assert scene.deaths == 0


def test_when_none_of_those_that_are_well_answers_it_is_the_question_that_is_lost() -> None:
    """A broken control channel kills nobody."""
    scene = Scene()
    other = scene.worker(W2).hello()
    ask(scene, 10, PREFORK, OTHER)
    for _ in range(60):
        scene.run(10, other)
        scene.answer()
        scene.shoot()
    assert scene.deaths == 0


def test_the_same_answers_given_again_are_no_second_question() -> None:
    """A shot takes the last ones, which may be old."""
    scene = Scene()
    scene.answer(PREFORK, OTHER)
    scene.clock.advance(10)
    scene.answer(OTHER)
    for age in range(100):
        scene.state.note_answers((OTHER,), age_seconds=float(age))
        scene.clock.advance(1)
        scene.shoot()
    assert scene.deaths == 0


def test_an_answer_keeps_a_worker_that_beats_alive() -> None:
    """Evidence is anything that it could not do dead."""
    scene = Scene()
    scene.worker().hello()
    ask(scene, 600, PREFORK)
    assert scene.deaths == 0
    ask(scene, 70)
    assert scene.deaths == 1


def test_an_answer_that_is_older_than_its_goodbye_does_not_revive_a_worker() -> None:
    """Neither does any other: only a hello."""
    scene = Scene()
    scene.worker().hello().goodbye()
    ask(scene, 10, PREFORK)
    assert scene.status().state.value == "offline"


# -- our own absence -----------------------------------------------------------------------------


def listen(scene: Scene, seconds: float) -> None:
    """Let time pass in which the receiver reads, and nothing comes."""
    for _ in range(int(seconds * 2)):
        scene.clock.advance(0.5)
        scene.state.note_reading()


@pytest.mark.parametrize("reads_first", [False, True])
def test_a_monitor_that_was_stopped_judges_nobody_by_that_time(reads_first: bool) -> None:
    """SIGSTOP for 75 s: what waits is read first, and the grace begins anew."""
    # Given eighty workers
    scene = Scene()
    workers = [scene.worker(f"w{number}@h").hello() for number in range(80)]
    workers[0].begin("u1")
    listen(scene, 2)

    # When the monitor does not run for 75 s, and its camera wakes before its receiver, or after it
    scene.clock.advance(75)
    if reads_first:
        scene.state.note_reading()
    scene.shoot()
    for worker in workers[1:]:
        worker.beat()
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (0, [])

    # Then only one that stays silent is lost
    for _ in range(14):
        listen(scene, 5)
        for worker in workers[1:]:
            worker.beat()
        scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["u1"])


def test_who_was_absent_at_a_shot_judges_again_after_the_next_read() -> None:
    """Whichever thread comes first."""
    scene = Scene()
    scene.worker().hello()
    scene.state.note_reading()
    scene.clock.advance(100)
    scene.shoot()
    assert scene.deaths == 0
    listen(scene, 59)
    scene.shoot()
    assert scene.deaths == 0
    listen(scene, 3)
    scene.shoot()
    assert scene.deaths == 1


def test_while_the_broker_blocks_all_who_publish_nobody_is_judged() -> None:
    """And the grace begins anew when events come again."""
    scene = Scene()
    worker = scene.worker().hello()
    scene.state.note_blocked(True)
    listen(scene, 200)
    scene.shoot()
    scene.state.note_blocked(False)
    listen(scene, 50)
    scene.shoot()
    assert scene.deaths == 0
    worker.beat()
    listen(scene, 62)
    scene.shoot()
    assert scene.deaths == 1


def test_a_stop_within_a_read_is_an_absence_too() -> None:
    """What the read returns is counted before the next one: it must not be judged by the stop."""
    scene = Scene()
    first, twin = scene.worker(pid=7).hello(), scene.worker(pid=8).hello()
    scene.run(20, first, twin)
    scene.state.note_reading()
    scene.clock.advance(75)
    first.beat()
    scene.shoot()
    twin.beat()
    scene.run(30, first, twin)
    scene.shoot()
    assert scene.deaths == 0


def test_a_pause_of_ours_shorter_than_that_changes_nothing() -> None:
    """A busy machine lets everybody wait; a worker silent past its grace is lost."""
    scene = Scene()
    scene.worker().hello()
    listen(scene, 55)
    scene.clock.advance(6)
    scene.state.note_reading()
    scene.shoot()
    assert scene.deaths == 1


def test_a_quiet_system_is_judged() -> None:
    """No event at all comes, for all the workers are dead: we run, and read nothing."""
    scene = Scene()
    workers = [scene.worker(f"w{number}@h").hello() for number in range(5)]
    listen(scene, 62)
    scene.shoot()
    assert scene.deaths == len(workers)


def test_a_state_that_is_told_nothing_of_us_judges_by_the_clock_alone() -> None:
    """Celery's own receiver feeds it: nobody calls ``alive``."""
    scene = Scene()
    scene.worker().hello()
    scene.clock.advance(61)
    scene.shoot()
    assert scene.deaths == 1


def test_a_restart_during_our_absence_is_judged_by_what_comes_after_it() -> None:
    """The hello of the new process waits in the socket; so may the beats of the old one."""
    scene = Scene()
    old = scene.worker(pid=7).hello()
    old.begin("u1")
    listen(scene, 10)
    scene.clock.advance(60)
    new = scene.worker(pid=8).hello()
    scene.shoot()
    assert scene.deaths == 0
    listen(scene, 2)
    new.beat()
    listen(scene, 4)
    new.beat()
    scene.shoot()
    assert (scene.deaths, scene.orphans) == (1, ["u1"])


def test_a_drain_is_not_judged_by_the_time_we_were_away() -> None:
    """The ending may have been sent meanwhile."""
    scene = Scene(worker_drain_seconds=600)
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.goodbye()
    scene.run(10)
    scene.state.change_link(BrokerLink.AWAY)
    scene.run(3_000)
    scene.state.change_link(BrokerLink.LISTENING)
    scene.run(590)
    scene.shoot()
    assert scene.orphans == []
    scene.run(20)
    scene.shoot()
    assert scene.orphans == ["u1"]


def test_beats_missed_while_we_were_away_are_not_the_workers_silence() -> None:
    """They do not make it a worker whose beats pause, which would be judged later."""
    scene = Scene()
    worker = scene.worker(pid=7).hello()
    scene.run(10, worker)
    scene.state.change_link(BrokerLink.AWAY)
    scene.run(30)
    scene.state.change_link(BrokerLink.LISTENING)
    scene.run(10, worker)
    scene.worker(pid=8).hello()
    scene.clock.advance(5)
    scene.shoot()
    assert scene.deaths == 1
