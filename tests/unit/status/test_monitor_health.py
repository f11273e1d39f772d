"""Monitor health: a monitor that no longer takes its shots is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.liveness import Identity, Liveness, write_note
from event_monitor.snapshot import PublisherActivity
from event_monitor.status.monitor_health import (
    examine_monitor,
    examine_monitors,
    monitors_of,
    sign_of_monitor,
)
from event_monitor.testing import FakeClock

NOW = 1_000.0


def left(
    path: Path, *, sending_seconds: float | None = None, accepted_at: float | None = None
) -> Liveness:
    """Return what a monitor started at 400 has left at ``NOW``."""
    liveness = Liveness(str(path), clock=FakeClock(wall=NOW))
    liveness.beat(
        interval_seconds=60.0,
        publisher=PublisherActivity(
            sending_seconds=sending_seconds,
            deadline_seconds=15.0,
            accepted_at=accepted_at,
            started_at=400.0,
        ),
    )
    return liveness


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


def test_a_relative_state_dir_is_shown_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor may have been started elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert examine_monitor(Liveness("state"), now=1_000.0) == (
        f"no monitor has left a sign of life in {tmp_path}/state/alive; give this command the same "
        "state_dir as the monitor, as a whole path: the working directories may differ."
    )


def test_a_short_interval_does_not_condemn_a_slow_machine(tmp_path: Path) -> None:
    """Ten seconds are always allowed."""
    write_note(tmp_path / "alive", {"at": 1_000.0, "interval_seconds": 1.0})

    assert examine_monitor(Liveness(str(tmp_path)), now=1_009.0) is None


def test_a_publisher_that_hangs_in_one_request_is_unhealthy(tmp_path: Path) -> None:
    """After twice the time that a request may take."""
    assert examine_monitor(left(tmp_path), now=NOW) is None
    assert examine_monitor(left(tmp_path, sending_seconds=30.0), now=NOW) is None
    assert examine_monitor(left(tmp_path, sending_seconds=31.0), now=NOW) == (
        "the monitor's publisher has been in one request for 31 s; it should take 15 s at most."
    )


def test_what_is_not_accepted_is_no_matter_of_health_unless_asked(tmp_path: Path) -> None:
    """A restart would lose what is kept in memory."""
    never, once = left(tmp_path / "never"), left(tmp_path / "once", accepted_at=700.0)

    assert examine_monitor(never, now=NOW) is None
    assert examine_monitor(once, now=NOW) is None
    assert examine_monitor(never, now=NOW, accepted_within=600) is None
    assert examine_monitor(once, now=NOW, accepted_within=300) is None
    assert examine_monitor(never, now=NOW, accepted_within=599) == (
        "no metrics were accepted since the monitor started 600 s ago."
    )
    assert examine_monitor(once, now=NOW, accepted_within=299) == (
        "metrics were last accepted 300 s ago."
    )


def test_a_sign_that_does_not_say_what_was_accepted_proves_nothing(tmp_path: Path) -> None:
    """An older version's."""
    write_note(tmp_path / "alive", {"at": NOW, "interval_seconds": 60.0})

    problem = examine_monitor(Liveness(str(tmp_path)), now=NOW, accepted_within=300)

    assert problem == "the monitor does not say when its metrics were accepted last."


@pytest.mark.parametrize(("ahead", "believed"), [(10.0, True), (11.0, False), (1e9, False)])
def test_a_sign_from_the_future_is_not_believed(
    tmp_path: Path, ahead: float, believed: bool
) -> None:
    """A few seconds are a clock that was corrected."""
    write_note(tmp_path / "alive", {"at": NOW + ahead, "interval_seconds": 60.0})

    problem = examine_monitor(Liveness(str(tmp_path)), now=NOW)
    sign = sign_of_monitor([Liveness(str(tmp_path))], now=NOW)

    assert (problem is None) is believed
    assert (sign is not None) is believed
    assert problem is None or "ahead of the clock" in problem


def test_a_sign_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    """And the sentence says why."""
    liveness = left(tmp_path)
    liveness.path.chmod(0o666)

    assert examine_monitor(liveness, now=NOW) == (
        f"the sign of life in {tmp_path}/alive is not believed: other users may write to it."
    )


def test_of_two_that_may_be_meant_none_vouches_for_the_other(tmp_path: Path) -> None:
    """Both have to be healthy; what was left a day ago is nobody's."""
    # Given two monitors that differ in the namespace, one of which is dead
    alive, dead = (
        Liveness(
            identity=Identity(broker="redis://h", namespace=namespace, dimensions=()),
            temporary_dir=tmp_path,
            clock=FakeClock(wall=wall),
        )
        for namespace, wall in (("A", 100_000.0), ("B", 99_000.0))
    )
    for liveness in (alive, dead):
        liveness.beat(interval_seconds=60.0)
    known = Liveness.find(Identity(namespace="A"), temporary_dir=tmp_path)
    unknown = Liveness.find(Identity(), temporary_dir=tmp_path)

    # Then
    assert examine_monitors(known, now=100_000.0) is None
    assert examine_monitors(unknown, now=100_000.0) == (
        "the monitor's last shot was 1,000 s ago; there should be one every 60 s: one of 2 "
        "monitors here that may be meant; name the broker, the namespace or the dimensions of "
        "yours."
    )
    alive.beat(interval_seconds=60.0)
    assert examine_monitors(unknown, now=99_000.0 + 86_401.0) is not None  # the other is old too


def test_where_nobody_has_left_a_sign_the_sentence_says_what_to_name(tmp_path: Path) -> None:
    """Everything that is in its name."""
    identity = Identity(broker=f"redis://{tmp_path.name}", namespace="N", dimensions=())

    problem = examine_monitors(monitors_of("", identity), now=NOW)

    assert problem is not None
    assert problem.endswith(
        "; give this command the same state_dir, broker, namespace and dimensions as the monitor."
    )
