"""Tasks: the sample Celery app. A shop whose tasks succeed, fail, retry, wait and run long.

Nothing in it knows that it is monitored. The arguments say what a task does, so that two runs of
the demo do the same. Worker processes and the monitor import this module by name.
"""

from __future__ import annotations

import os
import signal
import threading

from celery import Celery, Task

from ..clock import SYSTEM_CLOCK
from . import ledger
from .identity import Run
from .sqs import send_events

__all__ = ["app"]

run = Run.from_environ(os.environ)
app = Celery("event_monitor.demo.tasks")
app.conf.update(run.configuration)
send_events(app, run)


class DeclinedError(Exception):
    """The bank declined the card."""


class RecordedTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task that appends its starts and ends to the ledger itself."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Run the body."""
        ledger.append(run.ledger, "started", self.name)
        return self.run(*args, **kwargs)

    def on_success(self, *_: object) -> None:
        """Record that it returned."""
        ledger.append(run.ledger, "succeeded", self.name)

    def on_failure(self, *_: object) -> None:
        """Record that it raised."""
        ledger.append(run.ledger, "failed", self.name)

    def on_retry(self, *_: object) -> None:
        """Record that it asked to be run again."""
        ledger.append(run.ledger, "retried", self.name)


def sleep(seconds: float) -> None:
    """Succeed after that long."""
    SYSTEM_CLOCK.sleep(seconds)


def charge_card(seconds: float, declined: bool) -> None:
    """Fail when the card is declined."""
    SYSTEM_CLOCK.sleep(seconds)
    if declined:
        raise DeclinedError


def sync_stock(self: Task, seconds: float, failures: int) -> None:
    """Retry ``failures`` times, then succeed."""
    SYSTEM_CLOCK.sleep(seconds)
    if self.request.retries < failures:
        raise self.retry(countdown=0.5, max_retries=failures)


for _name, _body, _bind in (
    ("shop.send_mail", sleep, False),
    ("shop.send_reminder", sleep, False),
    ("shop.charge_card", charge_card, False),
    ("shop.sync_stock", sync_stock, True),
    ("shop.build_report", sleep, False),
    ("shop.export_year", sleep, False),
):
    app.task(_body, name=_name, base=RecordedTask, bind=_bind)


def _end_with_the_demo(demo_pid: int) -> None:
    """End this process group when the demo itself is killed, so that nothing outlives it."""
    while os.getppid() == demo_pid:
        SYSTEM_CLOCK.sleep(1)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=_end_with_the_demo, args=(run.pid,), daemon=True).start()
