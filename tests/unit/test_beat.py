"""Beat: from a task come the gauges that a task can know, in the right units, each worker once."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from celery import Celery
from celery.signals import beat_init

import event_monitor.beat
from event_monitor.beat import TASK_NAME, beat_schedule, gauges_from, leave_signs
from event_monitor.catalog import CATALOG
from event_monitor.liveness import read_note
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.testing import FakeClock

W1, W2 = "celery@one", "celery@two"
SETTINGS = Settings()
ANSWERS = (
    WorkerAnswer(
        W1,
        active=1,
        reserved=4,
        scheduled=0,
        revoked=0,
        pool_processes=2,
        memory_bytes=50_000_000,
        processed=(("proj.a", 9),),
        queues=("celery",),
    ),
    WorkerAnswer(
        W2,
        active=2,
        reserved=0,
        scheduled=0,
        revoked=0,
        pool_processes=2,
        memory_bytes=40_000_000,
        queues=("celery",),
    ),
)
QUEUES = (QueueDepth("celery", ready=12, unacked=5, oldest_seconds=30.0),)


def published(
    survey: Survey, own: str | None = W1, settings: Settings = SETTINGS
) -> dict[str, object]:
    """Name → value of the totals."""
    metrics = gauges_from(survey, settings, own=own, now=1_000.0)
    assert {metric.timestamp for metric in metrics} == {1_000.0}
    return {metric.name: metric.value for metric in metrics if not metric.dimensions}


def test_all_that_a_task_can_know_is_published() -> None:
    """Whole-value: nothing else is."""
    assert published(Survey(queues=QUEUES, workers=ANSWERS)) == {
        "WorkersOnline": 2,
        "TasksActive": 3,
        "TasksReserved": 4,
        "TasksScheduled": 0,
        "TasksRevokedHeld": 0,
        "PoolProcesses": 4,
        "WorkerUtilization": 75.0,
        "WorkerMemory": 50_000_000,
        "QueueLength": 12,
        "QueueUnacked": 5,
        "QueueConsumers": 2,
        "QueuesUnread": 0,
        "OldestMessageAge": 30.0,
        "BacklogPerWorker": 4.25,
        "ProbeFailures": 0,
    }


def test_the_catalog_marks_exactly_what_a_task_can_know() -> None:
    """Where the broker reports rates and limits are set, all of it is published."""
    queue = QueueDepth("celery", 12, 5, 1, 30.0, 1.0, 2.0)
    limited = Settings(queue_length_limits=(("*", (1, 2)),))

    names = set(published(Survey(queues=(queue,), workers=ANSWERS), settings=limited))
    assert names == {metric.name for metric in CATALOG if metric.from_survey}


def test_no_count_of_tasks_is_invented() -> None:
    """The well-known recipe says for ever that nothing succeeded, failed or was retried."""
    names = set(published(Survey(queues=QUEUES, workers=ANSWERS)))

    assert not {name for name in names if name.endswith(("Succeeded", "Failed", "Retried", "Lost"))}
    assert not {"MonitorHeartbeat", "BrokerConnected", "WorkersOffline"} & names


def test_a_worker_counts_once() -> None:
    """Also the one that runs the task, whether it can answer or, being solo, cannot."""
    assert published(Survey(workers=ANSWERS), own=W1)["WorkersOnline"] == 2
    assert published(Survey(workers=ANSWERS[1:]), own=W1)["WorkersOnline"] == 2


def test_memory_is_in_the_unit_it_is_labelled_with() -> None:
    """Bytes are Bytes."""
    metrics = gauges_from(Survey(workers=ANSWERS), SETTINGS, own=W1, now=1_000.0)

    (memory,) = [metric for metric in metrics if metric.name == "WorkerMemory"]
    assert (memory.value, memory.unit) == (50_000_000, "Bytes")


def test_when_nobody_answers_only_its_own_worker_is_known() -> None:
    """A solo worker alone: what it holds is unknown, not zero."""
    assert published(Survey(workers=())) == {"WorkersOnline": 1, "ProbeFailures": 0}


def test_when_nothing_could_be_asked_only_the_failures_are_published() -> None:
    """Unknown, not zero."""
    assert published(Survey(failures=2)) == {"ProbeFailures": 2}


def test_settings_hold_as_for_the_monitor() -> None:
    """Splits and what is left out."""
    settings = Settings(without=("QueueUnacked",), by_worker=("TasksReserved", "PoolProcesses"))
    metrics = gauges_from(Survey(queues=QUEUES, workers=ANSWERS), settings, own=W1, now=1_000.0)

    split = {
        (metric.name, metric.dimensions[0][1]): metric.value
        for metric in metrics
        if metric.dimensions
    }
    assert "QueueUnacked" not in {metric.name for metric in metrics}
    assert split["QueueLength", "celery"] == 12
    assert split["TasksReserved", W1] == 4
    assert split["PoolProcesses", W2] == 2


@pytest.mark.parametrize("queue", [None, "monitoring"])
def test_an_entry_for_the_schedule(queue: str | None) -> None:
    """What waited for a whole period is not worth publishing."""
    options = {"expires": 30} | ({"queue": queue} if queue else {})

    assert beat_schedule(seconds=30, queue=queue) == {
        "event-monitor-gauges": {"task": TASK_NAME, "schedule": 30, "options": options}
    }


def snippet() -> str:
    """Return the lines of code in the module's docstring, which are those to be copied."""
    indented = re.findall(r"(?:^    .*\n|^\n)+", event_monitor.beat.__doc__ or "", re.MULTILINE)
    return textwrap.dedent("".join(indented))


