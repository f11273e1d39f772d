"""A minute of the soak, with real workers: every verdict and every count is the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from .soak import soak

SECONDS = 60
SEED = 1


@pytest.mark.integration
@pytest.mark.timeout(200)
def test_a_minute_of_stops_kills_twins_and_a_pause_is_judged_rightly(tmp_path: Path) -> None:
    """Twenty workers on Redis. ``scripts/soak`` runs longer, and on RabbitMQ."""
    result = soak(tmp_path, broker="redis", seconds=SECONDS, seed=SEED)

    assert result.is_right, f"--seconds {SECONDS} --seed {SEED}\n{result.text}"
