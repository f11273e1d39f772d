"""Failing: of which task names too many failed lately, by a history. Needs SQLite.

No setting has to be made for it, so it is a share that no healthy system has; what may fail as
often as that, ``may_fail`` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..history import MINUTE, Reader
from ..settings import Settings, matches
from ..snapshot import OTHER, UNKNOWN

__all__ = ["FailureShare", "find_failing", "lately", "period_seconds"]

_SECONDS = 600.0
_LEAST_INTERVALS = 2  # whose windows lie in it as a whole
_FEWEST = 50  # that ended: of fewer a share says little
_SHARE = 0.1
_NO_NAMES = frozenset({OTHER, UNKNOWN})  # tasks of several names are counted there


@dataclass(frozen=True, slots=True)
class FailureShare:
    """So many of those that ended ``failed``; an empty name is all tasks together."""

    name: str
    failed: int
    ended: int


def period_seconds(settings: Settings) -> float:
    """Return for how long the last minutes go back."""
    return max(_SECONDS, _LEAST_INTERVALS * settings.interval)


def lately(settings: Settings, *, now: float) -> tuple[float, float]:
    """Return from when to when the last minutes are, which are whole ones."""
    until = now // MINUTE * MINUTE  # the failures of this minute are there, its successes not yet
    return until - period_seconds(settings), until


def find_failing(reader: Reader, settings: Settings, *, now: float) -> tuple[FailureShare, ...]:
    """Return the names of which more than a tenth of at least 50 failed, the worst first.

    Where that is so of none, but of all together, return that. Names that did nothing but fail are
    told by what watches each of them, and count with all.
    """
    since, until = lately(settings, now=now)
    counted = [
        FailureShare(name, failed, succeeded + failed)
        for name, succeeded, failed in reader.ended(since=since, until=until)
        if not matches(name, settings.may_fail)
    ]
    named = [
        share
        for share in counted
        if _is_much(share) and share.failed < share.ended and share.name not in _NO_NAMES
    ]
    everything = FailureShare(
        "", sum(share.failed for share in counted), sum(share.ended for share in counted)
    )
    if not named and _is_much(everything):
        return (everything,)
    return tuple(sorted(named, key=lambda share: -share.failed / share.ended))


def _is_much(share: FailureShare) -> bool:
    return share.ended >= _FEWEST and share.failed > _SHARE * share.ended
