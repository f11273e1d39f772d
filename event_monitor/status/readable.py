"""Readable: why the workers of an app cannot be asked, or their answers not be read."""

from __future__ import annotations

from ..broker.capabilities import answers_remote_control
from ..broker.protocols import CeleryApp

__all__ = ["BLOCKED", "PICKLED", "SILENT", "why_nobody_answers"]

BLOCKED = "the broker takes messages from nobody, as its memory or disk is short"
PICKLED = "workers answer in pickle (task_serializer), which is never read"
SILENT = (
    "heartbeats come and no answer does, as with worker_enable_remote_control off or an app that "
    "accepts pickle only"
)


def why_nobody_answers(app: CeleryApp) -> str | None:
    """Return why no worker of this app answers a question; None if they may. Connects to nothing.

    Where it returns a reason, nothing should be asked: on SQS a question leaves queues behind.
    """
    connection = app.connection_for_read()
    if not answers_remote_control(connection):
        return f"{connection.transport.driver_type} has no remote control of workers"
    if not app.conf.get("worker_enable_remote_control", True):
        return "worker_enable_remote_control is off"
    return None
