"""Liveness: what the monitor leaves, and what another process reads of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from event_monitor.liveness import Liveness, SignOfLife, read_note, runtime_dir, write_note
from event_monitor.testing import FakeClock


def test_a_sign_of_life_has_its_age_and_how_often_there_should_be_one(tmp_path: Path) -> None:
    """Written by one process, read by another."""
    clock = FakeClock(wall=1_000.0)
    state_dir = str(tmp_path)
    assert Liveness(state_dir).last(now=0.0) is None

    Liveness(state_dir, clock=clock).beat(interval_seconds=30.0)

    assert Liveness(state_dir).last(now=1_012.0) == SignOfLife(12.0, 30.0)
    assert Liveness(state_dir).last(now=0.0) == SignOfLife(0.0, 30.0)  # a clock stepped back
    assert [path.name for path in tmp_path.iterdir()] == ["alive"]
    assert read_note(tmp_path / "alive") == {"at": 1_000.0, "interval_seconds": 30.0}


def test_a_sign_of_life_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The monitor goes on."""
    (tmp_path / "file").write_text("")
    liveness = Liveness(str(tmp_path / "file"))

    liveness.beat(interval_seconds=1.0)
    liveness.beat(interval_seconds=1.0)

    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"at": "x"}', '{"at": 1}', "[" * 20_000, "\x00"])
def test_a_broken_sign_of_life_is_none(tmp_path: Path, text: str) -> None:
    """Whatever the file holds."""
    (tmp_path / "alive").write_text(text)

    assert Liveness(str(tmp_path)).last(now=1.0) is None


def test_without_a_state_dir_it_is_in_a_directory_of_our_own(tmp_path: Path) -> None:
    """Nobody else may read it."""
    folder = tmp_path / f"event-monitor-{os.getuid()}"
    liveness = Liveness(temporary_dir=tmp_path)
    assert liveness.path == folder / "alive"
    assert runtime_dir("/var/lib/monitor", temporary_dir=tmp_path) == Path("/var/lib/monitor")

    liveness.beat(interval_seconds=60.0)

    assert liveness.last(now=0.0) == SignOfLife(0.0, 60.0)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    """Everybody may write into the directory of temporary files."""
    folder = tmp_path / f"event-monitor-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError):
        write_note(folder / "alive", {}, temporary_dir=tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []
