"""Verdicts: nobody is called dead or orphaned without evidence, and nobody dies unseen.

Sequences of events as real systems send them, on a clock that stands still until told.
"""

from __future__ import annotations

from typing import Any

import pytest

from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink, Snapshot
from event_monitor.state import Exposure, State
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock


class Cluster:
    """Workers that send events to a state; time passes when told."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.state = State(Settings(**settings), clock=self.clock)
        self.deaths = self.orphans = self.events_lost = 0

    def event(self, type_: str, host: str = "w@h", pid: int = 1, **fields: Any) -> None:
        at = {"timestamp": self.clock.wall(), "utcoffset": 0, "clock": 1}
        self.state.event({"type": type_, "hostname": host, "pid": pid, **at, **fields})

    def beat(self, processed: int, type_: str = "worker-heartbeat", **fields: Any) -> None:
        self.event(
            type_,
            processed=processed,
            active=fields.pop("active", 0),
            freq=2.0,
            loadavg=[0, 0, 0],
            **fields,
        )

    def start(self, uuid: str, **fields: Any) -> None:
        self.event("task-received", uuid=uuid, name="job", **fields)
        self.event("task-started", uuid=uuid, **fields)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def shoot(self) -> Snapshot:
        exposure: Exposure = self.state.freeze_while(self.state.expose)
        snapshot = exposure.develop()
        self.deaths += sum(not loss.said_goodbye for loss in snapshot.losses)
        self.orphans += sum(len(loss.orphans) for loss in snapshot.losses)
        self.events_lost += sum(count for _, count in snapshot.window.events_lost)
        return snapshot


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


# -- one name, several processes -------------------------------------------------------------------


@pytest.mark.parametrize("pids", [(1, 1), (7, 8)], ids=["containers", "one host"])
@pytest.mark.parametrize("shots", [1, 7, 1_000], ids=["a shot each beat", "some", "one shot"])
def test_two_live_workers_with_one_name_are_no_deaths(
    cluster: Cluster, pids: tuple[int, int], shots: int
) -> None:
    """Whatever they count, and wherever the shots fall."""
    for n in range(60):
        cluster.beat(100 + n, pid=pids[0])
        cluster.start(f"a{n}", pid=pids[0])
        cluster.wait(1)
        cluster.beat(3 + n, pid=pids[1])
        cluster.wait(1)
        cluster.event("task-succeeded", uuid=f"a{n}", pid=pids[0], runtime=1.0)
        if n % shots == 0:
            cluster.shoot()
    cluster.wait(10)
    snapshot = cluster.shoot()
    assert (cluster.deaths, cluster.orphans, cluster.events_lost) == (0, 0, 0)
    assert [worker.is_shared for worker in snapshot.online] == [True]
    assert snapshot.online[0].processes == 2


def test_three_replicas_are_no_deaths_and_are_counted(cluster: Cluster) -> None:
    """Fixed -n in a deployment of three."""
    for pid in (11, 12, 13):
        cluster.beat(0, "worker-online", pid=pid)
        cluster.wait(0.3)
    for n in range(30):
        for pid in (11, 12, 13):
            cluster.beat(n * pid, pid=pid)
            cluster.wait(0.7)
    snapshot = cluster.shoot()
    assert (cluster.deaths, cluster.orphans) == (0, 0)
    assert snapshot.online[0].processes == 3


def test_a_task_of_a_worker_that_only_seemed_to_be_replaced_goes_on(cluster: Cluster) -> None:
    """It runs, is counted as running, and its ending counts once."""
    cluster.beat(5, pid=7)
    cluster.start("t", pid=7)
    cluster.wait(1)
    cluster.beat(0, "worker-online", pid=8)
    cluster.wait(1)
    cluster.beat(6, pid=7, active=1)
    running = cluster.shoot()
    assert [(task.name, task.count) for task in running.running] == [("job", 1)]
    cluster.event("task-succeeded", uuid="t", pid=7, runtime=2.0)
    done = cluster.shoot()
    assert dict(done.window.tasks)["job"].succeeded == 1
    assert (cluster.deaths, cluster.orphans) == (0, 0)


# -- restarts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [False, True], ids=["one shot", "a shot each life"])
def test_a_crash_loop_faster_than_a_heartbeat_is_a_death_each_time(
    cluster: Cluster, between: bool
) -> None:
    """The same name, the same pid, and a count of 0 again after a task was seen to start."""
    for _ in range(4):
        cluster.beat(0, "worker-online")
        cluster.wait(0.3)
        cluster.start("poison")
        cluster.wait(5)
        if between:
            cluster.shoot()
    cluster.beat(0, "worker-online")
    cluster.shoot()
    cluster.wait(10)
    cluster.beat(0)
    cluster.shoot()
    assert (cluster.deaths, cluster.orphans) == (4, 4)


@pytest.mark.parametrize("pid", [1, 2], ids=["container", "host"])
def test_a_restart_at_once_is_a_death_when_the_old_process_stays_silent(
    cluster: Cluster, pid: int
) -> None:
    """Killed right after a heartbeat and back within a second: decided when it stays away."""
    cluster.beat(9, active=1)
    cluster.start("t")
    cluster.wait(0.5)
    cluster.beat(0, "worker-online", pid=pid)
    cluster.shoot()
    assert cluster.deaths == 0
    for _ in range(4):
        cluster.wait(2)
        cluster.beat(0, pid=pid)
    cluster.shoot()
    assert (cluster.deaths, cluster.orphans) == (1, 1)


def test_a_reconnect_is_no_restart(cluster: Cluster) -> None:
    """A worker says hello again, with the count it had; a goodbye may come just before."""
    cluster.beat(9)
    cluster.start("t")
    cluster.wait(1)
    cluster.beat(10, "worker-online", active=1)
    cluster.beat(10, "worker-offline", active=1)
    cluster.beat(10, "worker-online", active=1)
    cluster.wait(5_000)
    cluster.beat(10, active=1)
    snapshot = cluster.shoot()
    assert (cluster.deaths, cluster.orphans, snapshot.draining) == (0, 0, 0)
    assert snapshot.running[0].count == 1


# -- goodbyes --------------------------------------------------------------------------------------


def test_a_clean_stop_with_heartbeats_after_the_goodbye_is_no_death(cluster: Cluster) -> None:
    """gevent and eventlet go on beating until the last task has ended."""
    cluster.beat(1, active=1)
    cluster.wait(2)
    cluster.beat(1, "worker-offline", active=1)
    for _ in range(3):
        cluster.wait(2)
        cluster.beat(1, active=1)
    cluster.wait(120)
    snapshot = cluster.shoot()
    assert cluster.deaths == 0
    assert [worker.state.value for worker in snapshot.workers] == ["offline"]


def test_tasks_drain_after_a_goodbye_until_they_end(cluster: Cluster) -> None:
    """A warm shutdown with a long task, and a new process under the same name meanwhile."""
    cluster.beat(0, "worker-online")
    cluster.start("long")
    cluster.wait(2)
    cluster.beat(1, "worker-offline", active=1)
    (leaving,) = cluster.shoot().leaving
    assert [orphan.uuid for orphan in leaving.orphans] == ["long"]
    cluster.wait(3)
    cluster.beat(0, "worker-online")
    cluster.start("new")
    cluster.wait(600)
    cluster.beat(1, active=1)
    draining = cluster.shoot()
    assert (draining.draining, draining.running[0].count) == (1, 2)
    assert draining.running[0].oldest_seconds == 605.0

    cluster.event("task-succeeded", uuid="long", runtime=605.0)
    ended = cluster.shoot()
    assert dict(ended.window.tasks)["job"].succeeded == 1
    assert (ended.draining, ended.running[0].count) == (0, 1)
    assert (cluster.deaths, cluster.orphans) == (0, 0)


def test_a_task_retried_elsewhere_before_its_end_is_heard_is_not_draining(
    cluster: Cluster,
) -> None:
    """Task events are buffered: the next run may begin before the retry is told."""
    # Given a worker that says goodbye
    cluster.beat(0, "worker-online")
    cluster.start("again")
    cluster.event("task-received", uuid="held", name="job", host="w@other", pid=2)
    cluster.beat(1, "worker-offline", active=1)
    assert cluster.shoot().draining == 1

    # When the next run comes first
    cluster.start("again", host="w@other", pid=2)
    cluster.event("task-retried", uuid="again")
    cluster.event("task-succeeded", uuid="again", host="w@other", pid=2)

    # Then
    assert cluster.shoot().draining == 0
    cluster.wait(1_000)
    cluster.shoot()
    assert cluster.orphans == 0


def test_a_shared_name_is_one_worker_once_the_other_has_said_goodbye(cluster: Cluster) -> None:
    """And it is judged again by its silence when nothing was heard of the other for a while."""
    # Given
    for _ in range(3):
        for pid in (1, 2):
            cluster.beat(0, pid=pid)
        cluster.wait(2)
    assert [(w.is_shared, w.processes) for w in cluster.shoot().workers] == [(True, 2)]

    # When
    cluster.beat(0, "worker-offline", pid=2)

    # Then
    cluster.beat(0, pid=1)
    assert [worker.processes for worker in cluster.shoot().workers] == [1]
    for _ in range(350):
        cluster.wait(2)
        cluster.beat(0, pid=1)
    assert [worker.is_shared for worker in cluster.shoot().workers] == [False]


def test_a_kill_after_the_goodbye_orphans_its_tasks_at_the_limit() -> None:
    """Once, and it is no lost worker."""
    cluster = Cluster(worker_drain_seconds=30.0)
    cluster.beat(0, "worker-online")
    cluster.start("long")
    cluster.beat(1, "worker-offline", active=1)
    cluster.wait(29)
    cluster.shoot()
    assert cluster.orphans == 0
    cluster.wait(2)
    cluster.shoot()
    cluster.shoot()
    assert (cluster.deaths, cluster.orphans) == (0, 1)


# -- without heartbeats ----------------------------------------------------------------------------


def test_a_worker_without_heartbeats_is_known_while_its_task_runs(cluster: Cluster) -> None:
    """It answered the monitor's broadcast once, and runs for two hours."""
    cluster.event("worker-heartbeat", freq=5)
    cluster.start("long")
    cluster.wait(7_200)
    snapshot = cluster.shoot()
    assert len(snapshot.workers) == 1
    assert (cluster.deaths, cluster.orphans) == (0, 0)


