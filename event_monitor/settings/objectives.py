"""Objectives: service levels, such as that 99 % of the tasks of a queue start in 30 s. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .globs import matches
from .parsers import NotAllowedError, Parser, text_of

__all__ = ["OBJECTIVES", "Objective", "objectives_of"]

_UNITS = {"s": 1, "m": 60, "h": 3_600}
_OBJECTIVE = re.compile(
    r"(?:(?P<of>task|queue)\s+)?(?P<target>\S.*?)\s*:\s*(?P<percent>\d+(?:\.\d+)?)\s*%\s*"
    r"(?:(?P<succeed>succeed)|start\s+in\s+(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smh]?))"
)
_LONGEST_SECONDS = 7 * 86_400
_MOST = 50  # each costs series, and a look at every pair of task and queue
_LONGEST_TARGET = 200  # characters


@dataclass(frozen=True, slots=True)
class Objective:
    """One service level: so many ``percent`` of what ``target`` covers shall go well.

    ``target`` is a glob of the names of tasks or of queues, of either unless ``of`` tells which.
    A run goes well that starts within ``start_seconds`` of when it might have; where that is None,
    a task that succeeds.
    """

    target: str
    of: Literal["", "task", "queue"]
    percent: float
    start_seconds: float | None

    @property
    def name(self) -> str:
        """Return what tells it from the others, such as ``queue mail start``; no number is in it.

        So its series go on when the level or the time is changed.
        """
        target = f"{self.of} {self.target}".strip()
        return f"{target} {'succeed' if self.start_seconds is None else 'start'}"

    def __str__(self) -> str:
        target = f"{self.of} {self.target}".strip()
        seconds = self.start_seconds
        promise = "succeed" if seconds is None else f"start in {text_of(seconds)} s"
        return f"{target}: {text_of(self.percent)} % {promise}"

    def covers(self, task: str, queue: str) -> bool:
        """Return whether it is about this task from this queue."""
        return (self.of != "queue" and matches(task, (self.target,))) or (
            self.of != "task" and matches(queue, (self.target,))
        )


@lru_cache(maxsize=16)
def objectives_of(texts: tuple[str, ...]) -> tuple[Objective, ...]:
    """Return the objectives that the setting ``slo`` holds as texts."""
    return tuple(map(_objective, texts))


def _objective(text: str) -> Objective:
    """Return the objective. Raises ``NotAllowedError``."""
    found = _OBJECTIVE.fullmatch(text.strip())
    if found is None or len(found["target"]) > _LONGEST_TARGET:
        raise NotAllowedError(
            f"{text.strip()!r} is neither `NAME: PERCENT % start in SECONDS s` nor "
            "`NAME: PERCENT % succeed`"
        )
    percent = float(found["percent"])
    if not 1 <= percent < 100:
        raise NotAllowedError(
            f"{text.strip()!r} asks for {text_of(percent)} %; say a level from 1 to below 100 %"
        )
    seconds = None
    if not found["succeed"]:
        seconds = float(found["number"]) * _UNITS[found["unit"] or "s"]
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise NotAllowedError(f"{text.strip()!r} needs a time above 0, and at most a week")
    of: Literal["", "task", "queue"] = "task" if found["of"] == "task" else ""
    return Objective(found["target"], "queue" if found["of"] == "queue" else of, percent, seconds)


def _objectives(raw: object) -> tuple[str, ...]:
    texts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(texts, Iterable):
        raise TypeError
    objectives: dict[str, str] = {}
    for text in texts:
        if not isinstance(text, str):
            raise NotAllowedError(f"{text!r} is not text")
        if not text.strip():
            continue
        objective = _objective(text)
        if objective.name in objectives:
            raise NotAllowedError(f"there are two of {objective.name!r}")
        objectives[objective.name] = str(objective)
    if len(objectives) > _MOST:
        raise NotAllowedError(f"there are {len(objectives)}; at most {_MOST} are allowed")
    return tuple(objectives.values())


OBJECTIVES = Parser(
    "NAME: LEVEL,...",
    "service levels such as `pay: 99 % start in 30 s` and `queue mail: 99.5 % succeed`",
    _objectives,
)
