"""Errors: every exception this package raises on purpose.

    EventMonitorError
    ├── SettingsError        a setting, flag or environment variable is wrong        (exit 2)
    ├── UnavailableError     something needed at start cannot be had: app, region    (exit 3)
    └── InvalidEvent         the bytes are not a Celery event; counted and dropped

A message is one sentence that says what was wrong, where, and what to do.
"""

from __future__ import annotations

__all__ = [
    "EXIT_CHECK_FAILED",
    "EXIT_CRASHED",
    "EXIT_OK",
    "EXIT_UNAVAILABLE",
    "EXIT_UNSENT",
    "EXIT_USAGE",
    "EventMonitorError",
    "InvalidEvent",
    "SettingsError",
    "UnavailableError",
]

EXIT_OK = 0  # stopped as asked, everything sent
EXIT_CHECK_FAILED = 1  # `check` or `demo` ran and found something wrong
EXIT_USAGE = 2  # a setting or flag is wrong (click's own number for usage errors)
EXIT_UNAVAILABLE = 3  # the app, the region or another thing needed at start cannot be had
EXIT_UNSENT = 4  # stopped as asked, but some metrics were never acknowledged
EXIT_CRASHED = 70  # one of our threads died (EX_SOFTWARE of sysexits.h)


class EventMonitorError(Exception):
    """Root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = EXIT_CRASHED


class SettingsError(EventMonitorError):
    """A setting has a wrong value; the message names key, value and what is allowed."""

    exit_code = EXIT_USAGE


class UnavailableError(EventMonitorError):
    """Something needed at start cannot be had; the message says how to provide it."""

    exit_code = EXIT_UNAVAILABLE


class InvalidEvent(EventMonitorError):  # noqa: N818  it names the event, not a failure of ours
    """Bytes that are not a Celery event. ``kind`` is a short, bounded label for counting."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
