"""Tasks: runs that end in an unusual way are counted for what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.verdicts import BEAT_SECONDS, Verdicts
from ..support.waiting import wait_until
from ..support.witness import Witness

ETA_SECONDS = 10  # longer than a busy worker is late

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def test_runs_that_end_in_an_unusual_way(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Rejected is not failed, no end is vanished, and silent on purpose is not lost."""
    # Given
    monitor = verdicts.monitor()
    verdicts.worker("w1@host1")

    # When
    sent = {
        task: [verdicts.send(task, to="w1@host1") for _ in range(times)]
        for task, times in (
            ("reject", 2),
            ("ignore", 3),
            ("silent", 5),
            ("succeed", 5),
        )
    }
    for uuid in sent["reject"]:
        witness.wait_for(60, uuid=uuid, type="task-rejected")
    for uuid in sent["ignore"]:
        witness.wait_for(60, uuid=uuid, type="task-started")
    verdicts.wait_for_sum("TasksSucceeded", 5)
    verdicts.wait_for_sum("TasksVanished", 3)
    verdicts.outlast_the_grace()

    # Then
    assert monitor.stop() == 0
    endings = ("Rejected", "Failed", "Vanished", "Succeeded")
    assert {ending: cloudwatch.sum(f"Tasks{ending}") for ending in endings} == {
        "Rejected": 2,
        "Failed": 0,
        "Vanished": 3,
        "Succeeded": 5,
    }
    assert verdicts.found == {}
    assert cloudwatch.last("TasksRunning") == 0


def test_the_times_and_names_of_unusual_runs_are_their_own(
    verdicts: Verdicts, client: Celery, witness: Witness, cloudwatch: CloudWatch, tmp_path: Path
) -> None:
    """Of an id that is used again, with an eta, of an odd exception and a number that is none."""
    # Given
    monitor = verdicts.monitor(by_exception=True)
    name = "w1@host1"
    verdicts.worker(name)
    succeed = client.tasks["proj.succeed"]
    beats = 2

    # When two tasks of one id wait, one after the other, for two heartbeats of their worker
    for run in range(2):
        gate = tmp_path / str(run)
        holding = verdicts.send("hold", str(gate), to=name)
        witness.wait_for(60, uuid=holding, type="task-started")
        succeed.apply_async(task_id="again", queue=name)
        heard = verdicts.beats_since_now(name)
        wait_until(lambda heard=heard: heard() > beats, 60, "it beats")  # type: ignore[misc]
        gate.touch()
        wait_until(
            lambda: len(witness.events(uuid="again", type="task-succeeded")) > run,  # noqa: B023
            60,
            "it runs",
        )
    # And one waits for its eta, one fails, and somebody sends an event with a NaN
    succeed.apply_async(countdown=ETA_SECONDS, queue=name)
    verdicts.send("fail_oddly", to=name)
    with client.events.default_dispatcher() as dispatcher:
        dispatcher.send("order-paid", amount=float("nan"))
    verdicts.wait_for_sum("TasksSucceeded", 5)
    verdicts.wait_for_sum("TasksFailed", 1)
    assert monitor.stop() == 0

    # Then
    *waits, for_eta = cloudwatch.values("TaskQueueTime", TaskName="proj.succeed")
    assert len(waits) == 2
    assert min(waits) > (beats - 1) * BEAT_SECONDS
    assert for_eta < ETA_SECONDS
    assert cloudwatch.count("TaskPrefetchTime") == 5, "of all runs but the one with an eta"
    assert cloudwatch.sum("TasksFailed", ExceptionType="OddError") == 1
    assert (cloudwatch.sum("CustomEvents"), cloudwatch.sum("EventsInvalid")) == (1, 0)
    assert verdicts.found == {}