@pytest.mark.parametrize(
    "own", [("shop_extra",), ["shop_extra"], ()], ids=["tuple", "list", "none"]
)
def test_the_lines_to_be_copied_add_to_what_an_app_has(
    own: tuple[str, ...] | list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports and schedule of its own stay, and a worker finds the task."""
    # Given an app that is configured as most are
    config, extra = ModuleType("shop_config"), ModuleType("shop_extra")
    vars(config).update(
        imports=own, beat_schedule={"nightly": {"task": "shop.nightly", "schedule": 60.0}}
    )
    monkeypatch.setitem(sys.modules, "shop_config", config)
    monkeypatch.setitem(sys.modules, "shop_extra", extra)
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.config_from_object("shop_config")

    # When
    exec(snippet(), {"app": app})

    # Then
    assert tuple(app.conf.imports) == (*own, "event_monitor.beat")
    assert set(app.conf.beat_schedule) == {"nightly", "event-monitor-gauges"}
    imported = {module.__name__ for module in app.loader.import_default_modules()}
    assert {*own, "event_monitor.beat"} <= imported
    assert TASK_NAME in app.tasks


def test_a_django_project_names_it_among_its_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the docstring says."""
    settings = ModuleType("shop_settings")
    vars(settings).update(CELERY_IMPORTS=("event_monitor.beat",))
    monkeypatch.setitem(sys.modules, "shop_settings", settings)
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.config_from_object("shop_settings", namespace="CELERY")

    assert event_monitor.beat in app.loader.import_default_modules()


class Scheduler:
    """Sleeps as a test says."""

    def __init__(self) -> None:
        self.sleeps: list[float | None] = []

    def tick(self) -> float | None:
        return self.sleeps.pop(0)


class Service:
    """Celery's loop, a turn at a time."""

    def __init__(self, **conf: object) -> None:
        self.app = Celery("beat-test", broker="memory://", set_as_current=False)
        self.app.conf.event_monitor = conf
        self.scheduler = Scheduler()

    def turn(self, sleep: float | None) -> None:
        self.scheduler.sleeps = [sleep]
        assert self.scheduler.tick() == sleep


def test_beat_leaves_a_sign_each_time_before_it_sleeps(tmp_path: Path) -> None:
    """It says for how long; one where much is due leaves one a second."""
    clock = FakeClock(wall=1_000.0)
    service = Service(state_dir=str(tmp_path))

    def sign() -> tuple[object, object]:
        note = read_note(tmp_path / "beat")
        return note.get("at"), note.get("interval_seconds")

    leave_signs(cast("Any", service), clock=clock, signal=beat_init)
    assert sign() == (1_000.0, 0.0)
    clock.advance(0.5)
    service.turn(0.2)
    assert sign() == (1_000.0, 0.0)
    clock.advance(0.5)
    service.turn(None)
    assert sign() == (1_001.0, 0.0)
    service.turn(300.0)
    assert sign() == (1_001.0, 300.0)


def test_a_beat_with_wrong_settings_goes_on_without_a_sign(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A WARNING says why there is none."""
    service = Service(state_dir=str(tmp_path), interval=0)
    leave_signs(cast("Any", service))

    service.turn(5.0)
    assert "no sign of life for `healthcheck --beat`: app.conf.event_monitor" in caplog.text
    assert list(tmp_path.iterdir()) == []
