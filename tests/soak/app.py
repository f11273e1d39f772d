"""App: the project of the soak's workers; each run of a task is written down by who runs it.

``SOAK_LEDGER`` is the file of one worker process: a line when a run begins, a line when it ends. A
line is one write to the kernel, so a kill -9 neither loses nor cuts it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, task_prerun

#: Queue of every pool but solo, and of short tasks only: a solo worker is silent while one runs.
QUEUE, SHORT_QUEUE = "soak", "soak-short"

app = Celery("soak", broker=os.environ.get("BROKER_URL"), set_as_current=False)
app.conf.update(
    task_default_queue=QUEUE,
    task_send_sent_event=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_enable_soft_shutdown_on_idle=False,
    # As Celery before 5.6: else RabbitMQ refuses the second worker of a name.
    control_queue_exclusive=False,
    # The recorder's own queue on RabbitMQ must keep what a busy machine reads late.
    event_queue_ttl=600.0,
)


@app.task(name="soak.short")  # type: ignore[untyped-decorator]
def short(seconds: float) -> None:
    """End at once, or nearly."""
    time.sleep(seconds)


@app.task(name="soak.long")  # type: ignore[untyped-decorator]
def long(seconds: float) -> None:
    """Sleep, as a slow task does: longer than the monitor's patience with a silent worker."""
    time.sleep(seconds)


@app.task(name="soak.fail")  # type: ignore[untyped-decorator]
def fail() -> None:
    """Raise an exception."""
    raise ValueError("as planned")


@app.task(name="soak.retry", bind=True)  # type: ignore[untyped-decorator]
def retry(self: Task[..., Any], times: int) -> None:
    """Retry so many times, then return."""
    if self.request.retries < times:
        raise self.retry(countdown=0.1, max_retries=times)


def _write(what: str, task_id: str) -> None:
    line = json.dumps({"at": time.time(), "what": what, "uuid": task_id}) + "\n"
    ledger = os.open(os.environ["SOAK_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


@task_prerun.connect  # type: ignore[untyped-decorator]
def _begun(task_id: str, **_: Any) -> None:
    _write("begin", task_id)


@task_postrun.connect  # type: ignore[untyped-decorator]
def _ended(task_id: str, **_: Any) -> None:
    _write("end", task_id)
