"""Start intervals: how long a worker may begin nothing because of its rate limits. Pure.

The reply lists every task of the worker, so each is asked once, and again while it looks stalled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..survey import QueueDepth, WorkerAnswer
from .stalled import waiting_in, work_waits

__all__ = ["StartIntervals"]

_MOST_ASKED = 100  # workers at a time: a reply may be as long as a project has tasks


class StartIntervals:
    """Remembers what workers replied, for those that are asked about. Not thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def to_ask(
        self, answers: Iterable[WorkerAnswer], depths: Iterable[QueueDepth]
    ) -> tuple[str, ...]:
        """Return the nodenames of those to ask: the suspect first, then the unknown."""
        waiting = waiting_in(depths)
        answers = tuple(answers)
        suspect = [
            answer.hostname
            for answer in answers
            if answer.active == 0 and work_waits(answer.queues, waiting, answer=answer)
        ]
        unknown = [answer.hostname for answer in answers if answer.hostname not in self._known]
        return tuple(dict.fromkeys((*suspect, *unknown)))[:_MOST_ASKED]

    def note(self, intervals: Mapping[str, float], *, workers: Collection[str]) -> None:
        """Note what was replied, and forget who is not among the ``workers``."""
        known = {**self._known, **intervals}
        self._known = {name: seconds for name, seconds in known.items() if name in workers}

    def complete(self, answers: Iterable[WorkerAnswer]) -> tuple[WorkerAnswer, ...]:
        """Return the answers with what is known of each."""
        return tuple(
            replace(answer, start_interval_seconds=self._known.get(answer.hostname))
            for answer in answers
        )
