"""Status and health: what is shown, the number a check ends with, and what is remembered."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from event_monitor.cli.healthcheck import healthcheck
from event_monitor.cli.status import status
from event_monitor.liveness import Beat, Pulse, read_note, runtime_dir, write_note
from event_monitor.settings import Settings
from event_monitor.snapshot import TaskInFlight
from event_monitor.status.report import Report, as_json, as_text
from event_monitor.status.worker_health import Idle, examine_monitor, judge, nodename
from event_monitor.survey import QueueDepth, WorkerAnswer

SETTINGS = Settings(queue_length_limits=(("celery", (100.0, 1_000.0)),))
W1 = WorkerAnswer(
    "w1@host",
    active=1,
    reserved=4,
    scheduled=0,
    revoked=0,
    pool_processes=2,
    memory_bytes=58_000_000,
    processed=(("proj.a", 1_200), ("proj.b", 34)),
    queues=("celery",),
)
SILENT = WorkerAnswer("w2@" + "very-long-host-name." * 5 + "example", active=2)
RUNNING = (
    TaskInFlight("u1", "proj.short", "w1@host", running_since=990.0),
    TaskInFlight("u2", "proj.long", "w1@host", running_since=275.0),
    TaskInFlight("u3", "proj.unknown", "w1@host"),
)


def queue(ready: int | None = 12, **fields: Any) -> QueueDepth:
    """The queue that has limits."""
    return QueueDepth("celery", ready=ready, **fields)


def report(*workers: WorkerAnswer, **fields: Any) -> Report:
    """Of these workers and one quiet queue."""
    return Report(**{"at": 1_000.0, "workers": workers or (W1,), "queues": (queue(),), **fields})


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables and no files of the desk, and logging as it was afterwards."""
    for name in [*os.environ, "CELERY_BROKER_URL", "CELERY_BROKER_READ_URL"]:
        if name.startswith(("EVENT_MONITOR_", "CELERY_")):
            monkeypatch.setenv(name, "")  # so that what a command sets is undone too
            monkeypatch.delenv(name)
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "")
    monkeypatch.delenv("CELERY_BROKER_WRITE_URL")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ours, root = logging.getLogger("event_monitor"), logging.getLogger()
    level, *before = ours.level, ours.propagate, ours.handlers[:], root.handlers[:]
    yield
    ours.setLevel(level)
    ours.propagate, ours.handlers[:], root.handlers[:] = before


# -- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (report(), 0),
        (report(queues=(queue(100),)), 1),
        (report(queues=(queue(1_000),)), 2),
        (report(queues=(QueueDepth("free", ready=10**6),)), 0),  # without limits
        (report(workers=()), 2),
        (report(workers=None, queues=None, unknown=("the broker is away",)), 3),
        (report(queues=(queue(1_000),), workers=None, unknown=("no",)), 2),
        (report(queues=(queue(100),), workers=None, unknown=("no",)), 1),
    ],
)
def test_the_worst_problem_is_the_level(found: Report, level: int) -> None:
    """Critical before warning before unknown."""
    assert found.level(SETTINGS, min_workers=1) == level


def test_how_many_workers_there_have_to_be() -> None:
    """A number of the user's."""
    assert report().level(SETTINGS, min_workers=2) == 2
    assert report(workers=()).level(SETTINGS, min_workers=0) == 0


# -- showing -------------------------------------------------------------------------------------


def test_the_text_is_for_people_and_its_first_line_for_checks() -> None:
    """Aligned; columns of which nothing is known are left out."""
    found = report(running=RUNNING, queues=(queue(unacked=5, oldest_seconds=90.0),))

    assert as_text(found, SETTINGS, min_workers=1) == (
        "OK: 1 worker answers, 1 of 2 processes busy, 12 messages waiting\n"
        "\n"
        "worker   active  reserved  scheduled  processed  memory\n"
        "w1@host     1/2         4          0      1,234   58 MB\n"
        "\n"
        "queue   ready  unacked  oldest  status\n"
        "celery     12        5  1m 30s      ok\n"
        "\n"
        "longest running: 12m 05s, proj.long u2\n"
        "                 on w1@host"
    )


