"""Exposition: what Prometheus reads, and what its dashboards and alerts need of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_read
from prometheus_client.parser import text_string_to_metric_families as read

from event_monitor.snapshot import (
    UNKNOWN,
    BrokerLink,
    EndedTask,
    ExceptionCounts,
    Live,
    OrphanedTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
)
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer
from event_monitor.web.cells import Room
from event_monitor.web.exposition import MOST_LINES, wants_openmetrics

from .making import Scene, live, on_workers, snapshot, times, worker

ADD = 'hostname="generic",name="proj.add",queue_name="celery"'
W1, W2 = "celery@one", "mail@one"


def seen_once(scene: Scene) -> Scene:
    """What is new was scraped as 0."""
    scene.scrape()
    return scene


def test_the_counters_are_those_of_celery_exporter() -> None:
    """Its dashboards and alerts go on working."""
    scene = Scene()
    counts = TaskCounts(
        *(7, 6, 5, 4, 3, 2, 1), rejected=8, runtime=times(0.3), queue_time=times(2.0)
    )
    scene.views(snapshot({"proj.add": counts}))
    scene.live = live(opened_at=60)
    lines = seen_once(scene).scrape()

    assert {
        what: lines[f"celery_task_{what}_total{{{ADD}}}"]
        for what in ("sent", "received", "started", "succeeded", "retried", "revoked", "rejected")
    } == {
        "sent": 7,
        "received": 6,
        "started": 5,
        "succeeded": 4,
        "retried": 2,
        "revoked": 1,
        "rejected": 8,
    }
    assert lines[f'celery_task_failed_total{{{ADD},exception=""}}'] == 3
    bucket = f"celery_task_runtime_bucket{{{ADD}"
    assert (lines[f'{bucket},le="0.25"}}'], lines[f'{bucket},le="0.5"}}']) == (0, 1)
    assert lines[f"celery_task_runtime_count{{{ADD}}}"] == 1
    assert lines[f"celery_task_runtime_sum{{{ADD}}}"] == 0.3
    assert lines[f"celery_task_queue_wait_time_sum{{{ADD}}}"] == 2.0


def test_a_new_series_begins_at_0_for_each_who_scrapes() -> None:
    """One that begins at 1 has no increase: the first failure of a task would go unseen."""
    # Given two who scrape
    scene = Scene()
    sent = f"celery_task_sent_total{{{ADD}}}"
    scene.scrape("one")
    scene.scrape("two")

    # When a task is seen for the first time
    scene.live = live({"proj.add": TaskCounts(sent=3)}, opened_at=0.5)

    # Then
    assert [scene.scrape("one")[sent], scene.scrape("one")[sent]] == [0, 3]
    assert [scene.scrape("two")[sent], scene.scrape("two")[sent]] == [0, 3]
    # And one who has just come sees no fall to 0 of what others have seen
    assert scene.scrape("three")[sent] == 3


def test_what_happened_before_the_first_scrape_is_an_increase_too() -> None:
    """Also of what has no labels."""
    scene = Scene()
    loss = WorkerLoss(W1, 60.0, orphans=(OrphanedTask("u1", "proj.add"),))
    scene.views(snapshot(losses=(loss,)))
    assert scene.scrape()["celery_tasks_orphaned_total"] == 0
    scene.live = live(opened_at=60)
    assert scene.scrape()["celery_tasks_orphaned_total"] == 1


def test_two_workers_of_one_host_are_kept_apart() -> None:
    """By a label that no dashboard asks for."""
    scene = Scene()
    scene.views(snapshot(workers=(worker(W1, active=2), worker(W2))))
    lines = scene.scrape()
    assert lines[f'celery_worker_up{{hostname="one",worker="{W1}"}}'] == 1
    assert lines[f'celery_worker_up{{hostname="one",worker="{W2}"}}'] == 1
    assert lines[f'celery_worker_tasks_active{{hostname="one",worker="{W1}"}}'] == 2
    assert f'celery_worker_tasks_active{{hostname="one",worker="{W2}"}}' not in lines


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("node", {"generic": 3, W1: 1, W2: 2, "w@two": 4}),
        ("host", {"generic": 3, "one": 3, "two": 4}),
        ("generic", {"generic": 10}),
    ],
)
def test_hosts_are_told_apart_where_that_is_wanted(label: str, shown: dict[str, float]) -> None:
    """Workers of one host are one; what a producer sends has celery-exporter's word."""
    scene = Scene(http_hostname_label=label)
    sent = {None: 3, W1: 1, W2: 2, "w@two": 4}
    counted = on_workers({name: TaskCounts(sent=count) for name, count in sent.items()})
    if label == "generic":
        del counted["by_task_queue_and_worker"]
    workers = tuple(worker(name) for name in sent if name)
    scene.views(Snapshot(Window(0.0, 60.0, **counted), workers=workers))
    scene.live = live(opened_at=60)
    lines = seen_once(scene).scrape()
    of_hosts = f'celery_task_sent_total{{hostname="%s",{ADD.partition(",")[2]}}}'
    assert {name: lines[of_hosts % name] for name in shown} == shown
    assert sum("task_sent_total" in name for name in lines) == len(shown)


