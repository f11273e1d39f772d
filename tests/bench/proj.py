"""A Celery project without tasks, for the consumers that are started through ``celery -A``."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from celery.events.snapshot import Polaroid
from celery.events.state import State

app = Celery("bench", broker=os.environ.get("BROKER_URL"), set_as_current=False)
if os.environ.get("BENCH_KEEP"):
    # At full speed the consumer is slower than its queue fills, and Celery's TTL is 5 seconds.
    app.conf.event_queue_ttl = None


class Counting(Polaroid):  # type: ignore[misc]  # Celery ships no types
    """The least a camera can do: write down how many events Celery's state has seen."""

    def on_shutter(self, state: State) -> None:
        Path(os.environ["BENCH_COUNT"]).write_text(str(state.event_count))
