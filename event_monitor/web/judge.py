"""Judge: the verdict on a view, by the last snapshot, what runs now, and the history."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnavailableError
from ..history import LongRun
from ..metrics.levels import Level
from ..settings import Settings
from ..status.failing import FailureShare, find_failing
from ..status.report import Verdict
from ..status.too_long import too_long_among
from .past import Past
from .verdict import verdict_of
from .views import View

__all__ = ["Judge", "Judged"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and since when its level is so; None is not known."""

    verdict: Verdict
    since: float | None


class Judge:
    """Judges by the rules of ``event-monitor status``. For one thread at a time."""

    def __init__(self, settings: Settings, past: Past) -> None:
        self._settings = settings
        self._past = past
        self._seen: tuple[Level, float] | None = None  # a level that no shot had, and since when

    def judge(self, view: View) -> Judged:
        """Return the verdict; of a history that cannot be read nothing is known."""
        too_long, failing = self._by_history(view)
        verdict = verdict_of(
            view.snapshot,
            self._settings,
            silent=view.live.silent,
            too_long=too_long,
            failing=failing,
        )
        if verdict.level is verdict_of(view.snapshot, self._settings).level:
            self._seen = None
            return Judged(verdict, view.since)
        if self._seen is None or self._seen[0] is not verdict.level:
            self._seen = verdict.level, view.at
        return Judged(verdict, self._seen[1])

    def _by_history(self, view: View) -> tuple[tuple[LongRun, ...], tuple[FailureShare, ...]]:
        running, at = view.live.running, view.live.taken_at
        try:
            with self._past.reader() as reader:
                return (
                    too_long_among(running, self._settings, at=at, reader=reader),
                    find_failing(reader, self._settings, now=view.at),
                )
        except UnavailableError:
            return too_long_among(running, self._settings, at=at, reader=None), ()