@pytest.mark.parametrize("is_solo", [False, True])
def test_a_worker_without_heartbeats_is_lost_when_its_answers_stop(
    cluster: Cluster, is_solo: bool
) -> None:
    """A solo pool answers nothing while a task runs, so its silence says nothing."""
    answer = WorkerAnswer("w@h", is_solo=is_solo)
    cluster.start("t")
    cluster.state.note_answers([answer], age_seconds=0.0)
    for _ in range(3):
        cluster.wait(60)
        cluster.state.note_answers([], age_seconds=0.0)
    cluster.shoot()
    assert cluster.deaths == (0 if is_solo else 1)
    cluster.wait(60)
    cluster.state.note_answers([answer], age_seconds=0.0)
    snapshot = cluster.shoot()
    assert [worker.sends_heartbeats for worker in snapshot.online] == [False]


def test_an_old_answer_does_not_revive(cluster: Cluster) -> None:
    """The last survey is shown again until it is too old."""
    answer = WorkerAnswer("w@h", is_solo=False)
    cluster.state.note_answers([answer], age_seconds=0.0)
    for _ in range(2):
        cluster.wait(60)
        cluster.state.note_answers([], age_seconds=0.0)
    cluster.shoot()
    cluster.state.note_answers([answer], age_seconds=120.0)
    assert cluster.shoot().online == ()
    assert cluster.deaths == 1


