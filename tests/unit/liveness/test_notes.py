"""Notes: a note is believed only where nobody else can have written it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from event_monitor.liveness import Liveness, read_note, why_unbelieved, write_note
from event_monitor.liveness.notes import find_notes, own_name

from ...support.users import NOBODY, acting_as, public_folder, require_root


def test_nobody_else_may_read_a_note(tmp_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        write_note(tmp_path / "new" / "alive", {"at": 1})
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "alive").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_note_that_others_may_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    """Not even by root."""
    path = tmp_path / "alive"
    write_note(path, {"at": 1})
    path.chmod(mode)

    assert read_note(path) == {}
    assert why_unbelieved(path) == "other users may write to it"


def test_a_note_of_another_user_is_not_believed() -> None:
    """Root's neither: it was not left by a monitor of ours."""
    with public_folder() as folder:
        path = folder / "alive"
        write_note(path, {"at": 1})
        path.chmod(0o644)

        with acting_as(NOBODY):
            assert read_note(path) == {}
            assert why_unbelieved(path) == "it belongs to uid 0"


def test_root_believes_the_note_of_the_user_that_the_monitor_runs_as(tmp_path: Path) -> None:
    """A health check in a container may run as root."""
    require_root()
    path = tmp_path / "alive"
    write_note(path, {"at": 1})
    os.chown(path, NOBODY, NOBODY)

    assert read_note(path) == {"at": 1}
    assert why_unbelieved(path) is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: object) -> None:
    """A pipe has no end."""
    assert callable(make)
    make(tmp_path / "alive")

    assert Liveness(str(tmp_path)).last(now=0.0) is None
    assert why_unbelieved(tmp_path / "alive") is not None


def test_a_link_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    """Everybody may write into the directory of temporary files."""
    folder = tmp_path / f"event-monitor-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError):
        write_note(folder / "alive", {}, temporary_dir=tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_root_believes_in_its_own_place_only_itself(tmp_path: Path) -> None:
    """Anybody may have made the directory in which a health check of root leaves its notes."""
    path = tmp_path / "worker-0"
    write_note(path, {"since": 1.0})
    assert read_note(path, is_ours=True) == {"since": 1.0}

    os.chown(path, 4321, 4321)
    assert read_note(path, is_ours=True) == {}


def test_no_more_than_a_hundred_are_looked_into(tmp_path: Path) -> None:
    """Anybody may leave thousands where root looks; our own user's come first."""
    for owner in ("event-monitor-000", own_name()):
        for number in range(80):
            write_note(tmp_path / owner / f"alive-{number}", {}, temporary_dir=Path("/nowhere"))

    found = list(find_notes("alive*", temporary_dir=tmp_path))

    assert len(found) == (100 if os.geteuid() == 0 else 80)
    assert {path.parent.name for path in found[:80]} == {own_name()}
