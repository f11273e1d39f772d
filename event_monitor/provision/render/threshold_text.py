"""Threshold text: where the description of an alarm says its threshold. Pure."""

from __future__ import annotations

import re

from ..model import Alarm

__all__ = ["split_at_threshold"]

_NOT_BEFORE = r"(?<![\w.,$%-])"  # neither a part of a word or number, nor what changes a reference
_NOT_AFTER = r"(?![\w,.]*\w)(?! of \d| minutes?\b)"  # nor how long the alarm waits


def split_at_threshold(alarm: Alarm) -> tuple[str, str] | None:
    """Return what stands before and after the threshold; None if it is not in the description.

    A threshold that can be changed in what is written is put between the two, so that the
    description goes on saying what is in force.
    """
    number = re.escape(f"{float(alarm.threshold):.10g}")
    found = re.search(f"{_NOT_BEFORE}{number}{_NOT_AFTER}", alarm.description)
    if found is None:
        return None
    return alarm.description[: found.start()], alarm.description[found.end() :]
