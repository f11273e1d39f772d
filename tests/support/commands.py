"""Commands: given to workers that listen to them, which have done as they were told."""

from __future__ import annotations

from typing import Any

from celery import Celery

from .waiting import wait_until

_ANSWER_SECONDS = 5.0
SOON = 60.0  # seconds; only a very slow machine takes that long


def wait_until_they_listen(app: Celery, *workers: str) -> None:
    """Return when these workers take commands.

    One on Redis subscribes to them some time after it is ready: one that was sent before is lost.
    """
    wait_until(
        lambda: _who(app.control.ping(list(workers), timeout=_ANSWER_SECONDS)) == {*workers},
        SOON,
        f"{workers} listen to commands",
    )


def command(app: Celery, name: str, *workers: str, **arguments: object) -> dict[str, Any]:
    """Give a command to these workers, and return what each has answered."""
    wait_until_they_listen(app, *workers)
    replies = app.control.broadcast(
        name, arguments, destination=list(workers), reply=True, timeout=SOON
    )
    assert _who(replies) == {*workers}
    return {worker: answer for reply in replies for worker, answer in reply.items()}


def _who(replies: list[dict[str, Any]] | None) -> set[str]:
    return {worker for reply in replies or () for worker in reply}
