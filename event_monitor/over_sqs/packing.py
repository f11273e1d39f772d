"""Packing: events into the lines of messages, as many as fit into one. Not thread-safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from .fields import Fields, encoded, is_task
from .wire import MAX_BODY_BYTES

__all__ = ["MOST_EVENTS", "Lines", "Packing"]

MOST_EVENTS = 400  # in one message: more than fit
_ROOM = MAX_BODY_BYTES - 200  # beside the header


class Lines(NamedTuple):
    """The lines of one message, and how many events are in them."""

    lines: list[bytes]
    events: int


class Packing:
    """Events that are encoded, and in no message yet, in their order."""

    def __init__(self) -> None:
        self._ready: deque[tuple[bool, bytes]] = deque()  # whether it is of a task

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, events: Iterable[Fields]) -> int:
        """Encode events; return how many had to be left out, since no message can hold them."""
        refused = 0
        for event in events:
            try:
                line = encoded(event)
            except (TypeError, ValueError, OverflowError, RecursionError):
                refused += 1
                continue
            if len(line) > _ROOM:
                refused += 1
            else:
                self._ready.append((is_task(event), line))
        return refused

    def take(self) -> Lines:
        """Return what fits into one message; there are no lines if there are no events.

        Task events that follow each other are one list: that is decoded fastest.
        """
        chosen: list[tuple[bool, bytes]] = []
        room = _ROOM
        while self._ready and len(chosen) < MOST_EVENTS:
            room -= len(self._ready[0][1]) + 3  # a comma, or brackets and a newline
            if room < 0 and chosen:
                break
            chosen.append(self._ready.popleft())
        lines: list[bytes] = []
        for of_tasks, group in groupby(chosen, key=lambda one: one[0]):
            events = [line for _, line in group]
            lines += [b"[" + b",".join(events) + b"]"] if of_tasks else events
        return Lines(lines, len(chosen))
