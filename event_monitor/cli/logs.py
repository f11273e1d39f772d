"""Logs: our own to stderr, one line or one JSON object each, whatever the app does to logging."""

from __future__ import annotations

import http.client
import json
import logging
import sys
import textwrap
from collections.abc import Mapping
from datetime import datetime, timezone
from types import MappingProxyType

import click

from ..process.log_queue import settled
from ..redaction import log_no_keys
from ..settings import wants_colours
from ..text import printable
from .terminal import width

__all__ = [
    *("FORMATS", "LEVELS", "JsonLines", "ScreenLines", "TextLines"),
    *("log_to_stderr", "show_no_headers", "stay_audible"),
]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("text", "json")

_PACKAGE = __name__.partition(".")[0]
_NO_FACTS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def log_to_stderr(level: str, form: str = "text") -> None:
    """Send this package's logs to stderr from that level on, those of others from WARNING on.

    Ours do not go to the root logger as well: its handlers belong to the user's app.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_seen = form == "text" and sys.stderr.isatty()
    handler.setFormatter(
        JsonLines() if form == "json" else ScreenLines() if is_seen else TextLines()
    )
    ours = logging.getLogger(_PACKAGE)
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level)
    root = logging.getLogger()
    if not root.handlers:
        others = logging.StreamHandler(sys.stderr)
        others.setFormatter(JsonLines() if form == "json" else TextLines(named=True))
        others.setLevel(max(logging.WARNING, ours.level))
        root.addHandler(others)


def stay_audible() -> None:
    """Enable our loggers again: ``dictConfig`` disables existing ones unless asked not to.

    Call it after the user's app, which may configure logging, was imported.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split(".")[0] == _PACKAGE:
            logger.disabled = False


def show_no_headers() -> None:
    """Take back what the user's app may have set to see its own requests: ours have keys in them.

    Call it after the app was imported, where the process is ours.
    """
    log_no_keys()
    http.client.HTTPConnection.debuglevel = 0


class TextLines(logging.Formatter):
    """Time, level and message on one line; below it a traceback, if there is one."""

    def __init__(self, *, named: bool = False) -> None:
        super().__init__()
        self._named = named

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, safe for a terminal and without secrets."""
        record = settled(record)
        logger = f"{record.name}: " if self._named else ""
        line = f"{self.formatTime(record)} {record.levelname:<8} {logger}{printable(record.msg)}"
        return "\n".join(filter(None, (line, record.exc_text, record.stack_info)))


class ScreenLines(logging.Formatter):
    """For a terminal: the time of day, a coloured level, and lines that are as wide as it is."""

    _COLOURS = MappingProxyType({"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"})

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, safe for a terminal and without secrets."""
        record = settled(record)
        head = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<8} "
        colour = self._COLOURS.get(record.levelname) if wants_colours() else None
        text = textwrap.fill(
            printable(record.msg),
            width(most=None),
            initial_indent=" " * len(head),
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        line = head + text[len(head) :]
        line = click.style(line, fg=colour) if colour else line
        return "\n".join(filter(None, (line, record.exc_text, record.stack_info)))


class JsonLines(logging.Formatter):
    """One JSON object on one line: time, level, logger, message, then the facts of the record.

    ``time`` is UTC. A fact is what was logged as ``extra``: worker, task, uuid, queue, seconds …
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII and without secrets."""
        record = settled(record)
        at = datetime.fromtimestamp(record.created, tz=timezone.utc)
        document = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.msg,
            **(_facts(record) if record.name.partition(".")[0] == _PACKAGE else {}),
        }
        if record.exc_text:
            document["exception"] = record.exc_text
        if record.stack_info:
            document["stack"] = record.stack_info
        return json.dumps(document, default=str)


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    """Return what was logged besides, without what is not known."""
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _NO_FACTS and value not in (None, "", ())
    }