def test_a_host_without_workers_is_forgotten_and_begins_at_0_when_it_is_back() -> None:
    """Or pods that come and go would fill the page; a counter may begin anew."""
    scene = Scene(http_hostname_label="host", room=Room(counts=20, times=200))
    failed = (
        'celery_task_failed_total{hostname="%s",name="proj.add",queue_name="celery",exception="%s"}'
    )

    def shoot(on: str, *workers: str) -> dict[str, float]:
        raised = (ExceptionCounts("proj.add", "celery", "ValueError", failed=1, worker=on),)
        counted = on_workers({on: TaskCounts(failed=1)})
        window = Window(0.0, 60.0, exceptions=raised, **counted)
        scene.views(Snapshot(window, workers=tuple(map(worker, workers))))
        scene.live = live(opened_at=60)
        scene.scrape()
        return scene.scrape()

    shoot(W1, W1)
    assert shoot(W1, W1)[failed % ("one", "ValueError")] == 2
    for number in range(10):
        pod = f"w@pod{number}"
        lines = shoot(pod, W1 if number else pod, pod)
        assert lines[failed % (f"pod{number}", "ValueError")] == 1
    assert failed % ("one", "ValueError") not in lines
    assert failed % ("pod0", "ValueError") not in lines
    assert lines["celery_series_folded"] == 0
    assert shoot(W1, W1)[failed % ("one", "ValueError")] == 1


