"""Beat health: a beat that does not look what is due any more is found."""

from __future__ import annotations

from pathlib import Path

from event_monitor.liveness import Liveness, write_note
from event_monitor.status.beat_health import examine_beat


def test_beat_is_healthy_until_a_minute_after_it_should_have_looked_again(tmp_path: Path) -> None:
    """It sleeps for minutes where nothing is due, and says for how long."""
    state_dir = str(tmp_path)
    assert examine_beat(state_dir, None, now=1_000.0) == (
        f"no beat has left a sign of life in {tmp_path}/beat; "
        "give this command the same state_dir as the beat."
    )

    write_note(tmp_path / "beat", {"at": 1_000.0, "interval_seconds": 300.0})

    assert examine_beat(state_dir, None, now=1_359.0) is None
    assert examine_beat(state_dir, None, now=1_360.0) == (
        "beat last looked what is due 360 s ago; it should have looked again after 300 s."
    )
    assert examine_beat(state_dir, None, now=900.0) == (
        f"the sign of life in {tmp_path}/beat is not believed: it is 100 s ahead of the clock."
    )


def test_a_sign_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    """Anybody could keep a dead beat alive."""
    Liveness(str(tmp_path), sign="beat").beat(interval_seconds=300.0)
    (tmp_path / "beat").chmod(0o666)

    problem = examine_beat(str(tmp_path), None, now=1_000.0)
    assert problem is not None
    assert "other users may write to it" in problem
