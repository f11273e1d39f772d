"""``event-monitor history``: what a person and a program read, also when the monitor is dead."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from event_monitor.cli.history_text import HistoryText
from event_monitor.history import FILE_NAME, Reader, Recorder
from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, Snapshot, Window, WorkerState, WorkerStatus
from event_monitor.testing import FakeClock

from ..history.making import ended
from .terminal import complaint, module, typed

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def keep(state_dir: Path, *tasks: EndedTask, details: tuple[str, ...] = ()) -> None:
    """Keep a history with these tasks, and a worker that is lost."""
    settings = Settings(history=True, state_dir=str(state_dir), history_details=details)
    history = Recorder(settings, clock=FakeClock(NOW))
    history.on_tasks(tasks)
    window = Window(opened_at=NOW - 60, closed_at=NOW)
    lost = WorkerStatus("celery@one", WorkerState.LOST, 90.0)
    history.on_snapshot(Snapshot(window, workers=(lost,)))
    history.flush()
    history.close()


def shown(state_dir: Path, *arguments: str) -> str:
    """Return what the command prints."""
    wide = {"COLUMNS": "120"}
    result = typed("history", *arguments, "--state-dir", str(state_dir), environ=wide)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_shows_what_failed_and_where(tmp_path: Path) -> None:
    """Newest first, and how much was kept."""
    keep(
        tmp_path,
        ended("u1", "failed", started=NOW - 2.5),
        ended("u2", retries=1, runtime=90.0),
    )
    assert shown(tmp_path) == (
        "2023-11-14T22:13:20Z succeeded   1m 30s u2 shop.pay on celery@one\n"
        "2023-11-14T22:13:20Z failed       2.5 s u1 shop.pay on celery@one\n"
        "    ValueError at /app/shop.py:3 in pay\n"
        "\n"
        "kept: all 1 succeeded, all 1 failed\n"
    )


def test_filters_and_pages(tmp_path: Path) -> None:
    """What --json prints has all that the lines have."""
    keep(tmp_path, *(ended(f"u{number}", "failed", name=f"n{number % 2}") for number in range(6)))

    page = json.loads(shown(tmp_path, "--task", "n1", "--limit", "2", "--json"))
    assert ([run["id"] for run in page["runs"]], page["before"]) == (["u5", "u3"], 4)
    rest = json.loads(shown(tmp_path, "--task", "n1", "--before", "4", "--json"))
    assert ([run["id"] for run in rest["runs"]], rest["before"]) == (["u1"], None)
    assert page["kept"] == [{"state": "failed", "ended": 6, "kept": 6}]
    assert "more: --before 4\n" in shown(tmp_path, "--task", "n1", "--limit", "2")
    assert shown(tmp_path, "--state", "revoked").splitlines()[0] == "no such task was kept"
    assert "u1" in shown(tmp_path, "--since", "2023-11-14T22:13Z")
    assert "u1" not in shown(tmp_path, "--since", "1h")
    assert "u1" not in shown(tmp_path, "--worker", "celery@two", "--queue", "q", "--text", "x")


def test_one_task_is_shown_with_its_runs_and_details(tmp_path: Path) -> None:
    """What would steer a terminal is escaped, in each line of a traceback."""
    details = (("message", b'"ValueError(1)"'), ("traceback", b'"line 1\\n\\u001b[31mline 2"'))
    keep(
        tmp_path,
        ended("u1", "retried", name="evil\x1b[2Jname"),
        ended("u1", "failed", details=details, sent=NOW - 7),
        details=("message", "traceback"),
    )
    text = shown(tmp_path, "show", "u1")
    assert text.count("evil\\x1b[2Jname u1\n") == 1
    assert "  sent       2023-11-14T22:13:13Z\n" in text
    assert "  message    ValueError(1)\n" in text
    assert "  traceback\n    line 1\n    \\x1b[31mline 2\n" in text
    assert "\x1b" not in text

    result = typed("history", "show", "nobody", "--state-dir", str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "no run of nobody was kept\n")


def test_a_task_is_shown_with_its_parent_and_its_children(tmp_path: Path) -> None:
    """So that one can go on from there."""
    keep(
        tmp_path,
        ended("u1", "failed", root="u0", parent="ua"),
        ended("u2", "failed", root="u0", parent="u1"),
        ended("u3", runtime=1.0, root="u0", parent="u2"),
    )
    text = shown(tmp_path, "show", "u1")
    assert "  parent     ua\n  root       u0\n" in text
    assert text.endswith(
        "children\n"
        "  2023-11-14T22:13:20Z failed           ? u2 shop.pay on celery@one\n"
        "      ValueError at /app/shop.py:3 in pay\n\n"
    )
    document = json.loads(shown(tmp_path, "show", "u1", "--json"))
    (run,), (child,) = document["runs"], document["children"]
    assert (run["root"], run["parent"], child["id"], child["parent"]) == ("u0", "ua", "u2", "u1")


def test_failures_and_incidents_are_listed(tmp_path: Path) -> None:
    """In groups, and with what is still so."""
    keep(tmp_path, *(ended(f"u{number}", "failed") for number in range(1_200)))
    header, row, *_ = shown(tmp_path, "failures").splitlines()
    assert header.split() == ["count", "recently", "first", "last", "what"]
    assert row.split()[0] == "1,200"
    assert "shop.pay: ValueError at" in row
    assert shown(tmp_path, "failures", "--text", "KeyError") == "nothing has failed\n"
    (group,) = json.loads(shown(tmp_path, "failures", "--task", "shop.pay", "--json"))["failures"]
    assert (group["count"], group["place"]) == (1_200, "/app/shop.py:3 in pay")

    # Nobody has written since: whether it is over is not known.
    assert shown(tmp_path, "incidents").splitlines()[1].split() == [
        *("2023-11-14T22:13:20Z", "still", "at", "2023-11-14T22:13:20Z"),
        *("worker-lost", "celery@one"),
    ]


def test_what_is_wrong_still_lasts_until_now(tmp_path: Path) -> None:
    """Not until the shot that has found it."""
    keep(tmp_path)
    with Reader.open(tmp_path / FILE_NAME) as reader:
        _, lines = HistoryText(reader).incidents(
            since=0.0, limit=9, now=NOW + 42, interval_seconds=60.0
        )
    assert lines[1].split()[:3] == ["2023-11-14T22:13:20Z", "42s,", "still"]


def test_the_beginning_of_an_id_is_enough_where_one_task_has_it(tmp_path: Path) -> None:
    """Of several all are named, and fewer than six characters are an id or none."""
    ids = ("0e5ccd0b-6b4b", "0e5ccd0c-6b4b", "0e5c")
    keep(tmp_path, *(ended(task_id, "failed") for task_id in ids))
    assert shown(tmp_path, "show", "0e5ccd0b").startswith("shop.pay 0e5ccd0b-6b4b\n")
    assert shown(tmp_path, "show", "0e5c").startswith("shop.pay 0e5c\n")

    def refused(beginning: str) -> str:
        result = typed("history", "show", beginning, "--state-dir", str(tmp_path))
        assert result.exit_code == 1
        return result.stdout

    assert refused("0e5ccd") == (
        "several tasks begin with 0e5ccd:\n  0e5ccd0b-6b4b\n  0e5ccd0c-6b4b\n"
    )
    assert refused("0e5cc") == "no run of 0e5cc was kept\n"
    assert refused("0e5ccd0d") == "no run of 0e5ccd0d was kept\n"


def test_prune_lets_go_of_what_is_older(tmp_path: Path) -> None:
    """By the settings, or as it is said; of one state, or of all, and gives the room back."""
    tasks = [ended(f"{how}{n}", how) for how in ("failed", "revoked") for n in range(400)]
    keep(tmp_path, *tasks)
    size = (tmp_path / FILE_NAME).stat().st_size

    century = ("--history-failed", "31622400", "--history-other", "31622400")
    assert shown(tmp_path, "prune", "--older", "3650d") == "0 runs deleted\n"
    assert shown(tmp_path, "prune", "--older", "1h", "--state", "revoked") == "400 runs deleted\n"
    assert shown(tmp_path, "failures") != "nothing has failed\n"
    assert shown(tmp_path, "prune", "--state", "succeeded", *century) == "0 runs deleted\n"
    assert shown(tmp_path, "prune") == "400 runs deleted\n"
    assert shown(tmp_path, "failures") == "nothing has failed\n"
    assert (tmp_path / FILE_NAME).stat().st_size < size


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "state_dir is not set: "),
        (("--state-dir", "nowhere"), "there is no history in '/"),
        (("--state-dir", "nowhere", "prune"), "there is no history in '/"),
        (("--state-dir", ".", "--since", "soon"), "--since is 'soon'; say how long ago"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    """With what to do."""
    result = typed("history", *arguments)
    code = 2 if "is not set" in sentence or "--since" in sentence else 3
    assert complaint(result, code=code).startswith(sentence)


def test_a_damaged_file_and_a_later_version_are_told_apart(tmp_path: Path) -> None:
    """Neither is changed."""
    path = tmp_path / FILE_NAME
    keep(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    for what in ("list", "prune"):
        result = typed("history", what, "--state-dir", str(tmp_path))
        assert "was written by a later version" in complaint(result, code=3)

    path.write_bytes(b"nonsense" * 1_000)
    for what in ("list", "failures", "prune"):
        result = typed("history", what, "--state-dir", str(tmp_path))
        assert "is damaged (file is not a database)" in complaint(result, code=3)
    assert path.read_bytes() == b"nonsense" * 1_000


@pytest.mark.parametrize("arguments", [("show",), ("failures", "u1"), ("list", "--older", "1h")])
def test_arguments_that_do_not_go_together(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A usage error."""
    result = typed("history", *arguments, "--state-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_the_state_dir_may_be_the_apps(desk: Path, tmp_path: Path) -> None:
    """As its monitor has it."""
    keep(tmp_path, ended("u1", "failed"))
    lines = ("import celery", "app = celery.Celery(set_as_current=False)")
    conf = {"state_dir": str(tmp_path)}
    source = "\n".join((*lines, f"app.conf.event_monitor = {conf!r}\n"))
    module(desk, "storeapp", source=source)
    result = typed("history", "-A", "storeapp")
    assert " u1 shop.pay " in result.stdout