# -- our own absence -------------------------------------------------------------------------------


def test_a_monitor_that_was_frozen_judges_nobody_by_it(cluster: Cluster) -> None:
    """Stopped for 75 s, it finds everybody silent; whichever thread runs first."""
    for number in range(80):
        cluster.beat(0, "worker-online", host=f"w{number}@h")
    cluster.state.note_reading()
    cluster.wait(75)
    cluster.shoot()  # the camera's thread came first
    cluster.state.note_reading()
    cluster.wait(1)
    cluster.state.note_reading()
    cluster.shoot()
    assert cluster.deaths == 0

    # And those that are dead indeed are lost after the grace
    for _ in range(62):
        cluster.wait(1)
        cluster.state.note_reading()
    cluster.shoot()
    assert cluster.deaths == 80


def test_nobody_is_judged_while_the_broker_is_away(cluster: Cluster) -> None:
    """Nor do tasks that drain run out of time then."""
    cluster.beat(0, "worker-online")
    cluster.start("t")
    cluster.beat(1, "worker-offline", active=1)
    cluster.beat(0, "worker-online", host="x@h")
    cluster.state.change_link(BrokerLink.AWAY)
    cluster.wait(4_000)
    cluster.shoot()
    assert (cluster.deaths, cluster.orphans) == (0, 0)


