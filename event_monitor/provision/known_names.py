"""Known names: finds the task or queue that was misspelt where the app knows its own. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import SettingsError
from ..settings import Settings, did_you_mean
from ..snapshot import OTHER, UNKNOWN
from .options import ProvisionOptions

__all__ = ["check_names"]


def check_names(
    options: ProvisionOptions,
    settings: Settings,
    *,
    tasks: Collection[str],
    queues: Collection[str],
) -> None:
    """Raise ``SettingsError`` for a name that is not among the app's.

    CloudWatch would take it, and the alarm would never go off. Empty ``tasks`` or ``queues`` mean
    that nothing is known of these, and nothing is refused.
    """
    if tasks:
        published = {*tasks, *dict(settings.groups), OTHER, UNKNOWN}
        for task in options.tasks:
            _check("--task", "task", task.name, published)
    if queues:
        for queue in options.queues:
            _check("--queue", "queue", queue.name, queues)
        if options.scale_queue:
            _check("--scale-queue", "queue", options.scale_queue, queues)
        for queue_name, _ in options.services:
            _check("--scale", "queue", queue_name, queues)


def _check(flag: str, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise SettingsError(
            f"{flag} {name}: the app has no such {kind}{did_you_mean(name, known)}."
        )
