"""Known names: finds the task or queue that was misspelt, or belongs to another service. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

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
    """Raise ``SettingsError`` for a name that is not among the app's, or that ``only_*`` leave out.

    CloudWatch would take it, and the alarm would never go off. Empty ``tasks`` or ``queues`` mean
    that nothing is known of these, and nothing is refused.
    """
    _check_only(options, settings)
    if tasks:
        published = {*tasks, *dict(settings.groups), OTHER, UNKNOWN}
        for task in options.tasks:
            _check("--task", "task", task.name, published)
    if queues:
        for flag, name in _queues_in(options):
            _check(flag, "queue", name, queues)


def _queues_in(options: ProvisionOptions) -> Iterator[tuple[str, str]]:
    """Yield the flag and the name of each queue that is named."""
    for queue in options.queues:
        yield "--queue", queue.name
    if options.scale_queue:
        yield "--scale-queue", options.scale_queue
    for name, _ in options.services:
        yield "--scale", name


def _check_only(options: ProvisionOptions, settings: Settings) -> None:
    only, of_several = settings.only, {*dict(settings.groups), OTHER}
    for task in options.tasks:
        if task.name not in of_several and not only.has_task(task.name):
            raise SettingsError(f"--task {task.name}: `only_tasks` leaves it out.")
    for flag, name in _queues_in(options):
        if not only.has_queue(name):
            raise SettingsError(f"{flag} {name}: `only_queues` leaves it out.")


def _check(flag: str, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise SettingsError(
            f"{flag} {name}: the app has no such {kind}{did_you_mean(name, known)}."
        )
