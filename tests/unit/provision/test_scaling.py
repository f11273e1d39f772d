"""Scaling: policies that start and stop workers when they should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.model import Alarm
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.scaling import build_scaling
from event_monitor.settings import Settings
from event_monitor.survey import AbsentWorker, Survey

from .cluster import IDLE_QUEUE, IDLE_WORKER, PLAIN, Period, period, surveyed, waiting
from .evaluator import goes_off

STEPS = ProvisionOptions(scale_by="step", backlog=10.0)
FROM_ZERO = ProvisionOptions(workers_from=0)
BUSY = replace(IDLE_WORKER, active=4)
DEAD: list[Period] = [()] * 15


def alarms(options: ProvisionOptions, settings: Settings = PLAIN) -> dict[str, Alarm]:
    """Return the alarm of each policy of the only service, by the policy's key."""
    (service,) = build_scaling(settings, options)
    return {policy.key: policy.alarm for policy in service.policies if policy.alarm is not None}


def quarter_of_an_hour(survey: Survey | None = None, *, workers: int = 2) -> list[Period]:
    return [period(survey=survey, workers=workers)] * 15


def triggered(options: ProvisionOptions, periods: list[Period]) -> set[str]:
    """Return the keys of the policies that are triggered at the end of these periods."""
    return {key for key, alarm in alarms(options).items() if goes_off(alarm, periods)}


@pytest.mark.parametrize("options", [ProvisionOptions(), STEPS, FROM_ZERO])
def test_a_busy_fleet_with_nothing_waiting_is_not_scaled_in(options: ProvisionOptions) -> None:
    """Its backlog is nothing where messages are acknowledged early; its tasks would die."""
    assert triggered(options, quarter_of_an_hour(surveyed(worker=BUSY))) == set()
    half = surveyed(worker=replace(IDLE_WORKER, active=2))
    assert triggered(options, quarter_of_an_hour(half)) == set()


@pytest.mark.parametrize("options", [ProvisionOptions(), STEPS])
def test_an_idle_fleet_is_scaled_in_after_a_quarter_of_an_hour(options: ProvisionOptions) -> None:
    """Not if one minute of it was busy, or something waited."""
    idle = quarter_of_an_hour(surveyed(worker=replace(IDLE_WORKER, active=1)))

    assert triggered(options, idle) == {"in"}
    for other in (surveyed(worker=BUSY), waiting(1, 1.0)):
        assert triggered(options, [*idle[1:], period(survey=other)]) == set()


@pytest.mark.parametrize("options", [ProvisionOptions(), STEPS, FROM_ZERO])
def test_no_data_never_scales_in(options: ProvisionOptions) -> None:
    """Neither when the monitor is dead, nor when a part of the truth is missing."""
    partly = replace(surveyed(), absent=(AbsentWorker("celery@9", ("celery",)),))
    unknown = surveyed(queue=replace(IDLE_QUEUE, ready=None, unacked=None))

    assert triggered(options, DEAD) == set()
    assert triggered(options, quarter_of_an_hour(partly)) == set()
    assert triggered(options, quarter_of_an_hour(unknown)) == set()
    assert triggered(options, [*quarter_of_an_hour()[1:], ()]) == set()


def test_each_alarm_says_what_no_data_means_to_it() -> None:
    """Starting is not stopping."""
    said = {
        key: alarm.description.partition(" No data ")[2].partition(":")[0]
        for key, alarm in alarms(replace(FROM_ZERO, scale_by="step")).items()
    }
    assert said == {
        "out": "starts nothing",
        "wake": "starts nothing",
        "in": "stops nothing",
        "sleep": "stops nothing",
    }


def test_steps_scale_out_when_there_is_much() -> None:
    """Further if it is several times the target."""
    (service,) = build_scaling(PLAIN, STEPS)

    assert triggered(STEPS, quarter_of_an_hour(waiting(80, 1.0))) == {"out"}  # for 4 processes
    changes = [step.change for policy in service.policies for step in policy.steps]
    assert changes == [1, 3, -1]


@pytest.mark.parametrize("scale_by", ["target", "step"])
def test_a_waiting_message_starts_the_first_worker_of_a_service(scale_by: str) -> None:
    """From zero to one; not when somebody is there already, nor when nothing is known."""
    wake = alarms(ProvisionOptions(scale_by=scale_by, workers_from=0))["wake"]

    assert goes_off(wake, [period(workers=0, survey=waiting(1, 1.0))] * 5)
    assert not goes_off(wake, [period(survey=waiting(1, 1.0))] * 5)
    assert not goes_off(wake, [period(workers=0)] * 5)
    assert not goes_off(wake, [(), ()])
    (service,) = build_scaling(PLAIN, ProvisionOptions(scale_by=scale_by, workers_from=0))
    changes = {policy.key: [step.change for step in policy.steps] for policy in service.policies}
    assert changes["wake"] == [1]  # one more: it never shrinks a fleet


