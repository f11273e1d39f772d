"""The known mix: every way a Celery task can end, and what an exact monitor counts of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from .waiting import wait_until
from .witness import Witness

DEADLINE_SECONDS = 60
ETA_SECONDS = 12  # in which a slow machine, too, receives a task and revokes it

#: Metric → Sum, over the whole mix. Retries publish, receive and start a task again;
#: what was rejected has not failed, though Celery says so too; a task over its hard time limit
#: fails once, though Celery 5.7 reports it twice.
TOTALS = {
    "TasksSent": 61,
    "TasksReceived": 61,
    "TasksStarted": 57,
    "TasksSucceeded": 43,
    "TasksFailed": 5,
    "TasksRetried": 6,
    "TasksRevoked": 5,
    "TasksExpired": 2,
    "TasksTerminated": 1,
    "TasksRejected": 2,
    "TasksCancelled": 0,
}

#: Metric → task name → Sum, for the counts that are published per task by default.
BY_TASK = {
    "TasksSucceeded": {
        "proj.succeed": 32,
        "proj.elsewhere": 5,
        "proj.retry_then_succeed": 3,
        "proj.sleep_for": 3,
    },
    "TasksFailed": {"proj.fail": 4, "proj.overrun": 1},
    "TasksRetried": {"proj.retry_then_succeed": 6},
}

RETRIED = (
    *("task-sent", "task-received", "task-started", "task-retried") * 2,
    *("task-sent", "task-received", "task-started", "task-succeeded"),
)


@dataclass(frozen=True)
class Step:
    """``times`` calls of a task, and the events that have come when a call is over."""

    task: str
    times: int
    ends: tuple[str, ...]
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, client: Celery) -> list[AsyncResult[Any]]:
        """Publish the calls."""
        task = client.tasks[f"proj.{self.task}"]
        return [task.apply_async(self.args, **self.options) for _ in range(self.times)]

    def is_over(self, witness: Witness, result: AsyncResult[Any]) -> bool:
        """Return whether all events of that call have come."""
        return not Counter(self.ends) - witness.types_of(result.id)


SUCCEEDED = ("task-sent", "task-received", "task-started", "task-succeeded")
FAILED = ("task-sent", "task-received", "task-started", "task-failed")
TERMINATED = Step("sleep_for", 1, ("task-sent", "task-started", "task-revoked"), (60,))
REVOKED = Step(
    "succeed", 2, ("task-sent", "task-received", "task-revoked"), options={"countdown": ETA_SECONDS}
)
#: Received in time, and too late at their eta. (Still in the queue when it expires, a task is
#: dropped by RabbitMQ without an event; on Redis the worker sends task-revoked, never received.)
EXPIRED = Step(
    "succeed", 2, REVOKED.ends, options={"countdown": ETA_SECONDS, "expires": ETA_SECONDS - 0.5}
)
LAST = Step("succeed", 10, SUCCEEDED)
STEPS = (
    Step("overrun", 1, FAILED),
    Step("succeed", 2, SUCCEEDED, options={"countdown": 1}),
    Step("succeed", 20, SUCCEEDED),
    Step("elsewhere", 5, SUCCEEDED),
    Step("fail", 4, FAILED),
    Step("retry_then_succeed", 3, RETRIED),
    Step("reject", 2, (*FAILED, "task-rejected")),
    Step("sleep_for", 3, SUCCEEDED, (0.2,)),
)


def apply_mix(client: Celery, witness: Witness, *, interval_seconds: float) -> None:
    """Run the mix on the workers that are there, and return when the witness has received its end.

    The last tasks are over in the middle of one of the monitor's windows.
    """
    calls = [(EXPIRED, result) for result in EXPIRED.apply(client)]
    calls += [(REVOKED, result) for result in REVOKED.apply(client)]
    calls += [(TERMINATED, result) for result in TERMINATED.apply(client)]
    for step, result in calls:
        if step is REVOKED:
            witness.wait_for(DEADLINE_SECONDS, uuid=result.id, type="task-received")
            client.control.revoke(result.id)
        if step is TERMINATED:
            witness.wait_for(DEADLINE_SECONDS, uuid=result.id, type="task-started")
            client.control.revoke(result.id, terminate=True)
    calls += [(step, result) for step in STEPS for result in step.apply(client)]
    _wait_for_the_end(calls, witness)
    wait_until(lambda: 0.2 < time.time() % interval_seconds < 0.4, DEADLINE_SECONDS, "a new window")
    _wait_for_the_end([(LAST, result) for result in LAST.apply(client)], witness)


def _wait_for_the_end(calls: list[tuple[Step, AsyncResult[Any]]], witness: Witness) -> None:
    for step, result in calls:
        wait_until(
            partial(step.is_over, witness, result),
            DEADLINE_SECONDS,
            f"{step.task} {result.id} ends with {step.ends}: {witness.types_of(result.id)}",
        )
