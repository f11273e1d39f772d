"""Monitor health: a monitor that no longer takes its shots is found."""

from __future__ import annotations

from pathlib import Path

from event_monitor.liveness import Liveness, write_note
from event_monitor.status.monitor_health import examine_monitor


def test_the_monitor_is_healthy_for_three_intervals(tmp_path: Path) -> None:
    """Its own interval, which it wrote down."""
    liveness = Liveness(str(tmp_path))
    assert examine_monitor(liveness, now=1_000.0) == (
        f"no monitor has left a sign of life in {tmp_path}/alive; "
        "give this command the same state_dir as the monitor."
    )

    write_note(tmp_path / "alive", {"at": 1_000.0, "interval_seconds": 60.0})

    assert examine_monitor(liveness, now=1_179.0) is None
    assert examine_monitor(liveness, now=1_180.0) == (
        "the monitor's last shot was 180 s ago; there should be one every 60 s."
    )


def test_a_short_interval_does_not_condemn_a_slow_machine(tmp_path: Path) -> None:
    """Ten seconds are always allowed."""
    write_note(tmp_path / "alive", {"at": 1_000.0, "interval_seconds": 1.0})

    assert examine_monitor(Liveness(str(tmp_path)), now=1_009.0) is None