# -- tasks -----------------------------------------------------------------------------------------


def test_queue_times_of_two_runs_under_one_id_are_their_own(cluster: Cluster) -> None:
    """An id that is used again at once is a new task."""
    seconds = []
    for _ in range(3):
        cluster.event("task-sent", host="gen1@web", uuid="customer-42", name="sync", queue="q")
        cluster.wait(30)
        cluster.start("customer-42")
        cluster.event("task-succeeded", uuid="customer-42", runtime=0.1)
        cluster.wait(1)
        snapshot = cluster.shoot()
        seconds += [counts.queue_time.sum for _, counts in snapshot.window.tasks if counts.started]
    assert seconds == pytest.approx([30.0, 30.0, 30.0])


def test_a_short_task_that_overtakes_its_task_sent_is_not_in_flight(cluster: Cluster) -> None:
    """The late event is of the run that has ended."""
    cluster.start("t")
    cluster.event("task-succeeded", uuid="t", runtime=0.1)
    cluster.event("task-sent", host="gen1@web", uuid="t", name="job", queue="q")
    assert cluster.shoot().tasks_in_flight == 0
    cluster.event("task-sent", host="gen1@web", uuid="t", name="job", queue="q")
    assert cluster.shoot().tasks_in_flight == 1


def test_the_time_a_worker_holds_a_task_for_its_eta_is_no_prefetch_time(cluster: Cluster) -> None:
    """It holds it on purpose."""
    eta = "2030-01-01T00:00:00+00:00"
    cluster.event("task-received", uuid="later", name="job", eta=eta)
    cluster.wait(100)
    cluster.event("task-started", uuid="later")
    counts = dict(cluster.shoot().window.tasks)["job"]
    assert not counts.prefetch_time


def test_a_task_that_vanishes_is_counted_under_its_name(cluster: Cluster) -> None:
    """`Ignore` ends a task without an event; its worker says that it runs nothing."""
    cluster.beat(0, "worker-online")
    cluster.start("ignored")
    cluster.wait(10)
    cluster.beat(1)
    snapshot = cluster.shoot()
    assert dict(snapshot.window.tasks)["job"].vanished == 1 or (
        dict(cluster.shoot().window.tasks)["job"].vanished == 1
    )
    assert (cluster.deaths, cluster.orphans) == (0, 0)
