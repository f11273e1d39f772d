"""Mistakes: the one sentence with which wrong settings are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from event_monitor.errors import EXIT_USAGE, SettingsError
from event_monitor.settings import Settings


def mistake(
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    conf: object = None,
) -> str:
    """Return the sentence for these sources, of which one is wrong."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(
            flags=flags,
            environ=environ or {},
            conf=cast("Mapping[str, object] | None", conf),  # a user may assign anything
        )
    assert caught.value.exit_code == EXIT_USAGE
    return str(caught.value)
