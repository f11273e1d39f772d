"""Logs: our lines are seen whatever the app does, from the level that was asked for."""

from __future__ import annotations

from pathlib import Path

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
