"""Waiting: for a condition, with a deadline, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.03  # short beside what a process needs to do anything


def wait_until(
    condition: Callable[[], T],
    deadline_seconds: float,
    why: str,
    *,
    poll_seconds: float = POLL_SECONDS,
) -> T:
    """Poll until ``condition()`` is true and return its value; ``AssertionError(why)`` if late."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_seconds} s: {why} (last seen: {value!r})")
        time.sleep(poll_seconds)