def exemplars(scene: Scene) -> dict[str, tuple[str, float, float]]:
    """Return those of the page, by the sample's name and what tells it apart, strictly read."""
    text = scene.views.metrics(scraper="prometheus", openmetrics=True).decode()
    return {
        f"{sample.name} {sample.labels.get('exception') or sample.labels.get('le')}": (
            sample.exemplar.labels["task_id"],
            sample.exemplar.value,
            float(sample.exemplar.timestamp),
        )
        for family in strictly_read(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }


def ended(id_: str, how: Any, **fields: Any) -> EndedTask:
    return EndedTask(id=id_, how=how, name="proj.add", ended=NOW, worker=W1, **fields)


NOW = 1_700_000_000.5


def test_a_number_names_the_last_task_that_it_counts() -> None:
    """In OpenMetrics, which has a place for it."""
    scene = Scene()
    raised = (ExceptionCounts("proj.add", UNKNOWN, "ValueError", failed=2),)
    counts = TaskCounts(failed=2, succeeded=2, runtime=times(0.001, 0.02, 0.3, 99.0))
    scene.live = live({"proj.add": counts}, exceptions=raised)
    scene.views.on_tasks(
        [
            ended("u1", "failed", exception="ValueError"),
            ended("u2", "failed", exception="ValueError"),
            ended("u3", "succeeded", runtime=0.3),
            ended("u4", "succeeded", runtime=99.0),
            ended("u5", "retried", exception="KeyError"),
            ended("u6", "failed", exception="KeyError"),
            ended('"', "succeeded", runtime=0.02),
            ended("x" * 122, "succeeded", runtime=0.001),
        ]
    )
    assert exemplars(scene) == {}, "a new series is 0 and has counted nobody"
    assert exemplars(scene) == {
        "celery_task_failed_total ValueError": ("u2", 1.0, NOW),
        "celery_task_runtime_bucket 0.5": ("u3", 0.3, NOW),
        "celery_task_runtime_bucket 120.0": ("u4", 99.0, NOW),
    }
    assert b" # {" not in scene.views.metrics(scraper="prometheus", openmetrics=False)


def test_a_number_of_a_host_names_a_task_of_that_host() -> None:
    """Where hosts are told apart."""
    scene = Scene(http_hostname_label="node")
    on: dict[str | None, TaskCounts] = {
        W1: TaskCounts(runtime=times(0.3)),
        W2: TaskCounts(runtime=times(0.4)),
    }
    scene.live = Live(taken_at=1.0, opened_at=0.0, **on_workers(on))
    scene.views.on_tasks([ended("u1", "succeeded", runtime=0.3, queue="celery")])
    seen_once(scene)
    text = scene.views.metrics(scraper="prometheus", openmetrics=True).decode()
    (line,) = (line for line in text.splitlines() if " # {" in line)
    assert line.startswith(f'celery_task_runtime_bucket{{hostname="{W1}"')


def test_tasks_that_numbers_name_are_bounded() -> None:
    """Whoever may write to the broker can make up exceptions."""
    scene = Scene()
    classes = [f"E{number}" for number in range(10_010)]
    raised = tuple(ExceptionCounts("proj.add", UNKNOWN, name, failed=1) for name in classes[::-1])
    scene.live = live({"proj.add": TaskCounts(failed=10_010)}, exceptions=raised)
    scene.views.on_tasks([ended("u", "failed", exception=name) for name in classes])
    seen_once(scene)
    named = exemplars(scene)
    assert 9_000 < len(named) < 10_000
    assert "celery_task_failed_total E10005" not in named


def up(scene: Scene) -> float | None:
    scene.live = live(opened_at=scene.clock.wall())
    return scene.scrape().get(f'celery_worker_up{{hostname="one",worker="{W1}"}}')


def test_a_lost_worker_is_down_for_twenty_minutes_though_it_is_forgotten() -> None:
    """The alert needs a quarter of an hour."""
    scene = Scene()
    scene.views(snapshot(workers=(worker(W1),)))
    assert up(scene) == 1
    lost = worker(W1, WorkerState.LOST)
    scene.views(snapshot(workers=(lost,), losses=(WorkerLoss(W1, 60.0),)))
    for _ in range(20):
        assert up(scene) == 0
        scene.clock.advance(60)
        scene.views(snapshot())
    scene.clock.advance(300)
    scene.views(snapshot())
    assert up(scene) is None


def test_a_lost_worker_that_is_back_is_up() -> None:
    """At once."""
    scene = Scene()
    scene.views(snapshot(workers=(worker(W1, WorkerState.LOST),), losses=(WorkerLoss(W1, 60.0),)))
    scene.views(snapshot(workers=(worker(W1),)))
    assert up(scene) == 1


@pytest.mark.parametrize(("silent_seconds", "value"), [(1.0, 0), (239.0, 0), (240.0, None)])
def test_after_a_goodbye_the_series_ends(silent_seconds: float, value: float | None) -> None:
    """So a deploy that renames all workers raises no alert."""
    scene = Scene()
    gone = worker(W1, WorkerState.OFFLINE, silent_seconds=silent_seconds)
    scene.views(snapshot(workers=(gone,)))
    assert up(scene) == value


def test_queues_have_what_the_broker_and_the_workers_say() -> None:
    """What is unknown is absent."""
    scene = Scene()
    survey = Survey(
        queues=(QueueDepth("mail", ready=7, consumers=2, oldest_seconds=3.5), QueueDepth("web")),
        workers=(WorkerAnswer(W1, queues=("mail",), pool_processes=4),),
        absent=(AbsentWorker(W2, queues=("web",)),),
    )
    scene.views(snapshot(survey=survey, workers=(worker(W1),)))
    lines = scene.scrape()
    of_queues = {name: value for name, value in lines.items() if "queue_name" in name}
    assert of_queues == {
        'celery_queue_length{queue_name="mail"}': 7,
        'celery_active_consumer_count{queue_name="mail"}': 2,
        'celery_active_worker_count{queue_name="mail"}': 1,
        'celery_active_process_count{queue_name="mail"}': 4,
        'celery_oldest_message_age_seconds{queue_name="mail"}': 3.5,
        'celery_backlog_per_worker{queue_name="mail"}': 7 / 4,
    }


def test_before_events_come_nothing_is_said_of_workers_and_tasks() -> None:
    """A standby counts nothing."""
    scene = Scene()
    scene.views(snapshot(link=BrokerLink.STANDBY))
    lines = scene.scrape()
    assert lines["celery_broker_connected"] == 1
    assert "celery_workers_online" not in lines
    assert not [name for name in lines if name.startswith("celery_task_") and "{" in name]


def test_before_the_first_shot_there_is_what_the_look_shows() -> None:
    """Rather than an error."""
    scene = Scene()
    scene.live = live({"proj.add": TaskCounts(sent=1)})
    assert seen_once(scene).scrape()[f"celery_task_sent_total{{{ADD}}}"] == 1


def test_there_are_never_more_lines_than_the_bound() -> None:
    """Whatever there is of names, queues and workers; lost workers go first."""
    scene = Scene()
    tasks = {f"t{number}": TaskCounts(sent=1, failed=1) for number in range(3_000)}
    workers = tuple(worker(f"w@h{number}", active=1) for number in range(12_000))
    queues = tuple(QueueDepth(f"q{number}", ready=1, unacked=1) for number in range(2_000))
    scene.views(
        snapshot(
            tasks,
            workers=workers,
            survey=Survey(queues=queues, workers=()),
            losses=(WorkerLoss("lost@h", 60.0),),
        )
    )
    scene.live = live(opened_at=60)
    lines = seen_once(scene).scrape()

    text = scene.views.metrics(scraper="prometheus", openmetrics=True)
    assert MOST_LINES - 10 < text.count(b"\n") <= MOST_LINES
    assert lines['celery_worker_up{hostname="h",worker="lost@h"}'] == 0
    assert sum(count for name, count in lines.items() if "task_sent_total" in name) == 3_000
    assert lines["celery_series_folded"] == 1_801


NAMES = st.text(st.characters(codec=None), min_size=1, max_size=20)


@settings(deadline=None)  # the first one imports
@given(st.dictionaries(NAMES, st.integers(0, 10), max_size=5), st.lists(NAMES, unique=True))
def test_any_name_can_be_read_back(names: dict[str, int], nodes: list[str]) -> None:
    """By the strict parser of OpenMetrics, and by that of the plain text."""
    scene = Scene(room=Room(counts=10_000, times=10_000))
    queues = tuple(QueueDepth(name, ready=count) for name, count in names.items())
    scene.views(
        snapshot(
            {name: TaskCounts(sent=count) for name, count in names.items()},
            workers=tuple(map(worker, nodes)),
            survey=Survey(queues=queues),
        )
    )
    scene.live = live(opened_at=60)
    scene.scrape()
    for openmetrics, parse in ((True, strictly_read), (False, read)):
        text = scene.views.metrics(scraper="prometheus", openmetrics=openmetrics).decode()
        families = {family.name: family for family in parse(text)}
        sent = {s.labels["name"]: s.value for s in families["celery_task_sent"].samples}
        assert sent == {
            name.encode("utf-8", "backslashreplace").decode(): count
            for name, count in names.items()
        }
        assert len(families["celery_worker_up"].samples) == len(nodes)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", True),
        ("text/plain, application/openmetrics-text", True),
        ("text/plain;version=0.0.4", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_openmetrics_is_for_who_asks_for_it(accept: str, openmetrics: bool) -> None:
    """As Prometheus does."""
    assert wants_openmetrics(accept) is openmetrics