def test_the_last_worker_is_not_stopped_while_anything_is_unacknowledged() -> None:
    """Nor while it runs what was acknowledged early, nor while the broker does not say."""
    held = surveyed(queue=replace(IDLE_QUEUE, unacked=1))
    running = surveyed(worker=replace(IDLE_WORKER, active=1))
    unsaid = surveyed(queue=replace(IDLE_QUEUE, unacked=None))

    assert triggered(FROM_ZERO, quarter_of_an_hour(workers=1)) == {"sleep"}
    for survey in (held, running, unsaid):
        assert triggered(FROM_ZERO, quarter_of_an_hour(survey, workers=1)) == set()
    assert "in" in triggered(FROM_ZERO, quarter_of_an_hour(held, workers=2))


def test_workers_are_not_stopped_faster_than_the_data_show_it() -> None:
    """The next one would be stopped on what was known before."""
    (service,) = build_scaling(PLAIN, replace(FROM_ZERO, in_cooldown_seconds=0))

    cooldowns = {policy.key: policy.cooldown_seconds for policy in service.policies}
    assert (cooldowns["in"], cooldowns["sleep"]) == (120, 120)


@pytest.mark.parametrize(("interval", "periods"), [(60.0, 15), (10.0, 15), (90.0, 8), (3_600.0, 1)])
def test_a_lull_is_a_quarter_of_an_hour_whatever_the_period(interval: float, periods: int) -> None:
    """Or one period, if that is longer."""
    alarm = alarms(STEPS, replace(PLAIN, interval=interval))["in"]

    assert (alarm.datapoints, alarm.periods) == (periods, periods)


def test_a_target_cannot_be_tracked_without_data_each_minute() -> None:
    """Steps can be taken."""
    with pytest.raises(SettingsError, match=r"with an interval of 90 seconds.*--scale-by step"):
        build_scaling(replace(PLAIN, interval=90.0), ProvisionOptions())
    assert build_scaling(replace(PLAIN, interval=90.0), STEPS)


def test_each_service_is_scaled_by_its_own_queue() -> None:
    """Busy workers of another service count neither for it nor against it."""
    options = ProvisionOptions(services=(("celery", "workers"), ("mail", "mailers")))
    mailer = replace(IDLE_WORKER, hostname="mail@0", queues=("mail",), active=4)
    mail = replace(IDLE_QUEUE, name="mail")
    survey = Survey(queues=(IDLE_QUEUE, mail), workers=(IDLE_WORKER, mailer), stalled=())

    services = build_scaling(PLAIN, options)

    assert [(service.queue, service.service) for service in services] == list(options.services)
    on = {
        policy.name
        for service in services
        for policy in service.policies
        if policy.alarm is not None and goes_off(policy.alarm, quarter_of_an_hour(survey))
    }
    assert on == {"celery-scale-in-celery"}


@pytest.mark.parametrize("missing", ["WorkerUtilization", "QueueConsumers", "QueueUnacked"])
def test_what_a_queue_does_not_publish_is_refused(missing: str) -> None:
    """The sentence names the setting."""
    names = {"QueueLength", "BacklogPerWorker", "WorkerUtilization", "QueueConsumers"}
    by_queue = tuple((names | {"QueueUnacked"}) - {missing})

    with pytest.raises(SettingsError, match=f"`by_queue` has no {missing}"):
        build_scaling(replace(PLAIN, by_queue=by_queue), replace(FROM_ZERO, scale_queue="celery"))


def test_all_that_a_queue_does_not_publish_is_named_with_the_flag_that_helps() -> None:
    """What the flag says is enough."""
    options = ProvisionOptions(workers_from=0, services=(("celery", "workers"),))
    by_queue = ("QueueLength", "BacklogPerWorker", "WorkerUtilization")

    with pytest.raises(SettingsError) as refused:
        build_scaling(replace(PLAIN, by_queue=by_queue), options)

    assert "has no QueueConsumers and no QueueUnacked, which" in str(refused.value)
    flag = str(refused.value).partition("--by-queue ")[2].partition(", ")[0]
    assert build_scaling(replace(PLAIN, by_queue=tuple(flag.split(","))), options)
