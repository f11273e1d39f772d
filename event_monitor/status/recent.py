"""Recent: what ended in the last minutes, from a history beside us. Needs SQLite."""

from __future__ import annotations

from pathlib import Path

from ..errors import UnavailableError
from ..history import FILE_NAME, MINUTE, Reader
from ..settings import Settings
from .failing import find_failing, lately
from .report import RECENT_SECONDS, FailureKind, Recent

__all__ = ["recent_in"]

_MAX_KINDS = 10  # the counts are of all of them
_MAX_GROUPS = 1_000  # that fail within one minute
_LATE_SECONDS = 10.0  # after a shot, until it is written


def recent_in(settings: Settings, *, now: float) -> Recent | None:
    """Return what ended lately; None where no monitor keeps a history in our ``state_dir``.

    ``now`` is wall-clock seconds. Raises nothing for a history that cannot be read: it is unknown.
    """
    if not settings.state_dir:
        return None
    since, until = lately(settings, now=now)
    try:
        with Reader.open(Path(settings.state_dir, FILE_NAME)) as reader:
            points = reader.task_points(MINUTE, since=since, until=until)
            groups = reader.failures(since=since, until=until, limit=_MAX_KINDS)
            now_on = reader.failures(since=until, limit=_MAX_GROUPS)
            failing = find_failing(reader, settings, now=now)
            incidents = reader.incidents(only_open=True)
    except UnavailableError:
        return None
    since_then = {group.number: group.recent for group in now_on}
    return Recent(
        seconds=until - since,
        succeeded=sum(point.succeeded for point in points),
        failed=sum(point.failed for point in points),
        failed_since_then=sum(since_then.values()),
        kinds=tuple(
            FailureKind(
                name=group.name,
                exception=group.exception,
                place=group.place,
                count=group.recent,
                last_id=group.last_id,
                since_then=since_then.get(group.number, 0),
            )
            for group in groups
        ),
        failing=failing,
        incidents=tuple(
            incident
            for incident in incidents
            # What was there when the monitor ended may be over.
            if now - incident.seen <= settings.interval + _LATE_SECONDS
            and (incident.kind != "worker-lost" or now - incident.began < RECENT_SECONDS)
        ),
    )
