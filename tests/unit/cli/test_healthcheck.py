"""Health check: what is typed, and the number it ends with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.liveness import Identity, Liveness, beat_identity
from event_monitor.snapshot import PublisherActivity
from event_monitor.testing import FakeClock

from .terminal import typed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-flag"],
        ["--worker", "w1"],
        ["--worker", "w1", "-b", "memory://", "--interval", "x"],
    ],
)
def test_mistakes_are_unhealthy(arguments: list[str]) -> None:
    """Exit 1: Docker reserves 2."""
    result = typed("healthcheck", *arguments)

    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "arguments", [[], ["--monitor", "--worker", "w1"], ["--monitor", "--beat"]]
)
def test_it_wants_one_thing_to_check(arguments: list[str]) -> None:
    """Neither none nor two."""
    result = typed("healthcheck", *arguments)

    assert result.exit_code == 1
    assert "say either --worker NAME, --monitor or --beat." in result.stderr


def test_the_monitor_is_found_by_its_state_dir(tmp_path: Path) -> None:
    """Healthy once it has left a sign of life there."""
    state_dir = str(tmp_path / "state")
    arguments = ("healthcheck", "--monitor", "--state-dir", state_dir)
    assert typed(*arguments).exit_code == 1

    Liveness(state_dir).beat(interval_seconds=60.0)
    result = typed(*arguments)

    assert (result.exit_code, result.stdout) == (0, "healthy\n")


def test_without_a_state_dir_it_looks_where_the_monitor_leaves_its_sign(tmp_path: Path) -> None:
    """Among the temporary files. It imports nothing slow, though the variable names an app."""
    # Given a process with temporary files of its own
    code = (
        "import sys; from event_monitor.cli import main\n"
        "try: main(['healthcheck', '--monitor'])\n"
        "except SystemExit as ending: print(ending.code)\n"
        "print(sorted({'celery', 'kombu', 'boto3', 'redis', 'sqlite3'} & set(sys.modules)))"
    )
    environ = {**os.environ, "EVENT_MONITOR_APP": "proj", "TMPDIR": str(tmp_path)}
    root = Path(__file__).parents[3]

    def checked() -> list[str]:
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environ,
            cwd=root,
        )
        return run.stdout.splitlines()

    # When, then
    assert checked() == ["1", "[]"]
    Liveness(temporary_dir=tmp_path).beat(interval_seconds=60.0)
    assert checked() == ["healthy", "0", "[]"]


def test_time_since_the_last_acceptance_is_shown_and_may_be_bounded(tmp_path: Path) -> None:
    """By itself it makes nobody unhealthy."""
    now = time.time()
    Liveness(str(tmp_path)).beat(
        interval_seconds=60.0,
        publisher=PublisherActivity(
            sending_seconds=None, deadline_seconds=15.0, accepted_at=now - 600, started_at=now - 900
        ),
    )
    arguments = ("healthcheck", "--monitor", "--state-dir", str(tmp_path))

    healthy, unhealthy = typed(*arguments), typed(*arguments, "--accepted-within", "300")

    assert healthy.exit_code == 0
    assert re.fullmatch(
        r"healthy: the last shot was \d+s ago, metrics were last accepted 10m \d\ds ago\n",
        healthy.stdout,
    )
    assert unhealthy.exit_code == 1
    assert re.fullmatch(r"metrics were last accepted 6\d\d s ago\.\n", unhealthy.stderr)


def test_the_monitor_of_another_broker_is_not_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags and variables say which one is, as far as they are given."""
    # Given
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = Identity(broker="redis://mine:6379/0", namespace="Celery", dimensions=())
    Liveness(identity=mine).beat(interval_seconds=60.0)

    def code(*arguments: str) -> int:
        return typed(*arguments, "healthcheck", "--monitor").exit_code

    # Then
    assert code() == 0
    assert code("-b", "redis://:geheim@mine") == 0
    assert code("-b", "redis://other") == 1
    monkeypatch.setenv("EVENT_MONITOR_BROKER", "redis://mine/0")
    assert code() == 0
    monkeypatch.setenv("EVENT_MONITOR_NAMESPACE", "Shop")
    assert code() == 1


def test_who_sets_nothing_is_not_judged_by_a_monitor_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers may share the host's network, and with it the sockets."""
    # Given a monitor with another namespace that is dead
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = Identity(broker="redis://mine", namespace="Celery", dimensions=())
    dead = replace(mine, namespace="Shop")
    Liveness(identity=mine).beat(interval_seconds=60.0)
    Liveness(identity=dead, clock=FakeClock(wall=0.0)).beat(interval_seconds=60.0)

    # Then
    assert typed("-b", "redis://mine", "healthcheck", "--monitor").exit_code == 0
    assert typed("healthcheck", "--monitor", "--namespace", "Shop").exit_code == 1


def test_beat_is_found_by_its_state_dir_or_its_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No monitor is taken for it, nor it for a monitor."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    state_dir = str(tmp_path / "state")
    Liveness(state_dir).beat(interval_seconds=60.0)
    Liveness(identity=Identity(broker="redis://mine")).beat(interval_seconds=60.0)

    def codes(what: str) -> list[int]:
        ways = (f"--state-dir {state_dir}", "", "-b redis://mine:6379/0", "-b redis://other")
        return [typed("healthcheck", what, *way.split()).exit_code for way in ways]

    assert codes("--beat") == [1, 1, 1, 1]
    Liveness(state_dir, sign="beat").beat(interval_seconds=300.0)
    Liveness(identity=beat_identity("redis://mine")).beat(interval_seconds=300.0)
    assert codes("--beat") == [0, 0, 0, 1]


def test_accepted_within_is_for_the_monitor_only() -> None:
    """A worker publishes nothing."""
    result = typed("healthcheck", "--worker", "w1", "--accepted-within", "300")

    assert result.exit_code == 1
    assert "--accepted-within is for --monitor." in result.stderr


def test_an_outage_of_the_broker_need_not_restart_the_worker() -> None:
    """Unless asked otherwise the worker is unhealthy: nothing is known of it."""
    arguments = ("healthcheck", "-b", "redis://:geheim@127.0.0.1:1/0", "--worker", "w1")

    assert typed(*arguments).exit_code == 1
    result = typed(*arguments, "--ignore-broker")
    assert result.exit_code == 0
    assert "cannot be asked" in result.stderr
    assert "geheim" not in result.output


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--strict"], 3)])
def test_a_worker_of_which_nothing_can_be_known_is_not_restarted(
    flags: list[str], code: int
) -> None:
    """One line on stderr says why; whoever wants to know asks for the 3."""
    result = typed("healthcheck", "-b", "sqs://", "--worker", "w1@host", *flags)

    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr == (
        "nothing is known of w1@host: sqs has no remote control of workers, and only with "
        "send_events_over_sqs(app) in the app would it leave its heartbeats here.\n"
    )
