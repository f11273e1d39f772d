"""Last seen: what one run knows is there for the next, and damage ends nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from event_monitor.schedules.last_seen import LastSeen, Seen

KNOWN = {"shop.poll": Seen(1_000.5, was_sent=True), "shop.nightly": Seen(7.0)}


def test_what_was_saved_is_loaded_by_the_next(tmp_path: Path) -> None:
    """In a file that no other user may read."""
    LastSeen(str(tmp_path)).save(KNOWN)

    assert LastSeen(str(tmp_path)).load() == KNOWN
    (file,) = tmp_path.iterdir()
    assert file.name == "schedules"
    assert file.stat().st_mode & 0o777 == 0o600


def test_thousands_of_tasks_are_kept(tmp_path: Path) -> None:
    """More than other notes hold."""
    many = {f"shop.tasks.number_{number}": Seen(float(number)) for number in range(5_000)}
    LastSeen(str(tmp_path)).save(many)

    assert LastSeen(str(tmp_path)).load() == many


def test_without_a_state_dir_nothing_is_kept() -> None:
    """Nor is anything written somewhere else."""
    LastSeen().save(KNOWN)

    assert LastSeen().load() == {}


def test_a_first_run_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There is no file yet."""
    assert LastSeen(str(tmp_path / "new")).load() == {}
    assert caplog.records == []


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"seen": []}',
        b'{"seen": {"a": 5}}',
        b'{"seen": {"a": ["x", true]}}',
        b'{"seen": {"a": [NaN, true]}}',
        b'{"seen": {"a": [1, 1]}}',
        b'{"seen": {"a": [' + b"9" * 400 + b", true]}}",
        json.dumps({"seen": {"a": [1.0, True]}}).encode()[:-2],
    ],
)
def test_a_damaged_file_is_a_warning_and_a_new_beginning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bytes
) -> None:
    """Never an end."""
    (tmp_path / "schedules").write_bytes(damaged)
    last_seen = LastSeen(str(tmp_path))

    with caplog.at_level(logging.WARNING):
        assert last_seen.load() == {}
    (record,) = caplog.records
    assert "is not read, since it is damaged" in record.getMessage()

    last_seen.save(KNOWN)
    assert LastSeen(str(tmp_path)).load() == KNOWN


def test_a_file_that_others_may_write_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who can write there could silence an alarm."""
    LastSeen(str(tmp_path)).save(KNOWN)
    (tmp_path / "schedules").chmod(0o666)

    assert LastSeen(str(tmp_path)).load() == {}
    assert "other users may write to it" in caplog.text


def test_a_disk_that_fails_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Until it works again."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, no directory")
    last_seen = LastSeen(str(blocked))
    for _ in range(3):
        last_seen.save(KNOWN)

    (record,) = caplog.records
    assert record.getMessage().startswith("when periodic tasks were seen last is not kept: ")
    blocked.unlink()
    last_seen.save(KNOWN)
    assert LastSeen(str(blocked)).load() == KNOWN
