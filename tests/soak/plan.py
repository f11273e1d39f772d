"""Plan: what happens when, drawn from the seed before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["stop", "roll", "kill", "kill-draining", "twin", "pause"]

WEIGHTS: dict[Kind, int] = {"stop": 3, "roll": 4, "kill": 5, "kill-draining": 2, "twin": 2}
SPACING_SECONDS = (1.0, 4.0)  # between two actions; a worker's start costs a second of CPU
RESTART_SECONDS = (0.0, 3.0, 15.0)  # within a heartbeat, within the grace, after it
PAUSE_SECONDS = (20.0, 75.0)
BETWEEN_PAUSES_SECONDS = (25.0, 45.0)
FIRST_PAUSE_SECONDS = 18.0
TWIN_SECONDS = (4.0, 15.0)


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, ``at`` seconds from the start. ``older`` and ``kills`` are of twins only."""

    at: float
    kind: Kind
    seconds: float
    older: bool = False
    kills: bool = False


def make_plan(
    seed: int, *, seconds: float, first_at: float, longest_pause: float = PAUSE_SECONDS[1]
) -> tuple[Action, ...]:
    """Return the actions of so many ``seconds``, in their order."""
    workers = _for_workers(random.Random(f"{seed} workers"), seconds=seconds, first_at=first_at)
    pauses = _pauses(random.Random(f"{seed} pauses"), seconds=seconds, longest=longest_pause)
    return tuple(sorted([*workers, *pauses], key=lambda action: action.at))


def _for_workers(rng: random.Random, *, seconds: float, first_at: float) -> Iterator[Action]:
    at = first_at
    first = rng.sample(list(WEIGHTS), len(WEIGHTS))  # so that a short soak has each of them
    while at < seconds:
        kind = first.pop() if first else rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        lasts = rng.uniform(*TWIN_SECONDS) if kind == "twin" else rng.choice(RESTART_SECONDS)
        yield Action(at, kind, lasts, older=rng.random() < 0.5, kills=rng.random() < 0.5)
        at += rng.uniform(*SPACING_SECONDS)


def _pauses(rng: random.Random, *, seconds: float, longest: float) -> Iterator[Action]:
    at = FIRST_PAUSE_SECONDS
    while True:
        lasts = rng.uniform(PAUSE_SECONDS[0], longest)
        if at + lasts > seconds:
            return
        yield Action(at, "pause", lasts)
        at += lasts + rng.uniform(*BETWEEN_PAUSES_SECONDS)
