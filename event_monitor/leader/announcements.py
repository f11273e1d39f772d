"""Announcements: when it is time to tell the other monitors that we have come, or are there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from ..clock import Clock
from ..snapshot import Role

__all__ = ["Announcements"]

_RETRY_SECONDS = 5.0
_PAST_SECONDS = 5.0  # in which who died before is told so often at most:
_PAST_TIMES = 5  # anybody may say that it has come

Announcement = Literal["join", "here"]


@dataclass(slots=True)
class Announcements:
    """What is due. Not thread-safe. ``join`` is the id of the event by which we came last."""

    clock: Clock
    join: str = ""
    _needs_join: bool = False
    _needs_here: bool = False
    _needs_past: bool = False  # another has joined, who may not know who died
    _past_told_at: deque[float] = field(default_factory=lambda: deque(maxlen=_PAST_TIMES))
    _retry_at: float = 0.0

    def need_join(self) -> None:
        """Note that we have connected."""
        self._needs_join, self._retry_at = True, 0.0

    def need_here(self, *, with_past: bool = False) -> None:
        """Note that another has to hear of us, and ``with_past`` of what was before it came."""
        self._needs_here = True
        self._needs_past = self._needs_past or with_past

    @property
    def is_refused(self) -> bool:
        """Whether we could not say that we have come."""
        return self._needs_join and self._retry_at > 0.0

    def take(self, role: Role) -> tuple[Announcement | None, bool]:
        """Return what to say now, if anything, and whether to tell the past; it is due no more.

        Who has just joined would count those again that died before, if it led now.
        """
        now = self.clock.monotonic()
        waits_for_role = self._needs_join and role is Role.UNDECIDED
        if now < self._retry_at or waits_for_role:
            return None, False
        if self._needs_join:
            self._needs_join = self._needs_here = False
            self.join = uuid4().hex[:16]
            return "join", False
        told_at = self._past_told_at
        may_tell = len(told_at) < _PAST_TIMES or now - told_at[0] >= _PAST_SECONDS
        tells_past = self._needs_past and may_tell and role is not Role.ALONE
        if tells_past:
            self._needs_past = False
            told_at.append(now)
        is_due, self._needs_here = tells_past or self._needs_here, False
        return "here" if is_due else None, tells_past

    def put_back(self, announcement: Announcement, *, with_past: bool) -> None:
        """Note that it could not be said; it is due again after a while."""
        self._needs_join = self._needs_join or announcement == "join"
        self._needs_past = self._needs_past or with_past
        self._retry_at = self.clock.monotonic() + _RETRY_SECONDS
