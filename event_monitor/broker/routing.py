"""Routing: to which queue the app itself sends the tasks of a name."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..text import one_line
from .protocols import CeleryApp

__all__ = ["route_of"]

log = logging.getLogger(__name__)


def route_of(app: CeleryApp) -> Callable[[str], str | None]:
    """Return what tells the queue of a task's name: by the task, else the routes, else the default.

    None where that fails: routes may be functions of the user's, which want arguments that are not
    known here.
    """
    failed = False

    def queue_of(name: str) -> str | None:
        nonlocal failed
        try:
            chosen = getattr(app.tasks.get(name), "queue", None)
            queue = app.amqp.router.route({"queue": chosen} if chosen else {}, name).get("queue")
        except Exception as error:  # noqa: BLE001  whatever a route of the user's raises
            if not failed:
                log.info(
                    "a route of the app's does not tell the queue of %s: %s", name, one_line(error)
                )
            failed = True
            return None
        return getattr(queue, "name", queue) or None

    return queue_of
