"""App names: the app's own tasks and queues, for the bill and against typing errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery
from kombu import Queue

from event_monitor.cli.app_names import AppNames, names_in
from event_monitor.settings import Settings

from .terminal import complaint, module, typed

SHOP = """
from celery import Celery
from kombu import Queue

def run():
    pass


app = Celery("shop", broker="memory://")
app.conf.event_monitor = {"exclude_tasks": "shop.tick,proj.*", "groups": "mail=mail.*"}
for name in ("shop.pay", "shop.refund", "shop.tick", "mail.send", "mail.bounce"):
    app.task(run, name=name, shared=False)
"""
DECLARED = 'app.conf.task_queues = [Queue("celery"), Queue("mail")]\n'


def run() -> None:
    """Do nothing, as a task."""


def app_with(**conf: object) -> Celery:
    """Return an app with one task and that configuration."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(**conf)
    app.task(run, name="shop.pay", shared=False)
    return app


def test_without_an_app_nothing_is_known() -> None:
    """As with a broker alone."""
    assert names_in(None, Settings()) == AppNames()


def test_celerys_own_tasks_are_not_the_apps() -> None:
    """Every app has celery.chord and the like."""
    tasks = names_in(app_with(), Settings()).tasks

    assert "shop.pay" in tasks  # beside the shared tasks of other apps of this process
    assert not [name for name in tasks if name.startswith("celery.")]


def test_queues_are_complete_only_where_they_are_declared() -> None:
    """Else workers may read any queue with -Q."""
    declared = app_with(
        task_queues=[Queue("celery"), Queue("mail")], task_routes={"shop.*": {"queue": "shop"}}
    )

    found, complete = names_in(app_with(), Settings()), names_in(declared, Settings(queues=("x",)))

    assert (found.queues, found.declared_queues) == (("celery",), ())
    assert complete.queues == complete.declared_queues == ("celery", "mail", "shop", "x")


def test_tasks_that_cannot_be_imported_are_not_known(
    desk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that writes alarms need not have all that a worker needs."""
    monkeypatch.syspath_prepend(str(desk))
    module(desk, "shop_tasks_broken", source="1 / 0\n")

    names = names_in(app_with(include=["shop_tasks_broken"]), Settings())

    assert names == AppNames(queues=("celery",))
    assert caplog.messages == [
        f"the tasks of the app are not known: {desk}/shop_tasks_broken.py, line 1, raises "
        "ZeroDivisionError: division by zero"
    ]


def test_cost_counts_the_tasks_and_queues_of_the_app(desk: Path) -> None:
    """What is excluded has no series, and a group has one set; so has our own task."""
    name = module(desk, "shop_to_pay_for", source="import event_monitor.beat\n" + SHOP + DECLARED)
    flags = ("-A", name, "--by-task", "TasksFailed", "--by-queue", "QueueLength")

    # In a process of its own: the tasks that others share belong to every app of a process.
    output = subprocess.run(
        [sys.executable, "-m", "event_monitor", "cost", *flags],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path.cwd()), *sys.path))},
    ).stdout

    words = " ".join(output.split())
    assert "Task names: 4 (of the app). Queues: 2 (of the app). Workers: 10." in words
    assert "series, by TaskName 4 1.20" in words
    assert "series, by QueueName 2 0.60" in words


def test_cost_counts_what_belongs_to_the_service(desk: Path) -> None:
    name = module(desk, "shop_of_two_services", source=SHOP + DECLARED)

    output = typed("cost", "-A", name, "--only-tasks", "shop.pay", "--only-queues", "mail").output

    assert output.startswith("Task names: 1 (of the app). Queues: 1 (of the app).")


def test_cost_counts_the_alarms_that_are_asked_for(desk: Path) -> None:
    """And knows a task that is none."""
    name = module(desk, "shop_with_alarms", source=SHOP)

    def alarms(*flags: str) -> int:
        lines = typed("cost", "-A", name, *flags).output.splitlines()
        (line,) = (line for line in lines if line.startswith("alarms, by metric"))
        return int(line.split()[3])

    assert alarms("--task", "shop.pay:p95=30,failures=5") == alarms() + 3
    assert complaint(typed("cost", "-A", name, "--task", "shop.payy:p95=3"), code=2) == (
        "--task shop.payy: the app has no such task (did you mean 'shop.pay'?)."
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--task", "shop.payy:p95=30"),
            "--task shop.payy: the app has no such task (did you mean 'shop.pay'?).",
        ),
        (
            ("--queue", "maill:max_age=60"),
            "--queue maill: the app has no such queue (did you mean 'mail'?).",
        ),
        (
            ("--scale-queue", "maill"),
            "--scale-queue maill: the app has no such queue (did you mean 'mail'?).",
        ),
    ],
)
def test_provision_refuses_what_the_app_does_not_have(
    desk: Path, flags: tuple[str, ...], sentence: str
) -> None:
    """In one sentence; with a broker alone nothing is known, and nothing refused."""
    name = module(desk, f"shop_{flags[0][2:].replace('-', '_')}", source=SHOP + DECLARED)

    assert complaint(typed("provision", "alarms", "-A", name, *flags), code=2) == sentence
    assert typed("provision", "alarms", "-b", "memory://", *flags).exit_code == 0


def test_provision_takes_any_queue_of_an_app_that_declares_none(desk: Path) -> None:
    """Workers may be started with -Q."""
    name = module(desk, "shop_without_queues", source=SHOP)

    result = typed("provision", "alarms", "-A", name, "--queue", "maill:max_age=60")

    assert result.exit_code == 0, result.output
