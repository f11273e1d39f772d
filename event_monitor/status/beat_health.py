"""Beat health: whether the Celery beat beside us still looks what is due. Imports nothing slow."""

from __future__ import annotations

from ..liveness import Liveness, beat_identity
from .monitor_health import why_doubted, without_removed

__all__ = ["examine_beat"]

_PATIENCE_SECONDS = 60.0  # what is due may be much, and the broker slow


def examine_beat(state_dir: str, broker: str | None, *, now: float) -> str | None:
    """Return what is wrong with the beat that leaves its signs there; None if it is healthy.

    Without a ``state_dir`` it is that of the ``broker``; where that is not given, all of this
    user's have to be healthy. ``now`` is wall-clock seconds.
    """
    identity = beat_identity(broker)
    if state_dir:
        found: tuple[Liveness, ...] = (Liveness(state_dir, sign="beat"),)
    else:
        found = Liveness.find(identity) or (Liveness.absent(identity),)
    problems = (_problem(liveness, now=now) for liveness in without_removed(found, now=now))
    return next(filter(None, problems), None)


def _problem(liveness: Liveness, *, now: float) -> str | None:
    sign = liveness.last(now=now)
    problem = why_doubted(liveness, sign, whose="beat")
    if sign is None or problem is not None:
        return problem
    if sign.age_seconds < sign.interval_seconds + _PATIENCE_SECONDS:
        return None
    return (
        f"beat last looked what is due {sign.age_seconds:,.0f} s ago; "
        f"it should have looked again after {sign.interval_seconds:,.0f} s."
    )
