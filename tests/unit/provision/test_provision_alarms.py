"""Alarms: what they watch is published, and they go off when they should, and only then.

The series are recorded from ``metrics_from`` itself. moto evaluates no alarms, so a small evaluator
stands in: metric math of one expression, M of N datapoints, and what no data is taken for.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.distribution import Distribution
from event_monitor.errors import SettingsError
from event_monitor.metrics import Metric, metrics_from
from event_monitor.provision.alarms import alarms_of, composite_of, left_out
from event_monitor.provision.model import Alarm, CompositeAlarm, Series, name_of
from event_monitor.provision.options import Choices, QueueEntry, TaskEntry, queue_entry, task_entry
from event_monitor.provision.scaling import scaling_of
from event_monitor.provision.series import period_of
from event_monitor.settings import Settings
from event_monitor.sinks.cloudwatch import encode
from event_monitor.snapshot import (
    BrokerLink,
    OrphanedTask,
    PublisherReport,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

PLAIN = Settings(dimensions=(("Environment", "prod"),))
CHOICES = Choices(
    tasks=(TaskEntry("shop.pay", p95=30.0, failures=10.0),), queues=(QueueEntry("celery", 5, 60),)
)

# -- recording -------------------------------------------------------------------------------------


def shot(
    minute: int,
    *,
    counts: TaskCounts | None = None,
    workers: int = 2,
    losses: tuple[WorkerLoss, ...] = (),
    survey: Survey | None = None,
    report: PublisherReport | None = None,
    settings: Settings = PLAIN,
    **window: Any,
) -> tuple[Metric, ...]:
    """What the monitor publishes of one minute in which not much happens but what is given."""
    online = tuple(
        WorkerStatus(f"celery@{one}", WorkerState.ONLINE, 0.0, active=0, load_average=0.1)
        for one in range(workers)
    )
    tasks = (("shop.pay", counts or TaskCounts()),)
    snapshot = Snapshot(
        window=Window(60.0 * minute, 60.0 * (minute + 1), tasks=tasks, **window),
        workers=online,
        losses=losses,
        survey=survey or calm(),
        publisher=report or PublisherReport(),
    )
    return metrics_from(snapshot, settings)


def calm(**changes: Any) -> Survey:
    """Broker and workers answer that there is nothing to do."""
    queue = QueueDepth("celery", ready=0, unacked=0, consumers=2)
    worker = WorkerAnswer("celery@0", 0, 0, 0, 0, 4, 100 * 2**20, queues=("celery",))
    return replace(Survey(queues=(queue,), workers=(worker,), stalled=()), **changes)


def waiting(ready: int, age: float) -> Survey:
    queue = QueueDepth("celery", ready=ready, unacked=0, consumers=2, oldest_seconds=age)
    return calm(queues=(queue,))


def holding(**fields: Any) -> Survey:
    worker = WorkerAnswer("celery@0", **{"active": 0, "queues": ("celery",), **fields})
    return calm(workers=(worker,))


def counted(succeeded: int = 0, failed: int = 0, retried: int = 0) -> TaskCounts:
    return TaskCounts(succeeded=succeeded, failed=failed, retried=retried)


# -- judging ---------------------------------------------------------------------------------------

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def evaluated(node: Any, values: dict[str, float]) -> float:
    """Metric math, which is written as Python is, of one point in time."""
    if isinstance(node, ast.Expression):
        return evaluated(node.body, values)
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.BinOp):
        left, right = evaluated(node.left, values), evaluated(node.right, values)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Compare):
        left, right = evaluated(node.left, values), evaluated(node.comparators[0], values)
        return float(_OPERATORS[type(node.ops[0])](left, right))
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    assert node.func.id == "IF"
    condition, then, otherwise = node.args
    return evaluated(then if evaluated(condition, values) else otherwise, values)


def datapoint(series: Series, metrics: tuple[Metric, ...]) -> float | None:
    """The series' value in one period; name and dimensions must match exactly, as in CloudWatch."""
    wanted = [{"Name": name, "Value": value} for name, value in series.dimensions]
    for metric in metrics:
        (datum,) = encode([metric])
        if metric.name == series.metric and datum.get("Dimensions", []) == wanted:
            value = metric.value
            if not isinstance(value, Distribution):
                return float(value)
            assert series.statistic == "p95"
            every = sorted(
                one for one, n in zip(value.values, value.counts, strict=True) for _ in range(n)
            )
            return every[min(len(every) - 1, int(0.95 * len(every)))]
    return None


