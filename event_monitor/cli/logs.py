"""Logs: our own to stderr, one plain line each, whatever the user's app does to logging."""

from __future__ import annotations

import logging
import sys

__all__ = ["LEVELS", "log_to_stderr", "stay_audible"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_FORMAT = "%(asctime)s %(levelname)-8s %(message)s"
_PACKAGE = __name__.partition(".")[0]


def log_to_stderr(level: str) -> None:
    """Send this package's logs to stderr from that level on, those of others from WARNING on.

    Ours do not go to the root logger as well: its handlers belong to the user's app.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    ours = logging.getLogger(_PACKAGE)
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level)
    root = logging.getLogger()
    if not root.handlers:
        others = logging.StreamHandler(sys.stderr)
        others.setFormatter(
            logging.Formatter(_FORMAT.replace("%(message)s", "%(name)s: %(message)s"))
        )
        others.setLevel(max(logging.WARNING, ours.level))
        root.addHandler(others)


def stay_audible() -> None:
    """Enable our loggers again: ``dictConfig`` disables existing ones unless asked not to.

    Call it after the user's app, which may configure logging, was imported.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split(".")[0] == _PACKAGE:
            logger.disabled = False
