"""Alarm scenarios: what pages whom on days as they come. A real state judges the workers."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.provision.alarms import build_alarms, build_composite
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.quantities import TooMany
from event_monitor.survey import QueueDepth

from .cluster import IDLE_QUEUE, IDLE_WORKER, PLAIN
from .evaluator import Notification, notifications
from .fleet import Fleet

TOPIC, PAGE = "arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sns:eu-west-1:123456789012:page"
OPTIONS = ProvisionOptions(topics=(TOPIC,), pages=(PAGE,))


def notified(arn: str, fleet: Fleet, options: ProvisionOptions = OPTIONS) -> list[Notification]:
    """Return what notified this topic, without the prefix of the names."""
    alarms = build_alarms(PLAIN, options)
    found = notifications(arn, alarms, fleet.minutes, build_composite(alarms, options))
    return [Notification(minute, name.removeprefix("celery-")) for minute, name in found]


def names(arn: str, fleet: Fleet, options: ProvisionOptions = OPTIONS) -> list[str]:
    return [name for _, name in notified(arn, fleet, options)]


# -- silent ----------------------------------------------------------------------------------------


def test_a_normal_day_of_deploys_notifies_nobody() -> None:
    """Twenty warm stops with long tasks, a scale-in, and a restart of the monitor."""
    # Given twenty workers, and ten for which the alarm would go off
    fleet = Fleet()
    old = fleet.start(20)
    fleet.run(10)

    # When each is replaced while it runs a task that ends twenty minutes after its goodbye
    fleet.begin(old)
    leaving = []

    def replace_one(minute: int) -> None:
        fleet.start(1)
        leaving.append((old[minute], fleet.stop(old[minute])))

    def end_one(minute: int) -> None:
        name, worker = leaving[minute]
        worker.end(name)

    fleet.run(20, each=replace_one)
    fleet.run(20, each=end_one)

    # And eight are too many, and the monitor is restarted
    for name in list(fleet.workers)[:8]:
        fleet.stop(name)
    fleet.run(10)
    fleet.restart_monitor(away_minutes=2)
    fleet.run(30)

    # Then nobody hears of it
    options = replace(OPTIONS, workers_at_least=10)
    assert notified(TOPIC, fleet, options) == []
    assert notified(PAGE, fleet, options) == []


def test_a_busy_fleet_in_which_one_run_in_a_hundred_fails_notifies_nobody() -> None:
    """Neither by its rate nor by a task of which nothing but failures comes."""
    fleet = Fleet()
    fleet.start(3)
    fleet.run(60, succeeding=99, failing=1)

    assert notified(TOPIC, fleet) == []


def test_replicas_that_share_a_name_notify_nobody() -> None:
    """Two containers with one nodename, both with pid 1; one of them is busy."""
    fleet = Fleet()
    fleet.start(2)
    shared = [fleet.scene.worker("celery@shared").hello() for _ in range(2)]
    fleet.workers |= {"one": shared[0], "two": shared[1]}
    fleet.run(5)
    shared[0].begin("long", name="shop.report")
    fleet.run(30)

    assert notified(TOPIC, fleet) == []


# -- little happens --------------------------------------------------------------------------------


def test_a_small_shop_in_which_all_fails_is_told_within_ten_minutes() -> None:
    """Fifteen tasks a minute: as the rate, and as a task that only fails."""
    fleet = Fleet()
    fleet.start(3)
    fleet.run(60, succeeding=5)
    fleet.run(60, succeeding=0, failing=5)

    pages = notified(PAGE, fleet)
    assert sorted(page.alarm for page in pages) == ["failure-rate", "tasks-failing"]
    assert all(60 < page.minute <= 70 for page in pages)


def test_failures_counted_in_five_minutes_are_told_in_as_many() -> None:
    """By `--max-failures 5/5m`, though most tasks succeed."""
    fleet = Fleet()
    fleet.start(1)
    fleet.run(30, succeeding=100)
    fleet.run(10, succeeding=100, failing=1)

    assert notified(PAGE, fleet, replace(OPTIONS, max_failures=TooMany(5, 300))) == [
        Notification(35, "failures")
    ]


def test_a_task_that_runs_every_ten_minutes_and_always_fails_is_told() -> None:
    """Three minutes after its second failure, though thousands of others succeed meanwhile."""
    fleet = Fleet()
    (name, *_) = fleet.start(2)

    def fail_now_and_then(minute: int) -> None:
        if minute % 10 == 0:
            worker = fleet.workers[name]
            worker.begin(f"nightly-{minute}", name="shop.nightly")
            worker.end(f"nightly-{minute}", how="task-failed")

    fleet.run(40, succeeding=200, each=fail_now_and_then)

    assert notified(PAGE, fleet) == [Notification(13, "tasks-failing")]


def test_a_beat_that_is_stopped_informs_and_does_not_page() -> None:
    """Its tasks come every five minutes, then none comes; it is over when they come again."""
    fleet = Fleet(schedules={"shop.poll": "300"})
    (name,) = fleet.start(1)

    def beat(minute: int) -> None:
        if minute % 5 == 0:
            fleet.workers[name].begin(f"poll-{len(fleet.minutes)}", name="shop.poll")
            fleet.workers[name].end(f"poll-{len(fleet.minutes)}")

    fleet.run(56, each=beat)
    assert notified(TOPIC, fleet) == []

    fleet.run(30)  # it came at minute 55: five more, one for clocks, and two shots are free
    fleet.run(6, each=beat)
    fleet.run(30)
    assert names(PAGE, fleet) == []
    assert notified(TOPIC, fleet) == [
        Notification(67, "schedule-overdue"),
        Notification(67, "unhealthy"),
        Notification(103, "schedule-overdue"),
        Notification(103, "unhealthy"),
    ]


def test_a_beat_that_runs_and_a_monitor_that_was_away_notify_nobody() -> None:
    """Nor does a task that is only called by hand, or one that was never seen."""
    fleet = Fleet(schedules={"shop.poll": "300", "shop.new": "60", "shop.nightly": "0 3 * * *"})
    (name,) = fleet.start(1)

    def call(minute: int) -> None:
        if minute % 5 == 0:
            fleet.workers[name].begin(f"poll-{len(fleet.minutes)}", name="shop.poll")
            fleet.workers[name].end(f"poll-{len(fleet.minutes)}")

    fleet.run(60, each=call)
    fleet.restart_monitor(away_minutes=2)
    fleet.run(60, each=call)

    assert notified(TOPIC, fleet) == []


# -- one after the other ---------------------------------------------------------------------------


def test_an_alarm_that_stays_on_hides_none_that_follows() -> None:
    """Many are reserved all day; then all workers die, then the monitor: the last two page."""
    # Given workers that hold too much, of which only the topic hears
    fleet = Fleet()
    workers = fleet.start(3)
    full = replace(IDLE_WORKER, reserved=2_000)
    fleet.run(30, answer=full)
    assert (names(PAGE, fleet), names(TOPIC, fleet)) == ([], ["tasks-reserved", "unhealthy"])

    # When all of them are killed, and nobody answers any more
    for name in workers:
        fleet.kill(name)
    fleet.run(30, answer=full)
    (page,) = notified(PAGE, fleet)
    assert page.alarm == "too-few-workers"
    assert 30 < page.minute <= 36

    # And the monitor dies
    fleet.minutes += [()] * 10
    assert names(PAGE, fleet) == ["too-few-workers", "monitor-dead"]


def test_a_killed_worker_informs_and_does_not_page() -> None:
    """Its task is named by the alarm on orphans; the others go on."""
    fleet = Fleet()
    (name, *_) = fleet.start(3)
    fleet.run(10)
    fleet.begin([name])
    fleet.kill(name)
    fleet.run(10)

    assert names(PAGE, fleet) == []
    assert sorted(names(TOPIC, fleet)) == ["tasks-orphaned", "unhealthy", "workers-lost"]


def test_a_crash_loop_informs_for_as_long_as_it_goes_on() -> None:
    """A container that dies while it runs its task and comes back with its name, every minute."""
    fleet = Fleet()
    fleet.start(3)
    fleet.run(10)

    def crash(minute: int) -> None:
        fleet.workers["loop"] = fleet.scene.worker("celery@loop").hello()
        fleet.workers["loop"].begin(f"crash-{minute}", name="shop.crash")

    fleet.run(10, each=crash, succeeding=0)
    fleet.stop("loop").end("crash-9")
    fleet.run(10)

    assert names(PAGE, fleet) == []
    found = notified(TOPIC, fleet)
    assert sorted(found.alarm for found in found) == ["tasks-orphaned", "unhealthy", "workers-lost"]
    assert all(10 < found.minute <= 13 for found in found)


# -- what was seen nowhere -------------------------------------------------------------------------


def test_a_task_that_hangs_is_told_when_it_has_run_too_long() -> None:
    """By `--max-running 5m`; it is on until the task ends."""
    fleet = Fleet()
    (name,) = fleet.start(1)
    fleet.begin([name])
    fleet.run(12)

    assert notified(TOPIC, fleet, replace(OPTIONS, max_running=300.0)) == [
        Notification(8, "oldest-running"),
        Notification(8, "unhealthy"),
    ]


def test_a_fleet_that_is_full_for_a_quarter_of_an_hour_is_told_once() -> None:
    """A peak of ten minutes is what a fleet is for."""
    fleet = Fleet()
    fleet.start(2)
    busy = replace(IDLE_WORKER, active=IDLE_WORKER.pool_processes)
    fleet.run(10, answer=busy)
    fleet.run(20)
    fleet.run(30, answer=busy)

    assert names(TOPIC, fleet) == ["saturated", "unhealthy"]


def test_messages_that_nobody_reads_are_told() -> None:
    """A queue was misspelt, or its workers were not started."""
    fleet = Fleet()
    fleet.start(1)
    fleet.run(10, queue=replace(IDLE_QUEUE, consumers=1))
    fleet.run(10, queue=QueueDepth("mial", ready=3, unacked=0, consumers=0))

    assert names(TOPIC, fleet) == ["queues-unread", "unhealthy"]


def test_a_second_monitor_is_told_and_a_restart_is_none() -> None:
    """The last shot of the one that ends is a second one in its minute."""
    fleet = Fleet()
    fleet.start(1)
    fleet.run(10)
    fleet.restart_monitor(away_minutes=0)
    fleet.run(10)
    assert names(TOPIC, fleet) == []

    fleet.minutes += [minute + minute for minute in fleet.minutes[-5:]]
    assert names(TOPIC, fleet) == ["second-monitor", "unhealthy"]