def goes_off(alarm: Alarm, periods: list[tuple[Metric, ...]]) -> bool:
    """Whether the alarm is on at the end of these periods; an empty one is no data."""
    compare = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
    breaching = 0
    for metrics in periods[-alarm.periods :]:
        points = {one.id: datapoint(one, metrics) for one in alarm.series}
        known = {key: value for key, value in points.items() if value is not None}
        if len(known) < len(points):
            breaching += alarm.missing == "breaching"
            continue
        expression = alarm.expression or alarm.series[0].id
        value = evaluated(ast.parse(expression, mode="eval"), known)
        breaching += compare[alarm.comparison](value, alarm.threshold)
    return breaching >= alarm.datapoints


def on(
    periods: list[tuple[Metric, ...]], settings: Settings = PLAIN, choices: Choices = CHOICES
) -> set[str]:
    """The names of the alarms that are on, without the prefix."""
    return {
        alarm.name.removeprefix("celery-")
        for alarm in alarms_of(settings, choices)
        if goes_off(alarm, periods)
    }


def minutes(count: int = 5, **what: Any) -> list[tuple[Metric, ...]]:
    return [shot(minute, **what) for minute in range(count)]


# -- what goes off, and what does not --------------------------------------------------------------


def test_a_quiet_night_sets_nothing_off() -> None:
    """No task runs, workers are there, the queue is empty."""
    assert on(minutes()) == set()


def test_failing_tasks_set_off_the_failure_rates() -> None:
    """Of the cluster and of the task, and nothing else."""
    assert on(minutes(counts=counted(succeeded=50, failed=50))) == {
        "failure-rate",
        "failure-rate-shop.pay",
    }


def test_a_few_failures_at_night_are_no_rate() -> None:
    """One task that fails alone is 100 percent of nothing much."""
    assert on(minutes(counts=counted(failed=1))) == set()


def test_one_bad_minute_is_no_alarm() -> None:
    """Three of five have to be bad."""
    bad = shot(4, counts=counted(failed=100))
    assert on([*minutes(4), bad]) == set()


def test_a_dead_monitor_is_noticed_and_nothing_else_is_claimed_but_the_workers() -> None:
    """Without any data nobody knows of failures; that workers are there nobody knows either."""
    assert on([*minutes(2), *[()] * 5]) == {"monitor-dead", "too-few-workers"}


def test_a_monitor_is_dead_after_three_minutes_and_not_after_two() -> None:
    """As soon as may be, without crying wolf."""
    assert "monitor-dead" not in on([*minutes(3), (), ()])
    assert "monitor-dead" in on([*minutes(2), (), (), ()])


def test_a_gap_of_one_minute_is_forgiven() -> None:
    """A late send is no death."""
    assert on([*minutes(3), (), shot(4)]) == set()


LOST = WorkerLoss("celery@1", 90.0, (OrphanedTask("u", "shop.pay"),))
TIMES = TaskCounts(succeeded=20, runtime=Distribution((1.0, 45.0), (10, 10)))


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        (minutes(counts=counted(succeeded=20, retried=20)), {"retry-rate"}),
        (minutes(counts=TIMES), {"runtime-p95-shop.pay"}),
        (minutes(workers=0), {"too-few-workers"}),
        ([*minutes(2), shot(2, losses=(LOST,)), *minutes(2)], {"workers-lost", "tasks-orphaned"}),
        (minutes(survey=calm(stalled=("celery@0",))), {"workers-stalled"}),
        (minutes(survey=waiting(3, 100.0)), {"oldest-message-celery"}),
        (minutes(survey=waiting(6, 1.0)), {"queue-length-celery"}),
        (
            minutes(survey=waiting(20_000, 700.0)),
            {"oldest-message", "queue-length", "oldest-message-celery", "queue-length-celery"},
        ),
        (minutes(survey=holding(reserved=2_000)), {"tasks-reserved"}),
        (minutes(survey=holding(memory_bytes=2 * 2**30)), {"worker-memory"}),
        (minutes(events_lost=(("celery@0", 3),)), {"events-lost"}),
        (minutes(report=PublisherReport(failures=1)), {"publish-failures"}),
        ([*minutes(4), shot(4, report=PublisherReport(dropped=1))], {"data-dropped"}),
    ],
)
def test_trouble_sets_off_its_own_alarm_only(
    periods: list[tuple[Metric, ...]], expected: set[str]
) -> None:
    """Each alarm is about one thing."""
    assert on(periods) == expected


