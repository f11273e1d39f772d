"""A camera written after Celery's guide, on ours: it prints what Celery's State keeps."""

from __future__ import annotations

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
            print(f"alive: {worker.hostname}", flush=True)
        for uuid, task in state.tasks.items():
            if task.state == "FAILURE":
                raised = task.traceback.strip().splitlines()[-1]
                print(f"failed: {task.name}[{uuid}] {task.exception} ({raised})", flush=True)
        raise RuntimeError("as planned")
