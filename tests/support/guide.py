"""A camera written after Celery's guide, on ours: it prints what Celery's State keeps."""

from __future__ import annotations

import click
from celery.events.state import State

from event_monitor import CloudWatchCam


class PrintingCam(CloudWatchCam):
    """Prints the workers and the tasks that failed, then forgets what has ended."""

    clear_after = True

    def on_shutter(self, state: State) -> None:
        """Print it, if anything came since the last time."""
        if not state.event_count:
            return
        for worker in state.alive_workers():
            click.echo(f"alive: {worker.hostname}")
        for uuid, task in state.tasks.items():
            if task.state == "FAILURE":
                raised = task.traceback.strip().splitlines()[-1]
                click.echo(f"failed: {task.name}[{uuid}] {task.exception} ({raised})")
        raise RuntimeError("as planned")