def test_a_lost_broker_is_told() -> None:
    """The shots go on, and say that they hear nothing."""
    window = Window(0.0, 60.0)
    away = metrics_from(Snapshot(window=window, link=BrokerLink.AWAY), PLAIN)
    assert "broker-lost" in on([away] * 5)


def test_a_critical_queue_sets_off_the_alarm_over_all_of_them() -> None:
    """Whether its name is known or not."""
    limited = replace(PLAIN, queue_length_limits=(("cel*", (1.0, 3.0)),))
    periods = minutes(survey=waiting(4, 1.0), settings=limited)
    assert on(periods, limited, Choices()) == {"queue-critical"}


@pytest.mark.parametrize("scale_by", ["target", "step"])
def test_a_waiting_message_wakes_a_service_of_nobody(scale_by: str) -> None:
    """From zero to one; not when somebody is there already, nor when nothing is known."""
    wake, *_ = scaling_of(PLAIN, Choices(scale_by=scale_by, workers_from=0))
    assert wake.alarm is not None
    nobody = minutes(workers=0, survey=waiting(1, 1.0))

    assert goes_off(wake.alarm, nobody)
    assert not goes_off(wake.alarm, minutes(survey=waiting(1, 1.0)))
    assert not goes_off(wake.alarm, minutes(workers=0))
    assert not goes_off(wake.alarm, [(), ()])
    assert [step.change for step in wake.steps] == [1]  # one more: it never shrinks a fleet


def test_steps_scale_out_when_there_is_much_and_in_when_there_is_little() -> None:
    """And neither when the monitor is dead."""
    out, inwards = scaling_of(PLAIN, Choices(scale_by="step", backlog=10.0))
    assert out.alarm is not None
    assert inwards.alarm is not None
    much, little = minutes(15, survey=waiting(80, 1.0)), minutes(15)  # 4 processes

    assert (goes_off(out.alarm, much), goes_off(inwards.alarm, much)) == (True, False)
    assert (goes_off(out.alarm, little), goes_off(inwards.alarm, little)) == (False, True)
    dead: list[tuple[Metric, ...]] = [()] * 15
    assert (goes_off(out.alarm, dead), goes_off(inwards.alarm, dead)) == (False, False)
    assert [step.change for step in (*out.steps, *inwards.steps)] == [1, 3, -1]


# -- what is watched is published ------------------------------------------------------------------


def test_every_alarm_is_m_of_n_and_says_what_no_data_means() -> None:
    """In its description, where it is read at night."""
    alarms = alarms_of(PLAIN, CHOICES)

    assert all(1 <= one.datapoints <= one.periods >= 3 for one in alarms)
    assert all("No data is" in one.description for one in alarms)
    assert [one.name for one in alarms if one.missing == "breaching"] == [
        "celery-monitor-dead",
        "celery-too-few-workers",
    ]


def test_what_needs_a_probe_is_known() -> None:
    """The table agrees with what ``metrics_from`` leaves out when nobody was asked."""
    limits = (("*", (1.0, 2.0)),)
    settings = replace(PLAIN, queue_length_limits=limits)
    queue = QueueDepth("celery", 1, 1, 1, 1.0, 1.0, 2.0)
    worker = WorkerAnswer("celery@0", 1, 1, 1, 1, 4, 1, queues=("celery",))
    full = Survey(queues=(queue,), workers=(worker,), stalled=())

    def names(**changes: Any) -> set[str]:
        return {one.name for one in shot(0, settings=settings, survey=replace(full, **changes))}

    everything = names()
    assert everything - names(queues=None, stalled=None) == {
        metric.name for metric in CATALOG if "probe_queues" in metric.needs
    }
    assert everything - names(workers=None, stalled=None) == {
        metric.name for metric in CATALOG if "probe_workers" in metric.needs
    }
    assert {need for metric in CATALOG for need in metric.needs} == {
        "probe_queues",
        "probe_workers",
    }


def test_an_alarm_on_what_is_not_published_is_left_out_and_that_is_said() -> None:
    """Silence would be taken for safety."""
    settings = replace(PLAIN, probe_workers=False, without=("EventsLost",))
    choices = Choices(max_length=0)
    names = {one.name for one in alarms_of(settings, choices)}

    assert not names & {
        "celery-tasks-reserved",
        "celery-workers-stalled",
        "celery-events-lost",
        "celery-queue-length",
    }
    notes = "\n".join(left_out(settings, choices))
    assert "No alarm celery-tasks-reserved: TasksReserved needs `probe_workers`." in notes
    assert "No alarm celery-events-lost: `without` has EventsLost." in notes
    assert "No alarm celery-queue-length: its threshold is 0." in notes
    assert "The alarms tell nobody: add --topic ARN." in notes


