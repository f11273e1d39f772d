"""Routing: to which queue the app itself sends the tasks of a name."""

from __future__ import annotations

from collections.abc import Callable

from celery.app.routes import MapRoute

from .protocols import CeleryApp

__all__ = ["route_of"]


def route_of(app: CeleryApp) -> Callable[[str], str | None]:
    """Return what tells the queue of a task's name: by the task, else the routes, else the default.

    It looks at tables only, and changes nothing: the state asks it while events wait. None where a
    function of the user's decides, where a route names no queue, or where the routes are none.
    """

    def queue_of(name: str) -> str | None:
        try:
            return _name_of(_chosen(app, name))
        except Exception:  # noqa: BLE001  routes are whatever the user wrote; counting goes on
            return None

    return queue_of


def _chosen(app: CeleryApp, name: str) -> object:
    """Return the queue, or its name; None if it is not known."""
    own = getattr(app.tasks.get(name), "queue", None)
    if own is not None:
        return own
    for route in app.amqp.routes:
        if not isinstance(route, MapRoute):
            return None
        found = route(name)
        if found is not None:
            return found.get("queue")
    return app.conf.task_default_queue


def _name_of(queue: object) -> str | None:
    """Return the name of a queue that is given by it, or as kombu's."""
    name = getattr(queue, "name", queue)
    return name if isinstance(name, str) and name else None
