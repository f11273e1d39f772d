"""A Celery project whose workers can be told to fall out of their queues, as some do by a fault.

Run it with ``celery -A tests.support.letting_go``. A worker on Redis that lost its connection may
go on beating and answering, and take no message any more.
"""

from __future__ import annotations

import os
from typing import Any

from celery.worker.control import control_command

from .proj import build

app = build(os.environ)


@control_command()  # type: ignore[untyped-decorator]
def let_go(state: Any) -> dict[str, str]:
    """Take no message any more, and say nothing about it."""
    state.consumer.task_consumer.cancel()
    return {"ok": "let go"}


@control_command()  # type: ignore[untyped-decorator]
def take_hold(state: Any) -> dict[str, str]:
    """Take messages again."""
    state.consumer.task_consumer.consume()
    return {"ok": "took hold"}