@pytest.mark.parametrize(
    ("settings", "choices", "sentence"),
    [
        (
            replace(PLAIN, by_task=()),
            CHOICES,
            "TaskRuntime is not published: `by_task` has no TaskRuntime.",
        ),
        (
            replace(PLAIN, by_queue=()),
            CHOICES,
            "OldestMessageAge is not published: `by_queue` has no OldestMessageAge.",
        ),
        (
            replace(PLAIN, exclude_tasks=("shop.*",)),
            CHOICES,
            "--task shop.pay: `include_tasks` or `exclude_tasks` leaves it out.",
        ),
        (
            replace(PLAIN, groups=(("shop", ("shop.*",)),)),
            CHOICES,
            "--task shop.pay: it is published as the group 'shop'; name that.",
        ),
    ],
)
def test_an_alarm_asked_for_by_name_on_what_is_not_published_is_refused(
    settings: Settings, choices: Choices, sentence: str
) -> None:
    """Leaving it out would be a promise broken."""
    with pytest.raises(SettingsError) as caught:
        alarms_of(settings, choices)
    assert str(caught.value) == sentence


def test_scaling_to_zero_and_a_floor_of_workers_are_told_to_disagree() -> None:
    """Or the alarm would go off every night."""
    notes = left_out(PLAIN, Choices(workers_from=0, topics=("arn:aws:sns:a:1:b",)))

    assert notes == (
        "celery-too-few-workers goes off while the service is scaled to zero: "
        "--workers-at-least 0 leaves it out.",
    )
    assert not left_out(PLAIN, Choices(topics=("arn:aws:sns:a:1:b",)))


def test_a_group_has_alarms_under_its_own_name() -> None:
    """Its members have no series."""
    settings = replace(PLAIN, groups=(("shop", ("shop.*",)),))
    (alarm,) = [
        one
        for one in alarms_of(settings, Choices(tasks=(TaskEntry("shop", p95=1.0),)))
        if not one.of_cluster
    ]
    assert alarm.series[0].dimensions == (("Environment", "prod"), ("TaskName", "shop"))


def test_criticals_of_the_settings_make_alarms_of_queues_known_by_name() -> None:
    """Own limits win; a glob that no known name matches is told."""
    settings = replace(
        PLAIN,
        queues=("mail",),
        queue_length_limits=(("celery", (1.0, 10.0)), ("*", (5.0, 50.0))),
        queue_age_limits=(("slow.*", (5.0, 60.0)),),
    )
    choices = Choices(queues=(QueueEntry("celery", max_length=7.0),))
    found = {one.name: one.threshold for one in alarms_of(settings, choices) if not one.of_cluster}

    assert found == {"celery-queue-length-celery": 7.0, "celery-queue-length-mail": 50.0}
    assert "that matches slow.*:" in "\n".join(left_out(settings, choices))


def test_large_thresholds_are_written_out() -> None:
    """Nobody says 2e+06 messages."""
    choices = Choices(max_length=2_000_000, queues=(QueueEntry("celery", max_length=1_234_567),))
    texts = [one.description for one in alarms_of(PLAIN, choices)]
    said = [text for text in texts if "messages wait" in text]

    assert len(said) == 2
    assert "More than 2000000 messages" in said[0]
    assert "More than 1234567 messages" in said[1]


def test_what_only_the_limits_suggest_is_left_out_where_queues_have_no_series() -> None:
    """The alarm over all queues watches them all the same."""
    settings = replace(PLAIN, by_queue=(), queue_length_limits=(("celery", (1.0, 10.0)),))
    names = {one.name for one in alarms_of(settings, Choices())}

    assert "celery-queue-critical" in names
    assert "celery-queue-length-celery" not in names


def test_a_queue_named_without_limits_has_the_age_of_all() -> None:
    """Naming it is enough."""
    alarms = alarms_of(PLAIN, Choices(queues=(queue_entry("mail"),), max_age=90.0))
    assert [(one.name, one.threshold) for one in alarms if not one.of_cluster] == [
        ("celery-oldest-message-mail", 90.0)
    ]


@pytest.mark.parametrize(
    ("interval", "high_resolution", "period"),
    [(60.0, False, 60), (10.0, False, 60), (90.0, False, 120), (10.0, True, 10), (15.0, True, 30)],
)
def test_a_period_holds_at_least_one_shot(
    interval: float, high_resolution: bool, period: int
) -> None:
    """And is one that CloudWatch has."""
    settings = Settings(interval=interval, high_resolution=high_resolution)
    assert period_of(settings) == period
    assert {one.period_seconds for one in alarms_of(settings, Choices())} == {period}


