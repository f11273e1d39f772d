"""Monitor health: whether the monitor beside us still takes its shots. Imports nothing slow."""

from __future__ import annotations

from ..liveness import Liveness

__all__ = ["examine_monitor"]

_MISSED_SHOTS = 3
_SHORTEST_SECONDS = 10.0  # a machine may be slow for so long, whatever the interval


def examine_monitor(liveness: Liveness, *, now: float) -> str | None:
    """Return what is wrong with the monitor that leaves these signs; None if it is healthy.

    ``now`` is wall-clock seconds.
    """
    sign = liveness.last(now=now)
    if sign is None:
        return (
            f"no monitor has left a sign of life in {liveness.path}; "
            "give this command the same state_dir as the monitor."
        )
    if sign.age_seconds < max(_MISSED_SHOTS * sign.interval_seconds, _SHORTEST_SECONDS):
        return None
    return (
        f"the monitor's last shot was {sign.age_seconds:,.0f} s ago; "
        f"there should be one every {sign.interval_seconds:g} s."
    )
