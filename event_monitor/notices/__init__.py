"""Notices: what the log gets to know of each snapshot, and of the tasks that fail."""

from __future__ import annotations

from .first_failures import FirstFailures
from .found import log_found
from .notice import Notice, NoticeKind
from .notices import Notices
from .window_log import WindowLog

__all__ = [
    "FirstFailures",
    "Notice",
    "NoticeKind",
    "Notices",
    "WindowLog",
    "log_found",
]
