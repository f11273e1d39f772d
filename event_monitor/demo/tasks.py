"""Tasks: the sample Celery app. A shop whose tasks succeed, fail, retry, wait and run long.

Nothing in it knows that it is monitored. What a task does is told by its arguments, so that two
runs of the demo do the same.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from celery import Celery, Task

from . import ledger
from .run import Run

__all__ = ["app"]

run = Run.from_environ(os.environ)
app = Celery("event_monitor.demo.tasks")
app.conf.update(run.configuration)


class DeclinedError(Exception):
    """The bank said no."""


class Recorded(Task):  # type: ignore[misc]  # Celery has no types
    """A task that writes its beginnings and endings into the ledger itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body."""
        ledger.note(run.ledger, "started", self.name)
        return self.run(*args, **kwargs)

    def on_success(self, *_: Any) -> None:
        """It returned."""
        ledger.note(run.ledger, "succeeded", self.name)

    def on_failure(self, *_: Any) -> None:
        """It raised."""
        ledger.note(run.ledger, "failed", self.name)

    def on_retry(self, *_: Any) -> None:
        """It asked to be run again."""
        ledger.note(run.ledger, "retried", self.name)


def send_mail(seconds: float) -> None:
    """Succeed. The same body serves the reminder (it waits for its eta) and the long report."""
    time.sleep(seconds)


def charge_card(seconds: float, declined: bool) -> None:
    """Fail when the card is declined."""
    time.sleep(seconds)
    if declined:
        raise DeclinedError


def sync_stock(self: Any, seconds: float, failures: int) -> None:
    """Retry as often as told, then succeed."""
    time.sleep(seconds)
    if self.request.retries < failures:
        raise self.retry(countdown=0.5, max_retries=failures)


for _name, _body, _bind in (
    ("shop.send_mail", send_mail, False),
    ("shop.send_reminder", send_mail, False),
    ("shop.charge_card", charge_card, False),
    ("shop.sync_stock", sync_stock, True),
    ("shop.build_report", send_mail, False),
    ("shop.export_year", send_mail, False),
):
    app.task(_body, name=_name, base=Recorded, bind=_bind)


def _end_with_the_demo(demo: int) -> None:
    """End this process group when the demo itself is killed, so that nothing outlives it."""
    while os.getppid() == demo:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=_end_with_the_demo, args=(run.pid,), daemon=True).start()
