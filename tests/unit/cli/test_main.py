"""Command line: which commands there are, how they start, and the number they end with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner

from event_monitor import errors
from event_monitor.cli import celery_command, main
from event_monitor.settings import options

from .terminal import complaint, namespace_of, typed

COMMANDS = [
    *("run", "check", "status", "top", "events", "healthcheck", "history", "init", "provision"),
    *("metrics", "cost", "settings", "demo"),
]


def known(command: str) -> click.Command:
    """Return the command of that name."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return found


def test_help_lists_the_commands_in_the_order_one_needs_them_and_the_exit_codes() -> None:
    """One look shows what there is."""
    result = typed("--help")

    lines = result.output.partition("Commands:\n")[2].splitlines()
    assert result.exit_code == 0
    assert [line.split()[0] for line in lines if line.strip()] == COMMANDS
    for name, code in vars(errors).items():
        if name.startswith("EXIT_"):
            assert f"    {code:<4}" in result.output, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_that_parse(command: str) -> None:
    """What --help shows can be typed: every word of it is known."""
    # Given
    parser = known(command)
    output = typed(command, "--help").output
    examples = output.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()

    # When
    assert examples
    for example in examples:
        words = example.partition(f" {command}")[2].split()
        context = click.Context(parser)
        parser.parse_args(context, words)

        # Then
        assert context.params, example


def test_every_setting_is_a_flag_of_the_commands_that_use_settings() -> None:
    """Generated, so none can be missing; one command explains them all."""
    for command in ("run", "check", "cost", "settings"):
        flags = {flag for param in known(command).params for flag in param.opts}
        assert {option.flag for option in options()} <= flags, command
    explained = typed("settings", "--help").output
    assert [option.flag for option in options() if option.flag not in explained] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_its_own_and_says_how_it_ends(command: str) -> None:
    """Of the settings a few at most, and where the rest is explained; -h is --help."""
    output = typed(command, "-h").output

    assert output == typed(command, "--help").output
    assert re.search(r"Exit codes:\n  0 +\w", output)
    if command != "settings":
        settings = [option.flag for option in options() if f" {option.flag} " in output]
        assert len(settings) < 12
        uses_settings = any(param.name == "interval" for param in known(command).params)
        assert ("flags, too: `event-monitor settings --help` has them." in output) == uses_settings


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["health-check"], "did you mean 'healthcheck'?"),
        (["run", "--intervall", "3"], "Did you mean '--interval'?"),
        (["settings", "--namespaze", "Shop"], "--namespace"),
        (["history", "lsit"], "(did you mean 'list'?)."),
        (["provision", "alarm"], "(did you mean 'alarms'?)."),
        (["settings", "-l", "INFOO"], "(did you mean 'INFO'?)."),
    ],
)
def test_what_is_misspelt_is_suggested(words: list[str], meant: str) -> None:
    """Commands and flags, of settings too; click's own exit 2."""
    result = typed(*words)

    assert result.exit_code == 2
    assert meant in " ".join(result.stderr.split())


def test_version() -> None:
    """Program and version."""
    assert typed("--version").output == "event-monitor 0.1.0\n"


def test_importing_the_command_line_is_fast() -> None:
    """Every ``celery`` command loads it: neither Celery's events nor boto3 come along."""
    code = (
        "import sys, event_monitor.cli; "
        "slow = {'celery', 'kombu', 'boto3', 'botocore', 'sqlite3', 'textual', 'rich'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


def test_it_is_a_module_too() -> None:
    """``python -m event_monitor``."""
    command = [sys.executable, "-m", "event_monitor", "--version"]
    root = Path(__file__).parents[3]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)

    assert run.stdout == "event-monitor 0.1.0\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_no_name_keeps_a_table_from_being_printed(encoding: str) -> None:
    """Whatever the terminal's encoding lacks, and whatever would steer the terminal."""
    environ = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONIOENCODING": encoding,
        "EVENT_MONITOR_QUEUES": "отчёт\x1b[2J",
    }
    command = [sys.executable, "-m", "event_monitor", "settings"]
    root = Path(__file__).parents[3]
    run = subprocess.run(command, capture_output=True, check=True, cwd=root, env=environ)

    assert b"drain_seconds" in run.stdout
    assert b"\\x1b[2J" in run.stdout
    assert b"\x1b" not in run.stdout
    assert run.stderr == b""


def test_a_wrong_setting_ends_with_the_sentence_of_the_settings() -> None:
    """Exit 2, whatever the source."""
    assert complaint(typed("run", "-b", "memory://", "--interval", "fast"), code=2) == (
        "--interval is 'fast'; it must be 1 to 3,600 seconds."
    )


def test_under_celery_the_app_is_celerys() -> None:
    """``celery -A proj event-monitor settings``: the same commands, with Celery's app."""
    # Given
    app = Celery("shop", broker="memory://")
    app.conf.event_monitor = {"namespace": "FromCelery"}
    context = CLIContext(app=app, no_color=True, workdir=None)

    # When
    result = CliRunner().invoke(celery_command, ["settings"], obj=context)

    # Then
    assert celery_command.list_commands(click.Context(celery_command)) == COMMANDS
    assert celery_command.name == "event-monitor"
    assert namespace_of(result) == "FromCelery"


def test_under_celery_mistakes_are_one_line_too() -> None:
    """With the same exit code."""
    context = CLIContext(app=Celery("shop", broker="memory://"), no_color=True, workdir=None)

    result = CliRunner().invoke(celery_command, ["run", "--sink", "nope"], obj=context)

    assert complaint(result, code=2) == (
        "--sink is 'nope'; it must be `cloudwatch`, `console`, `emf` or the sink of an installed "
        "package: none is installed."
    )


@pytest.mark.parametrize("command", ["settings", "cost", "metrics", "--help", "--version"])
def test_an_output_that_takes_nothing_ends_with_one_sentence(command: str) -> None:
    """A full disk under a redirection."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "event_monitor", command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == errors.EXIT_UNAVAILABLE
    assert ended.stderr == (
        "event-monitor: reading or writing failed: [Errno 28] No space left on device\n"
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("settings", 0),
        ("healthcheck --monitor --state-dir /nonexistent", 1),
        ("status -b redis://127.0.0.1:1/0", 3),
        ("top --url http://127.0.0.1:1 -b redis://127.0.0.1:1/0", 3),
        ("run -b sentinel://127.0.0.1:1", 2),
    ],
)
@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_changes_no_exit_code(
    command: str, code: int, closed: str
) -> None:
    """As a service manager, or a job of cron's, may start it."""
    root = Path(__file__).parents[3]
    shell = f"exec {sys.executable} -m event_monitor {command} {closed}"

    run = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, cwd=root)

    assert (run.returncode, "Traceback" in run.stderr) == (code, False)
