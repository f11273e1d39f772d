"""Thresholds: which alarm draws its line in which graph, and what is written at it."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.provision.alarms import build_alarms
from event_monitor.provision.layout import dashboard_sections
from event_monitor.provision.model import Alarm, Series
from event_monitor.provision.options import ProvisionOptions, QueueLimits
from event_monitor.provision.panels import Line, Panel
from event_monitor.provision.render.thresholds import Threshold, thresholds_of
from event_monitor.settings import Settings

from ..examples import EVERYTHING

SETTINGS = Settings(dimensions=(("Environment", "prod"),))
TOTAL = Panel(title="", lines=(Line(metric="QueueLength", statistic="Maximum", label="waiting"),))
BY_QUEUE = replace(TOTAL, split="QueueName")
ALARM = Alarm(
    name="long",
    description="",
    series=(
        Series(
            id="m0",
            namespace="Celery",
            metric="QueueLength",
            statistic="Maximum",
            dimensions=(("Environment", "prod"),),
        ),
    ),
    comparison=">",
    threshold=100.0,
    datapoints=1,
    periods=1,
    period_seconds=60,
    missing="notBreaching",
)


def watching(alarm: Alarm, **changes: object) -> Alarm:
    """Return the alarm with other facts of its only series."""
    return replace(alarm, series=(replace(alarm.series[0], **changes),))  # type: ignore[arg-type]


def test_a_graph_shows_the_alarms_of_its_metric_statistic_and_dimensions() -> None:
    """Not those of another statistic, of one queue, or of another environment."""
    one_queue = watching(ALARM, dimensions=(("Environment", "prod"), ("QueueName", "mail")))
    alarms = (
        ALARM,
        watching(ALARM, statistic="Minimum"),
        watching(ALARM, metric="QueueUnacked"),
        replace(one_queue, threshold=5.0),
    )

    assert thresholds_of(TOTAL, SETTINGS, alarms) == (Threshold((ALARM,)),)
    assert [line.value for line in thresholds_of(BY_QUEUE, SETTINGS, alarms)] == [5.0]
    assert thresholds_of(replace(BY_QUEUE, chosen=True), SETTINGS, alarms) == ()


def test_an_alarm_on_an_expression_belongs_to_the_graph_of_the_same_metrics() -> None:
    """The percentage that fails, whatever guards it; not the graph of what it is made from."""
    lines = (
        Line(metric="TasksFailed", statistic="Sum", label="failed"),
        Line(metric="TasksSucceeded", statistic="Sum", label="succeeded"),
    )
    alarms = build_alarms(SETTINGS, ProvisionOptions())

    shown = thresholds_of(
        Panel(title="", lines=lines, expression="100*m0/(m0+m1)"), SETTINGS, alarms
    )

    assert [line.label for line in shown] == ["celery-failure-rate > 5"]
    assert thresholds_of(Panel(title="", lines=lines), SETTINGS, alarms) == ()


def test_every_alarm_of_the_cluster_is_a_line_in_some_graph() -> None:
    """Who is woken by one looks for what it is about."""
    alarms = build_alarms(EVERYTHING, ProvisionOptions())
    shown = {
        alarm.name
        for section in dashboard_sections(EVERYTHING)
        for panel in section.panels
        if panel.kind == "graph"
        for threshold in thresholds_of(panel, EVERYTHING, alarms)
        for alarm in threshold.alarms
    }

    assert alarms
    assert [alarm.name for alarm in alarms if alarm.name not in shown] == []


def test_alarms_with_the_same_threshold_share_a_line() -> None:
    """Their labels would lie upon each other, on whichever side each is on."""
    dead = replace(ALARM, name="dead", comparison="<")
    queues = tuple(QueueLimits(name, max_length=100) for name in ("mail", "invoices", "reports"))
    alarms = build_alarms(SETTINGS, ProvisionOptions(queues=queues))

    (line,) = thresholds_of(TOTAL, SETTINGS, (ALARM, replace(ALARM, name="late"), dead))
    (of_queues,) = thresholds_of(BY_QUEUE, SETTINGS, alarms)

    assert line.label == "long, late > 100, dead < 100"
    assert of_queues.label == "celery-queue-length-mail > 100 and 2 more"


def test_a_graph_has_five_lines_at_most() -> None:
    """Of the most urgent alarms: more would hide the graph."""
    alarms = tuple(replace(ALARM, threshold=float(number)) for number in range(9))

    assert [line.value for line in thresholds_of(TOTAL, SETTINGS, alarms)] == [0, 1, 2, 3, 4]


def test_a_threshold_of_a_sum_says_over_which_period() -> None:
    """The graph's own period grows with its time range; 0 is 0 over any."""
    summed = watching(ALARM, statistic="Sum")
    panel = replace(TOTAL, lines=(replace(TOTAL.lines[0], statistic="Sum"),))

    lines = thresholds_of(panel, SETTINGS, (summed, replace(summed, threshold=0.0)))

    assert [line.label for line in lines] == ["long > 100 in 60 s", "long > 0"]


def test_a_long_name_does_not_make_a_long_label() -> None:
    """Queues may have names of 255 characters."""
    label = Threshold((replace(ALARM, name="q" * 255, threshold=1e6),)).label

    assert (len(label), label[-13:]) == (60, "… > 1,000,000")
