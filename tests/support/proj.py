"""A sample Celery project. Run it with ``celery -A tests.support.proj worker``.

``BROKER_URL`` and ``RESULT_BACKEND`` come from the environment, ``SEND_SENT_EVENT=0`` switches the
producer's task-sent events off, ``WORKER_DIRECT=1`` gives each worker a queue of its own,
``VISIBILITY_TIMEOUT`` is that of Redis, in seconds. Every ``BEAT_SECONDS`` beat sends two tasks.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from celery.worker.request import Request

QUEUES = ("celery", "elsewhere")
RETRIES = 2
HARD_LIMIT_SECONDS = 1


def succeed() -> int:
    """Return a number."""
    return 42


def elsewhere() -> None:
    """Return; the task is routed to a queue of its own."""


def call(self: Task[..., Any]) -> None:
    """Call two tasks."""
    for _ in range(2):
        self.app.tasks["proj.succeed"].delay()


def fail() -> None:
    """Raise an exception."""
    raise ValueError("as planned")


class OddError(Exception):
    """An error whose repr does not begin with its class."""

    def __repr__(self) -> str:
        return "<3 problems>"


def fail_oddly() -> None:
    """Raise an exception that only its traceback names."""
    raise OddError


def retry_then_succeed(self: Task[..., Any]) -> None:
    """Retry ``RETRIES`` times, then return."""
    if self.request.retries < RETRIES:
        raise self.retry(countdown=0.05, max_retries=RETRIES)


def exhaust(self: Task[..., Any]) -> None:
    """Retry ``RETRIES`` times, then fail."""
    raise self.retry(exc=ValueError("as planned"), countdown=0.05, max_retries=RETRIES)


def reject() -> None:
    """Give the message back to the broker, which drops it."""
    raise Reject("as planned", requeue=False)


def ignore() -> None:
    """Give up in silence: no event says that this run is over."""
    raise Ignore


def silent() -> None:
    """Return; no event is sent for any run of it."""


def sleep_for(seconds: float) -> None:
    """Sleep, as a slow task does."""
    time.sleep(seconds)


def hold(path: str) -> None:
    """Run until that file is there."""
    while not os.path.exists(path):  # noqa: PTH110  as simple as it gets, for any pool
        time.sleep(0.05)


class Doomed(Request):  # type: ignore[misc]  # Celery ships no types
    """A run of a task that kills its worker, once the message is acknowledged, if told to."""

    def acknowledge(self) -> None:
        """Acknowledge it; then, perhaps, kill all processes, before they tell that it began."""
        if self.args == ["die"]:
            self._message.ack()
            os.killpg(0, signal.SIGKILL)
        super().acknowledge()


class DoomedTask(Task):  # type: ignore[misc]  # Celery ships no types
    """A task whose worker may die of it."""

    Request = Doomed


def doom(fate: str) -> str:
    """Return, unless its worker has died."""
    return fate


def overrun() -> None:
    """Run into the hard time limit."""
    time.sleep(60)


def build(environ: Mapping[str, str]) -> Celery:
    """Return the project's app, with the settings of the environment."""
    app = Celery("proj", broker=environ.get("BROKER_URL"), set_as_current=False)
    app.conf.update(
        result_backend=environ.get("RESULT_BACKEND", "disabled://"),
        task_send_sent_event=environ.get("SEND_SENT_EVENT", "1") == "1",
        task_routes={"proj.elsewhere": {"queue": "elsewhere"}},
        broker_connection_retry_on_startup=True,
        worker_enable_soft_shutdown_on_idle=False,
        worker_direct=environ.get("WORKER_DIRECT") == "1",
    )
    if "VISIBILITY_TIMEOUT" in environ:
        seconds = int(environ["VISIBILITY_TIMEOUT"])
        app.conf.broker_transport_options = {"visibility_timeout": seconds}
        # Else the worker that runs a task may take it once more, to run it after itself.
        app.conf.worker_prefetch_multiplier = 1
    if "BEAT_SECONDS" in environ:
        app.conf.imports = ("event_monitor.beat",)
        app.conf.beat_schedule = {
            name: {"task": f"proj.{name}", "schedule": float(environ["BEAT_SECONDS"])}
            for name in ("succeed", "elsewhere")
        }
    for function in (succeed, elsewhere, fail, fail_oddly, ignore, sleep_for, hold):
        app.task(function, name=f"proj.{function.__name__}")
    app.task(call, name="proj.call", bind=True)
    app.task(retry_then_succeed, name="proj.retry_then_succeed", bind=True)
    app.task(exhaust, name="proj.exhaust", bind=True)
    app.task(hold, name="proj.hold_late", acks_late=True)
    app.task(doom, name="proj.doom", base=DoomedTask)
    app.task(silent, name="proj.silent", send_events=False)
    # Only a message that is not acknowledged yet can be rejected.
    app.task(reject, name="proj.reject", acks_late=True)
    app.task(overrun, name="proj.overrun", time_limit=HARD_LIMIT_SECONDS)
    return app


app = build(os.environ)