def test_even_the_longest_interval_makes_alarms() -> None:
    """CloudWatch limits how far an alarm looks back."""
    assert alarms_of(Settings(interval=3_600.0), Choices())


def test_the_composite_alarm_is_over_those_of_the_cluster() -> None:
    """A single slow task does not make Celery unhealthy."""
    composite = composite_of(alarms_of(PLAIN, CHOICES), CHOICES)
    assert composite is not None
    assert composite.rule.startswith('ALARM("celery-monitor-dead") OR ALARM("celery-broker-lost")')
    assert "shop.pay" not in composite.rule


# -- what is refused -------------------------------------------------------------------------------

GOOD = Alarm(
    name="celery-x",
    description="x",
    series=(Series("m0", "Celery", "TasksFailed", "Sum"),),
    comparison=">",
    threshold=0.0,
    datapoints=3,
    periods=5,
    period_seconds=60,
    missing="notBreaching",
)
TEN = tuple(replace(GOOD.series[0], id=f"m{number}") for number in range(10))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expression": "FILL(m0, 0)"}, "FILL does not belong in an alarm"),
        ({"expression": "RATE(m0)"}, "RATE does not belong in an alarm"),
        ({"expression": "SUM(SEARCH('{Celery}', 'Sum'))"}, "SEARCH does not belong in an alarm"),
        ({"expression": "m0+m1"}, "it does not use exactly its series"),
        ({"series": TEN, "expression": "+".join(one.id for one in TEN)}, "more than 10 metrics"),
        ({"series": TEN[:2]}, "it needs one series, or an expression"),
        ({"datapoints": 6}, "6 of 5 datapoints"),
        ({"period_seconds": 45}, "a period of 45 seconds"),
        ({"period_seconds": 3_000, "periods": 30}, "it would look back for more than 86400"),
        ({"name": "x" * 256}, "its name must have 1 to 255 characters"),
        ({"description": "x" * 1_025}, "its description is longer than 1024"),
    ],
)
def test_an_alarm_cloudwatch_could_not_evaluate_cannot_be_made(
    changes: dict[str, Any], problem: str
) -> None:
    """It would be refused, or sit in INSUFFICIENT_DATA for ever."""
    with pytest.raises(ValueError, match=problem):
        replace(GOOD, **changes)


def test_a_composite_alarm_without_children_or_with_too_many_cannot_be_made() -> None:
    """A hundred are CloudWatch's limit."""
    for children in ((), tuple(map(str, range(101)))):
        with pytest.raises(ValueError, match="too many children, or none"):
            CompositeAlarm(name="x", description="x", children=children)


def test_names_too_long_stay_different() -> None:
    """They end in a digest."""
    one, other = name_of("celery", "queue-length", "x" * 400), name_of("celery", "q", "x" * 401)
    assert len(one) == len(other) == 255
    assert one != other


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Choices(prefix="a b"), "--prefix is 'a b'; it must be 1 to 40"),
        (lambda: Choices(topics=("mail",)), "--topic is 'mail'; it must be an ARN"),
        (lambda: Choices(pages=("arn:aws:sns:a:1:b",) * 6), "--page is given 6 times"),
        (lambda: Choices(workers_from=3, workers_to=2), "--workers-from is 3 and --workers-to 2"),
        (lambda: Choices(backlog=0.0), "--backlog is 0; it must be more than 0"),
        (lambda: Choices(queues=(QueueEntry("a"), QueueEntry("a"))), "--queue a is given twice"),
        (lambda: task_entry("shop.pay"), "say what to watch: shop.pay:p95=SECONDS"),
        (lambda: task_entry("shop.pay:p99=3"), "not 'p99' .did you mean 'p95'"),
        (lambda: queue_entry("mail:max_age=soon"), "max_age must be a number above 0"),
        (lambda: queue_entry(":max_age=1"), "it must begin with a name"),
    ],
)
def test_a_wrong_choice_gets_one_clear_sentence(make: Callable[[], Any], sentence: str) -> None:
    """It names flag and value."""
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_a_name_may_have_colons_of_its_own() -> None:
    """Only what follows the last one, and has an equals sign, are limits."""
    assert queue_entry("a:b") == QueueEntry("a:b")
    assert queue_entry("a:b:max_age=5") == QueueEntry("a:b", max_age=5.0)
