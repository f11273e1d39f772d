"""Monitor health: whether the monitor beside us still takes its shots, and still publishes.

Imports nothing slow. Whether the destination accepts what is published is no matter of health: a
restart would only lose what is kept in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..liveness import Identity, Liveness, SignOfLife

__all__ = [
    "examine_monitor",
    "examine_monitors",
    "examine_sign",
    "monitors_of",
    "sign_of_monitor",
    "why_doubted",
    "without_removed",
]

_MISSED_SHOTS = 3
_SHORTEST_SECONDS = 10.0  # a machine may be slow for so long, whatever the interval
_AHEAD_SECONDS = 10.0  # a clock may be corrected by so much
_DEADLINES = 2
_FORGOTTEN_SECONDS = 86_400.0  # since when a sign, among others, was left by one that was removed


def monitors_of(state_dir: str, *identities: Identity) -> tuple[Liveness, ...]:
    """Return the monitor of this ``state_dir``; without one, those that may be the one meant.

    They are those of the first identity that finds any. They are never none: where nobody has left
    a sign, it is one that has not.
    """
    if state_dir:
        return (Liveness(state_dir),)
    return Liveness.find(*identities) or (Liveness.absent(identities[-1]),)


def sign_of_monitor(monitors: Sequence[Liveness], *, now: float) -> SignOfLife | None:
    """Return the latest sign of these monitors that can be believed; None if there is none."""
    signs = [liveness.last(now=now) for liveness in monitors]
    believed = [sign for sign in signs if sign is not None and not _is_ahead(sign)]
    return min(believed, key=lambda sign: sign.age_seconds, default=None)


def examine_monitors(
    monitors: Sequence[Liveness], *, now: float, accepted_within: float | None = None
) -> str | None:
    """Return what is wrong with one of them; None if all are healthy: none vouches for another."""
    monitors = without_removed(monitors, now=now)
    for monitor in monitors:
        problem = examine_monitor(monitor, now=now, accepted_within=accepted_within)
        if problem is not None and len(monitors) > 1:
            return (
                f"{problem[:-1]}: one of {len(monitors)} monitors here that may be meant; name the "
                "broker, the namespace or the dimensions of yours."
            )
        if problem is not None:
            return problem
    return None


def without_removed(found: Sequence[Liveness], *, now: float) -> Sequence[Liveness]:
    """Return those that were there within a day; of several that were not, the first."""
    if len(found) < 2:
        return found
    signs = [liveness.last(now=now) for liveness in found]
    latest = [
        liveness
        for liveness, sign in zip(found, signs, strict=True)
        if sign is not None and sign.age_seconds < _FORGOTTEN_SECONDS
    ]
    return latest or found[:1]


def examine_monitor(
    liveness: Liveness, *, now: float, accepted_within: float | None = None
) -> str | None:
    """Return what is wrong with the monitor that leaves these signs; None if it is healthy.

    ``now`` is wall-clock seconds. ``accepted_within``: how many seconds ago something must have
    been accepted, or the monitor have been started.
    """
    sign = liveness.last(now=now)
    problem = why_doubted(liveness, sign, whose="monitor")
    if sign is None or problem is not None:
        return problem
    return examine_sign(sign, accepted_within=accepted_within)


def examine_sign(sign: SignOfLife, *, accepted_within: float | None = None) -> str | None:
    """Return what is wrong with the monitor whose sign this is; None if it is healthy."""
    if sign.age_seconds >= max(_MISSED_SHOTS * sign.interval_seconds, _SHORTEST_SECONDS):
        return (
            f"the monitor's last shot was {sign.age_seconds:,.0f} s ago; "
            f"there should be one every {sign.interval_seconds:g} s."
        )
    return _stuck(sign) or _unaccepted(sign, accepted_within)


def why_doubted(liveness: Liveness, sign: SignOfLife | None, *, whose: str) -> str | None:
    """Return why there is no sign of life that can be believed; None if this one can."""
    if sign is None:
        reason = liveness.why_unbelieved()
        if reason is not None:
            return f"the sign of life in {liveness.path} is not believed: {reason}."
        path = liveness.path
        whole = (
            "" if path.is_absolute() else ", as a whole path: the working directories may differ"
        )
        return (
            f"no {whose} has left a sign of life in {path.absolute()}; "
            f"give this command the same {liveness.named_by} as the {whose}{whole}."
        )
    if _is_ahead(sign):
        return (
            f"the sign of life in {liveness.path} is not believed: it is "
            f"{sign.ahead_seconds:,.0f} s ahead of the clock."
        )
    return None


def _is_ahead(sign: SignOfLife) -> bool:
    return sign.ahead_seconds > _AHEAD_SECONDS


def _stuck(sign: SignOfLife) -> str | None:
    sending, deadline = sign.sending_seconds, sign.deadline_seconds
    if sending is None or deadline is None or sending <= _DEADLINES * deadline:
        return None
    return (
        f"the monitor's publisher has been in one request for {sending:,.0f} s; "
        f"it should take {deadline:g} s at most."
    )


def _unaccepted(sign: SignOfLife, accepted_within: float | None) -> str | None:
    if accepted_within is None or sign.stands_by:
        return None
    waiting = sign.running_seconds if sign.accepted_seconds is None else sign.accepted_seconds
    if waiting is None:
        return "the monitor does not say when its metrics were accepted last."
    if waiting <= accepted_within:
        return None
    if sign.accepted_seconds is None:
        return f"no metrics were accepted since the monitor started {waiting:,.0f} s ago."
    return f"metrics were last accepted {waiting:,.0f} s ago."
