"""Logs: our lines are seen whatever the app does, from the level that was asked for."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from event_monitor.cli.logs import ScreenLines

from .terminal import PROJECT, module, typed


def test_an_app_that_configures_logging_does_not_silence_the_monitor(desk: Path) -> None:
    """``dictConfig`` disables existing loggers unless asked not to; Django projects call it."""
    # Given
    module(
        desk,
        "silencer",
        source="import logging.config\nlogging.config.dictConfig({'version': 1})\n" + PROJECT,
    )
    environ = {"EVENT_MONITOR_INTERVALL": "3"}

    # When
    result = typed("settings", "-A", "silencer", environ=environ)

    # Then
    assert "WARNING  EVENT_MONITOR_INTERVALL is no setting" in result.stderr


def test_the_log_level_is_a_flag_and_a_variable() -> None:
    """The flag wins."""
    environ = {"EVENT_MONITOR_LOG_LEVEL": "ERROR", "EVENT_MONITOR_INTERVALL": "3"}

    quiet = typed("settings", environ=environ)
    loud = typed("settings", "-l", "info", environ=environ)

    assert quiet.stderr == ""
    assert "is no setting" in loud.stderr


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("event_monitor.x", level, "", 0, message, (), None)
    made.created = 0.0
    return made


def test_on_a_terminal_a_line_is_as_wide_as_it_is_and_its_level_has_a_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Words are not broken, and nothing of a name reaches the terminal as an escape."""
    for name, value in {"COLUMNS": "80", "TZ": "UTC", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    lines = ScreenLines()

    assert lines.format(record("word " * 14 + "\x1b[2J")) == (
        "00:00:00 INFO     word word word word word word word word word word word word\n"
        + " " * 18
        + "word word \\x1b[2J"
    )
    assert lines.format(record("bad", logging.ERROR)) == "\x1b[31m00:00:00 ERROR    bad\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert lines.format(record("bad", logging.ERROR)) == "00:00:00 ERROR    bad"