def test_problems_come_first_the_worst_before_the_others() -> None:
    """In one line."""
    found = report(
        workers=None,
        queues=(queue(1_500, oldest_seconds=7_260.0),),
        unknown=("the workers cannot be asked",),
    )

    first = as_text(found, SETTINGS, min_workers=1).splitlines()[0]

    assert first == (
        "CRITICAL: queue celery: 1,500 waiting, the oldest for 2h 01m; the workers cannot be asked"
    )


def test_long_names_do_not_break_eighty_columns() -> None:
    """Beginning and end stay; what was not answered is a question mark."""
    rates = {"arrivals_per_second": 1.5, "deliveries_per_second": 2.0, "oldest_seconds": 3_601.0}
    deep = QueueDepth("q" * 200, 1_234_567, 65_535, 120, **rates)

    text = as_text(report(W1, SILENT, queues=(queue(), deep)), SETTINGS, min_workers=1)

    assert max(len(line) for line in text.splitlines()) <= 80
    (line,) = [line for line in text.splitlines() if line.startswith("w2@")]
    assert "…" in line
    assert "example" in line
    assert line.split()[1:] == ["2/?", "?", "?", "?", "?"]


def test_names_cannot_steer_the_terminal() -> None:
    """They come from whoever may write to the broker."""
    evil = WorkerAnswer("w\x1b[2J\n@host", active=0)
    task = TaskInFlight("u\x1b", "t\x07", "w\x1b[2J", running_since=1.0)

    text = as_text(
        report(evil, running=(task,), queues=(QueueDepth("q\x1b\r", ready=1),)),
        SETTINGS,
        min_workers=1,
    )

    assert text.replace("\n", "").isprintable()


def test_json_has_stable_keys_and_null_for_the_unknown() -> None:
    """Whole-value."""
    full = as_json(report(running=RUNNING), SETTINGS, min_workers=1)
    empty = as_json(Report(at=1_000.0, unknown=("the broker is away",)), SETTINGS, min_workers=1)

    assert full["status"] == "ok"
    assert full["tasks"] == {
        "active": 1,
        "reserved": 4,
        "scheduled": 0,
        "oldest_running_seconds": 725.0,
        "oldest_running_name": "proj.long",
        "oldest_running_id": "u2",
        "oldest_running_worker": "w1@host",
    }
    assert full["workers"][0]["processed"] == 1_234
    assert full["queues"][0]["status"] == "ok"
    assert empty == {
        "status": "unknown",
        "problems": ["the broker is away"],
        "at": 1_000.0,
        "tasks": dict.fromkeys(full["tasks"]),
        "workers": None,
        "queues": None,
    }
    assert as_json(report(SILENT), SETTINGS, min_workers=1)["workers"][0]["processed"] is None


# -- pulse ---------------------------------------------------------------------------------------


def test_a_pulse_tells_its_age_and_how_often_it_should_beat(tmp_path: Path) -> None:
    """Written by one process, read by another."""
    assert Pulse(str(tmp_path)).last(now=0.0) is None

    Pulse(str(tmp_path)).beat(interval_seconds=30.0)
    at = read_note(tmp_path / "alive")["at"]

    assert Pulse(str(tmp_path)).last(now=at + 12.0) == Beat(12.0, 30.0)
    assert Pulse(str(tmp_path)).last(now=at - 3_600.0) == Beat(0.0, 30.0)  # a clock stepped back
    assert [one.name for one in tmp_path.iterdir()] == ["alive"]


