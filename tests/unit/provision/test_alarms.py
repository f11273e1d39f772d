"""Alarms: what they watch is published; what is left out is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.alarms import alarm_notes, build_alarms, build_composite
from event_monitor.provision.options import (
    ProvisionOptions,
    QueueLimits,
    TaskLimits,
    parse_queue_limits,
)
from event_monitor.provision.quantities import TooMany
from event_monitor.settings import Settings

from .cluster import PLAIN

OPTIONS = ProvisionOptions(
    tasks=(TaskLimits("shop.pay", p95=30.0, failures=TooMany(10.0)),),
    queues=(QueueLimits("celery", 5, 60),),
)


def test_every_alarm_says_how_long_it_waits_what_no_data_means_and_what_to_type() -> None:
    """In its description, where it is read at night."""
    options = replace(OPTIONS, app="shop.celery", page_url="https://monitor.example/")
    alarms = build_alarms(PLAIN, options)

    for alarm in alarms:
        assert "No data is" in alarm.description
        assert "It waits for " in alarm.description or "It goes off at once." in alarm.description
        assert "Next: event-monitor " in alarm.description
        assert alarm.description.endswith("Look at https://monitor.example/.")
    assert [alarm.name for alarm in alarms if alarm.missing == "breaching"] == [
        "celery-monitor-dead"
    ]
    (lost,) = [alarm for alarm in alarms if alarm.name == "celery-broker-lost"]
    assert lost.description == (
        "The monitor is not connected to the broker; what happens meanwhile may never be counted. "
        "It waits for 3 of 5 minutes. No data is not a problem here: the alarm monitor-dead covers "
        "it. Next: event-monitor check -A shop.celery. Look at https://monitor.example/."
    )


@pytest.mark.parametrize(
    ("interval", "high_resolution", "seconds", "said"),
    [
        (60.0, False, 180, "It waits for 3 minutes."),
        (10.0, False, 180, "It waits for 3 minutes."),
        (1.0, True, 180, "It waits for 3 minutes."),
        (30.0, True, 180, "It waits for 3 minutes."),
        (90.0, False, 240, "It waits for 4 minutes."),
        (300.0, False, 600, "It waits for 10 minutes."),
    ],
)
def test_an_alarm_waits_as_long_at_every_interval(
    interval: float, high_resolution: bool, seconds: int, said: str
) -> None:
    """As far as it can: a monitor is not dead by one shot that is late; and it says how long."""
    settings = Settings(interval=interval, high_resolution=high_resolution)
    dead, *_ = build_alarms(settings, ProvisionOptions())

    assert dead.name == "celery-monitor-dead"
    assert dead.datapoints == dead.periods >= 2
    assert dead.periods * dead.period_seconds == seconds
    assert said in dead.description


def test_two_shots_in_a_minute_are_one_monitor_where_the_interval_is_shorter() -> None:
    """The threshold is what one monitor publishes in a period."""

    def threshold(settings: Settings) -> float:
        (alarm,) = [
            alarm
            for alarm in build_alarms(settings, ProvisionOptions())
            if alarm.name == "celery-second-monitor"
        ]
        return alarm.threshold

    assert threshold(Settings()) == 1
    assert threshold(Settings(interval=10.0)) == 6
    assert threshold(Settings(interval=45.0)) == 2
    assert threshold(Settings(interval=300.0)) == 1


def test_what_stops_the_work_pages_and_the_rest_informs() -> None:
    """All notify the topic; the composite is one of those that inform."""
    topic, page = "arn:aws:sns:a:1:topic", "arn:aws:sns:a:1:page"
    options = replace(OPTIONS, topics=(topic,), pages=(page,))
    alarms = build_alarms(PLAIN, options)
    composite = build_composite(alarms, options)

    assert {alarm.actions for alarm in alarms} == {(topic,), (topic, page)}
    assert [alarm.name.removeprefix("celery-") for alarm in alarms if alarm.pages] == [
        "monitor-dead",
        "broker-lost",
        "too-few-workers",
        "failure-rate",
        "tasks-failing",
        "workers-stalled",
        "oldest-message",
        "queue-length",
        "publish-failures",
        "oldest-message-celery",
        "queue-length-celery",
        "failure-rate-shop.pay",
    ]
    assert all((page in alarm.actions) == alarm.pages for alarm in alarms)
    assert composite is not None
    assert composite.actions == (topic,)


def test_failures_are_too_many_by_percent_or_by_count() -> None:
    """Whichever was said; of all tasks, and of one."""
    options = ProvisionOptions(
        max_failures=TooMany(5, 300),
        max_retries=TooMany(9, 600),
        tasks=(
            TaskLimits("one", failures=TooMany(3, 900), retries=TooMany(1, 60)),
            TaskLimits("two", failures=TooMany(3), retries=TooMany(50)),
        ),
    )
    found = {
        alarm.name.removeprefix("celery-"): (alarm.threshold, alarm.period_seconds)
        for alarm in build_alarms(PLAIN, options)
        if alarm.series[0].metric in ("TasksFailed", "TasksRetried")
    }
    assert found == {
        "failures": (5, 300),
        "retries": (9, 600),
        "failures-one": (3, 900),
        "retries-one": (1, 60),
        "failure-rate-two": (3, 1_800),
        "retry-rate-two": (50, 1_800),
    }
    assert not any("failure" in note for note in alarm_notes(PLAIN, options))
    none = alarm_notes(PLAIN, ProvisionOptions(max_failures=TooMany(0)))
    assert "No alarm celery-failure-rate: its threshold is 0." in none


def test_the_readers_of_a_queue_are_watched_where_their_number_is_published() -> None:
    """It is not by default, and then that is said."""
    options = ProvisionOptions(queues=(parse_queue_limits("mail:workers=2"),))
    with pytest.raises(SettingsError, match="`by_queue` has no QueueConsumers"):
        build_alarms(PLAIN, options)

    settings = replace(PLAIN, by_queue=("QueueLength", "OldestMessageAge", "QueueConsumers"))
    alarms = {alarm.name: alarm for alarm in build_alarms(settings, options)}
    assert alarms["celery-queue-workers-mail"].threshold == 2
    assert alarms["celery-queue-workers-mail"].series[0].statistic == "Minimum"


def test_only_the_services_own_queues_are_watched() -> None:
    """Of others its monitor publishes nothing; nor what no part of the workers can tell."""
    settings = replace(
        PLAIN,
        queues=("shop", "mail"),
        queue_length_limits=(("mail", (1.0, 2.0)),),
        only_queues=("shop*",),
        only_workers=("shop@*",),
    )
    alarms = {alarm.name for alarm in build_alarms(settings, ProvisionOptions())}

    assert "celery-queue-length-shop" in alarms
    assert not [name for name in alarms if name.endswith("-mail")]
    assert "celery-tasks-missing" not in alarms
    assert (
        "No alarm celery-tasks-missing: TasksMissing is not known of a part of the workers, which "
        "`only_workers` takes." in alarm_notes(settings, ProvisionOptions())
    )


def test_a_second_monitor_is_not_told_by_shots_that_a_durable_queue_hurries() -> None:
    """One that catches up takes more than one in an interval."""
    durable = replace(PLAIN, durable_queue="events", state_dir="/state")
    assert "celery-second-monitor" not in {
        alarm.name for alarm in build_alarms(durable, ProvisionOptions())
    }


def test_an_alarm_on_what_is_not_published_is_left_out_and_that_is_said() -> None:
    """Silence would be taken for safety."""
    settings = replace(PLAIN, probe_workers=False, without=("EventsLost",))
    options = ProvisionOptions(max_length=0)
    names = {alarm.name for alarm in build_alarms(settings, options)}

    assert not names & {
        "celery-tasks-reserved",
        "celery-workers-stalled",
        "celery-events-lost",
        "celery-queue-length",
    }
    notes = "\n".join(alarm_notes(settings, options))
    assert "No alarm celery-tasks-reserved: TasksReserved needs `probe_workers`." in notes
    assert "No alarm celery-events-lost: `without` has EventsLost." in notes
    assert "No alarm celery-queue-length: its threshold is 0." in notes
    assert "The alarms notify nobody: add --topic ARN." in notes


@pytest.mark.parametrize(
    ("settings", "options", "sentence"),
    [
        (
            replace(PLAIN, by_task=()),
            OPTIONS,
            "TaskRuntime is not published: `by_task` has no TaskRuntime.",
        ),
        (
            replace(PLAIN, by_queue=()),
            OPTIONS,
            "OldestMessageAge is not published: `by_queue` has no OldestMessageAge.",
        ),
        (
            replace(PLAIN, exclude_tasks=("shop.*",)),
            OPTIONS,
            "--task shop.pay: `include_tasks` or `exclude_tasks` leaves it out.",
        ),
        (
            replace(PLAIN, groups=(("shop", ("shop.*",)),)),
            OPTIONS,
            "--task shop.pay: it is published as the group 'shop'; name that.",
        ),
    ],
)
def test_an_alarm_asked_for_by_name_on_what_is_not_published_is_refused(
    settings: Settings, options: ProvisionOptions, sentence: str
) -> None:
    """Leaving it out would be a promise broken."""
    with pytest.raises(SettingsError) as caught:
        build_alarms(settings, options)
    assert str(caught.value) == sentence


def test_scaling_to_zero_and_a_minimum_of_workers_are_said_to_disagree() -> None:
    """Or the alarm would go off every night."""
    notes = alarm_notes(PLAIN, ProvisionOptions(workers_from=0, topics=("arn:aws:sns:a:1:b",)))

    assert notes == (
        "celery-too-few-workers goes off while the service is scaled to zero: "
        "--workers-at-least 0 leaves it out.",
    )
    assert not alarm_notes(PLAIN, ProvisionOptions(topics=("arn:aws:sns:a:1:b",)))


def test_a_group_has_alarms_under_its_own_name() -> None:
    """Its members have no series."""
    settings = replace(PLAIN, groups=(("shop", ("shop.*",)),))
    (alarm,) = [
        alarm
        for alarm in build_alarms(settings, ProvisionOptions(tasks=(TaskLimits("shop", p95=1.0),)))
        if not alarm.cluster_wide
    ]
    assert alarm.series[0].dimensions == (("Environment", "prod"), ("TaskName", "shop"))


def test_criticals_of_the_settings_make_alarms_of_queues_known_by_name() -> None:
    """Own limits win; a glob that no known name matches is noted."""
    settings = replace(
        PLAIN,
        queues=("mail",),
        queue_length_limits=(("celery", (1.0, 10.0)), ("*", (5.0, 50.0))),
        queue_age_limits=(("slow.*", (5.0, 60.0)),),
    )
    options = ProvisionOptions(queues=(QueueLimits("celery", max_length=7.0),))
    found = {
        alarm.name: alarm.threshold
        for alarm in build_alarms(settings, options)
        if not alarm.cluster_wide
    }

    assert found == {"celery-queue-length-celery": 7.0, "celery-queue-length-mail": 50.0}
    assert "that matches slow.*:" in "\n".join(alarm_notes(settings, options))


def test_large_thresholds_are_written_out() -> None:
    """Nobody says 2e+06 messages."""
    options = ProvisionOptions(
        max_length=2_000_000, queues=(QueueLimits("celery", max_length=1_234_567),)
    )
    texts = [alarm.description for alarm in build_alarms(PLAIN, options)]
    said = [text for text in texts if "messages wait" in text]

    assert len(said) == 2
    assert "More than 2000000 messages" in said[0]
    assert "More than 1234567 messages" in said[1]


def test_what_only_the_limits_suggest_is_left_out_where_queues_have_no_series() -> None:
    """The alarm over all queues watches them all the same."""
    settings = replace(PLAIN, by_queue=(), queue_length_limits=(("celery", (1.0, 10.0)),))
    names = {alarm.name for alarm in build_alarms(settings, ProvisionOptions())}

    assert "celery-queue-critical" in names
    assert "celery-queue-length-celery" not in names


def test_a_queue_named_without_limits_has_those_of_all() -> None:
    """Naming it is enough; its length counts, too, since not every broker knows the age."""
    options = ProvisionOptions(queues=(parse_queue_limits("mail"),), max_age=90.0, max_length=7.0)
    alarms = build_alarms(PLAIN, options)

    assert [(alarm.name, alarm.threshold) for alarm in alarms if not alarm.cluster_wide] == [
        ("celery-oldest-message-mail", 90.0),
        ("celery-queue-length-mail", 7.0),
    ]
    assert any(
        note.startswith("No limit is given for mail:") for note in alarm_notes(PLAIN, options)
    )


def test_even_the_longest_interval_makes_alarms() -> None:
    """CloudWatch limits how far an alarm looks back."""
    assert build_alarms(Settings(interval=3_600.0), ProvisionOptions())


def test_the_composite_alarm_is_over_those_of_the_cluster() -> None:
    """A single slow task does not make Celery unhealthy."""
    composite = build_composite(build_alarms(PLAIN, OPTIONS), OPTIONS)
    assert composite is not None
    assert composite.rule.startswith('ALARM("celery-monitor-dead") OR ALARM("celery-broker-lost")')
    assert "shop.pay" not in composite.rule
