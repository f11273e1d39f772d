"""App names: the tasks and queues that an app itself declares."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..broker.protocols import CeleryApp
from ..settings import Settings
from .failure import described, place

__all__ = ["AppNames", "names_in"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppNames:
    """The names that are known; empty for what is not."""

    tasks: tuple[str, ...] = ()  # without Celery's own
    queues: tuple[str, ...] = ()  # that would be watched
    declared_queues: tuple[str, ...] = ()  # the same where `task_queues` makes the list complete


def names_in(app: CeleryApp | None, settings: Settings) -> AppNames:
    """Return what the app declares; without an app nothing is known. Imports its task modules."""
    if app is None:
        return AppNames()
    from ..probes.queues import queue_names  # slow, and needed with an app only

    queues = queue_names(app, settings)
    return AppNames(
        tasks=_tasks(app),
        queues=queues,
        declared_queues=queues if app.conf.get("task_queues") else (),
    )


def _tasks(app: CeleryApp) -> tuple[str, ...]:
    """Return the registered tasks, after importing the modules that a worker would import."""
    try:
        app.loader.import_default_modules()
        names = tuple(app.tasks)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the user's modules do
        log.warning(
            "the tasks of the app are not known: %s raises %s", place(error), described(error)
        )
        return ()
    return tuple(sorted(name for name in names if not name.startswith("celery.")))