def test_a_pulse_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The monitor goes on."""
    (tmp_path / "file").write_text("")
    pulse = Pulse(str(tmp_path / "file"))

    pulse.beat(interval_seconds=1.0)
    pulse.beat(interval_seconds=1.0)

    assert [one.levelname for one in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"at": "x"}', '{"at": 1}', "[" * 20_000, "\x00"])
def test_a_broken_pulse_is_none(tmp_path: Path, text: str) -> None:
    """Whatever the file holds."""
    (tmp_path / "alive").write_text(text)

    assert Pulse(str(tmp_path)).last(now=1.0) is None


def test_without_a_state_dir_it_is_in_a_directory_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else may read it, and no link of somebody else's is followed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"event-monitor-{os.getuid()}"
    assert runtime_dir("") == folder
    assert runtime_dir("/var/lib/monitor") == Path("/var/lib/monitor")

    write_note(folder / "alive", {})
    assert folder.stat().st_mode & 0o777 == 0o700

    (folder / "alive").unlink()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        write_note(folder / "alive", {})


# -- health --------------------------------------------------------------------------------------


def test_the_monitor_is_well_for_three_intervals(tmp_path: Path) -> None:
    """Its own interval, which it wrote down."""
    settings = Settings(state_dir=str(tmp_path))
    path = tmp_path / "alive"
    assert examine_monitor(settings, now=1_000.0) == (
        f"no monitor has left a sign of life in {path}; "
        "give this command the same state_dir as the monitor."
    )

    write_note(path, {"at": 1_000.0, "interval_seconds": 60.0})

    assert examine_monitor(settings, now=1_179.0) is None
    assert examine_monitor(settings, now=1_180.0) == (
        "the monitor's last shot was 180 s ago; there should be one every 60 s."
    )


def test_a_short_interval_does_not_condemn_a_slow_machine(tmp_path: Path) -> None:
    """Ten seconds are always allowed."""
    write_note(tmp_path / "alive", {"at": 1_000.0, "interval_seconds": 1.0})

    assert examine_monitor(Settings(state_dir=str(tmp_path)), now=1_009.0) is None


IDLE = WorkerAnswer("w1@host", active=0, processed=(("proj.a", 7),), queues=("celery",))
BEFORE = Idle(7, since=500.0)


@pytest.mark.parametrize(
    ("answer", "depths", "before", "uptime", "verdict"),
    [
        (IDLE, (queue(5),), None, 9_999.0, Idle(7, 1_000.0)),  # first seen
        (IDLE, (queue(5),), BEFORE, 9_999.0, BEFORE),  # still
        (IDLE, (queue(5),), Idle(6, 500.0), 9_999.0, Idle(7, 1_000.0)),  # it worked in between
        (IDLE, (queue(5),), Idle(7, 2_000.0), 9_999.0, Idle(7, 1_000.0)),  # a clock stepped back
        (IDLE, (queue(5),), BEFORE, 20.0, Idle(7, 980.0)),  # another worker, just started
        (IDLE, (queue(0),), BEFORE, 9_999.0, None),  # nothing waits
        (IDLE, (queue(None),), BEFORE, 9_999.0, BEFORE),  # not known whether anything waits
        (IDLE, (), BEFORE, 9_999.0, None),
        (IDLE, (queue(5),), BEFORE, None, None),  # it did not tell since when it runs
        (WorkerAnswer("w1@host", active=1), (queue(5),), BEFORE, 9_999.0, None),  # busy
        (WorkerAnswer("w1@host"), (queue(5),), BEFORE, 9_999.0, None),
    ],
)
def test_since_when_a_worker_is_idle_while_work_waits(
    answer: WorkerAnswer,
    depths: tuple[QueueDepth, ...],
    before: Idle | None,
    uptime: float | None,
    verdict: Idle | None,
) -> None:
    """One look compared with the last."""
    assert judge(answer, depths, before, now=1_000.0, uptime=uptime) == verdict


def test_names_of_workers_are_those_of_celery() -> None:
    """The host may be left out, or written as in ``celery worker -n``."""
    host = nodename("celery").partition("@")[2]

    assert host
    assert nodename("w1@") == nodename("w1@%h") == nodename("w1") == f"w1@{host}"
    assert nodename("w1@other") == "w1@other"


# -- commands ------------------------------------------------------------------------------------


def typed(command: Any, *arguments: str) -> Result:
    """Type the command."""
    return CliRunner().invoke(command, list(arguments), obj=None)


@pytest.mark.parametrize(
    ("command", "code"), [(status, 3), (healthcheck, 1)], ids=["status", "healthcheck"]
)
def test_mistakes_are_no_verdict(command: Any, code: int) -> None:
    """2 is critical to Nagios and reserved by Docker."""
    worker = ["--worker", "w1"] if command is healthcheck else []

    for arguments in (["--no-such-flag"], worker, [*worker, "-b", "memory://", "--interval", "x"]):
        result = typed(command, *arguments)
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)


def test_status_says_its_mistakes_where_nagios_looks() -> None:
    """The first line of stdout."""
    assert typed(status).stdout.startswith("UNKNOWN: there is no app to watch: say -A proj")


@pytest.mark.parametrize("arguments", [[], ["--monitor", "--worker", "w1"]])
def test_healthcheck_wants_one_thing_to_check(arguments: list[str]) -> None:
    """Neither none nor both."""
    result = typed(healthcheck, *arguments)

    assert result.exit_code == 1
    assert "say either --worker NAME or --monitor." in result.stderr


def test_healthcheck_of_the_monitor(tmp_path: Path) -> None:
    """By flag or by the place it chooses itself."""
    assert typed(healthcheck, "--monitor").exit_code == 1

    Pulse().beat(interval_seconds=60.0)
    assert typed(healthcheck, "--monitor").exit_code == 0

    elsewhere = str(tmp_path / "elsewhere")
    assert typed(healthcheck, "--monitor", "--state-dir", elsewhere).exit_code == 1
    Pulse(elsewhere).beat(interval_seconds=60.0)
    result = typed(healthcheck, "--monitor", "--state-dir", elsewhere)
    assert (result.exit_code, result.stdout) == (0, "healthy\n")


def test_healthcheck_of_the_monitor_imports_nothing_slow(tmp_path: Path) -> None:
    """It runs every few seconds: no Celery, though the variable names an app."""
    code = (
        "import sys; from event_monitor.cli.healthcheck import healthcheck\n"
        "try: healthcheck(['--monitor'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'celery', 'kombu', 'boto3', 'redis', 'sqlite3'} & set(sys.modules)))"
    )
    environ = {**os.environ, "EVENT_MONITOR_APP": "proj", "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )

    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("as_wanted", [[], ["--json"]], ids=["text", "json"])
def test_a_broker_that_is_away_is_unknown(as_wanted: list[str]) -> None:
    """One line, or one JSON object, without the password."""
    url = "redis://user:geheim@127.0.0.1:1/0"

    result = typed(status, "-b", url, *as_wanted)

    assert result.exit_code == 3, result.output
    assert "geheim" not in result.output
    if as_wanted:
        assert json.loads(result.stdout)["status"] == "unknown"
    else:
        (line,) = result.stdout.splitlines()
        assert line.startswith("UNKNOWN: the workers on redis://user:**@127.0.0.1:1/0 cannot be")


def test_an_outage_of_the_broker_need_not_restart_the_worker() -> None:
    """Unless told otherwise it is unhealthy: nothing is known of it."""
    arguments = ["-b", "redis://:geheim@127.0.0.1:1/0", "--worker", "w1"]

    assert typed(healthcheck, *arguments).exit_code == 1
    result = typed(healthcheck, *arguments, "--ignore-broker")
    assert result.exit_code == 0
    assert "cannot be asked" in result.stderr
    assert "geheim" not in result.output
