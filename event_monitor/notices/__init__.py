"""Notices: what the log gets to know of each snapshot."""

from __future__ import annotations

from .notice import Notice, NoticeKind
from .notices import Notices

__all__ = ["Notice", "NoticeKind", "Notices"]
