"""Lost consumer: a command that makes a worker lose its queues, as a broken connection does.

It goes on answering, and names the queues that it no longer reads. Give a worker
``--include tests.support.lost_consumer``.
"""

from __future__ import annotations

from typing import Any

from celery.worker.control import control_command


@control_command()  # type: ignore[untyped-decorator]  # Celery ships no types
def lose_consumer(state: Any) -> dict[str, str]:
    """Stop consuming without a trace in the worker's own records."""
    state.consumer.task_consumer.cancel()
    return {"ok": "lost"}
