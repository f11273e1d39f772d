"""Liveness: what the monitor leaves, and what another process reads of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.liveness import Identity, Liveness, SignOfLife, read_note, runtime_dir
from event_monitor.snapshot import PublisherActivity
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


def test_it_says_what_the_publisher_does(tmp_path: Path) -> None:
    """Since when one request is under way, by the shot; when metrics were accepted, by now."""
    clock = FakeClock(wall=1_000.0)
    activity = PublisherActivity(
        sending_seconds=4.0, deadline_seconds=15.0, accepted_at=940.0, started_at=100.0
    )

    Liveness(str(tmp_path), clock=clock).beat(interval_seconds=60.0, publisher=activity)

    assert Liveness(str(tmp_path)).last(now=1_030.0) == SignOfLife(
        30.0,
        60.0,
        sending_seconds=4.0,
        deadline_seconds=15.0,
        accepted_seconds=90.0,
        running_seconds=930.0,
    )


def test_who_stopped_as_asked_is_not_alive(tmp_path: Path) -> None:
    """The sign goes with the monitor, but not that of the next one."""
    first, second = Liveness(str(tmp_path)), Liveness(str(tmp_path))
    first.beat(interval_seconds=60.0)
    second.beat(interval_seconds=60.0)

    first.close()
    assert second.last(now=0.0) is not None
    second.close()
    assert second.last(now=0.0) is None
    second.close()


def test_a_sign_of_life_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The monitor goes on, and a socket has the sign until the file can be written again."""
    # Given
    path = tmp_path / "state"
    path.write_text("in the way")
    clock = FakeClock(wall=1_000.0)
    liveness = Liveness(str(path), clock=clock)

    # When
    liveness.beat(interval_seconds=1.0)
    clock.advance(5.0)
    liveness.beat(interval_seconds=1.0)

    # Then
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert Liveness(str(path)).last(now=1_007.0) == SignOfLife(2.0, 1.0)
    assert Liveness(str(tmp_path / "other")).last(now=1_007.0) is None

    # When
    path.unlink()
    clock.advance(5.0)
    liveness.beat(interval_seconds=1.0)
    liveness.close()

    # Then
    assert Liveness(str(path)).last(now=1_012.0) is None


def test_where_neither_file_nor_socket_can_be_had_it_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else has taken the socket's name."""
    # Given
    path = tmp_path / "state"
    path.write_text("in the way")
    first, second = Liveness(str(path)), Liveness(str(path))
    first.beat(interval_seconds=1.0)
    caplog.clear()

    # When
    second.beat(interval_seconds=1.0)
    second.beat(interval_seconds=1.0)
    first.close()

    # Then
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no sign of life" in record.getMessage()


def test_two_monitors_of_one_user_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    """Without a state_dir the sign has the name of broker, namespace and dimensions."""
    # Given
    celery = Identity(broker="redis://a/0", namespace="Celery", dimensions=())
    others = [
        replace(celery, broker="redis://a/1"),
        replace(celery, namespace="Shop"),
        replace(celery, dimensions=(("Environment", "prod"),)),
    ]
    for identity in others:
        Liveness(identity=identity, temporary_dir=tmp_path).beat(interval_seconds=60.0)

    # Then
    assert Liveness(identity=celery, temporary_dir=tmp_path).last(now=0.0) is None
    assert Liveness.find(celery, temporary_dir=tmp_path) == ()

    # When
    Liveness(identity=celery, temporary_dir=tmp_path).beat(interval_seconds=60.0)

    # Then whoever knows less finds more
    known = [
        celery,
        replace(celery, broker=None),
        replace(celery, namespace=None),
        replace(celery, dimensions=None),
        Identity(),
    ]
    found = [len(Liveness.find(identity, temporary_dir=tmp_path)) for identity in known]
    assert found == [1, 2, 2, 2, 4]


def test_a_monitor_that_can_write_nowhere_is_found_by_its_name(tmp_path: Path) -> None:
    """Its socket has the same name as the file would have."""
    # Given
    (tmp_path / "file").write_text("")
    identity = Identity(broker=f"redis://{tmp_path}", namespace="Celery", dimensions=())
    monitor = Liveness(identity=identity, temporary_dir=tmp_path / "file")

    # When
    monitor.beat(interval_seconds=60.0)
    found = Liveness.find(identity, temporary_dir=tmp_path)

    # Then
    (liveness,) = found
    assert liveness.last(now=0.0) == SignOfLife(0.0, 60.0)
    monitor.close()
    assert Liveness.find(identity, temporary_dir=tmp_path) == ()


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


def test_who_publishes_the_same_is_read_with_the_sign(tmp_path: Path) -> None:
    """Nothing is, where nobody does."""
    liveness = Liveness(str(tmp_path))
    found = []
    for second in ("process 7 on here", ""):
        liveness.beat(interval_seconds=1.0, second=second)
        sign = liveness.last(now=0.0)
        assert sign is not None
        found.append(sign.second)
    assert found == ["process 7 on here", ""]
