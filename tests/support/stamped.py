"""A Celery project whose tasks carry the enqueued-at header.

Run it with ``celery -A tests.support.stamped``.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Task

from event_monitor.enqueued_at import HEADER, stamp_tasks

from .proj import build


def tell_stamp(self: Task[..., Any]) -> None:
    """Print the header of the message, and retry once."""
    sent_at = (self.request.headers or {}).get(HEADER)
    print(f"run {self.request.retries} of a task sent at {sent_at!r}.")  # noqa: T201
    if not self.request.retries:
        raise self.retry(countdown=0.1)


app = build(os.environ)
app.task(tell_stamp, name="tell_stamp", bind=True)
stamp_tasks(app)
