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
from event_monitor.settings import Settings

from .cluster import PLAIN

OPTIONS = ProvisionOptions(
    tasks=(TaskLimits("shop.pay", p95=30.0, failures=10.0),), queues=(QueueLimits("celery", 5, 60),)
)


def test_every_alarm_is_m_of_n_and_says_what_no_data_means() -> None:
    """In its description, where it is read at night."""
    alarms = build_alarms(PLAIN, OPTIONS)

    assert all(1 <= alarm.datapoints <= alarm.periods >= 3 for alarm in alarms)
    assert all("No data is" in alarm.description for alarm in alarms)
    assert [alarm.name for alarm in alarms if alarm.missing == "breaching"] == [
        "celery-monitor-dead",
        "celery-too-few-workers",
    ]


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


def test_a_queue_named_without_limits_has_the_age_of_all() -> None:
    """Naming it is enough."""
    alarms = build_alarms(
        PLAIN, ProvisionOptions(queues=(parse_queue_limits("mail"),), max_age=90.0)
    )
    assert [(alarm.name, alarm.threshold) for alarm in alarms if not alarm.cluster_wide] == [
        ("celery-oldest-message-mail", 90.0)
    ]


def test_even_the_longest_interval_makes_alarms() -> None:
    """CloudWatch limits how far an alarm looks back."""
    assert build_alarms(Settings(interval=3_600.0), ProvisionOptions())


def test_the_composite_alarm_is_over_those_of_the_cluster() -> None:
    """A single slow task does not make Celery unhealthy."""
    composite = build_composite(build_alarms(PLAIN, OPTIONS), OPTIONS)
    assert composite is not None
    assert composite.rule.startswith('ALARM("celery-monitor-dead") OR ALARM("celery-broker-lost")')
    assert "shop.pay" not in composite.rule
