"""Command line: what is typed, what is answered, and the number it ends with."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from event_monitor import errors
from event_monitor.catalog import CATALOG
from event_monitor.cli import celery_command, main
from event_monitor.settings import options

COMMANDS = [
    *("run", "check", "status", "healthcheck", "provision"),
    *("metrics", "cost", "settings", "demo"),
]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, no variables of the desk, and logging as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    for variable in (
        *("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"),
        *("CELERY_APP", "EVENT_MONITOR_APP", "EVENT_MONITOR_BROKER", "EVENT_MONITOR_LOG_LEVEL"),
        *(one.environ for one in options()),
    ):
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone too
        monkeypatch.delenv(variable)
    ours, root = logging.getLogger("event_monitor"), logging.getLogger()
    level, *before = ours.level, ours.propagate, ours.handlers[:], root.handlers[:]
    yield tmp_path
    ours.setLevel(level)
    ours.propagate, ours.handlers[:], root.handlers[:] = before


def typed(*arguments: str) -> Result:
    """Type ``event-monitor`` and the arguments."""
    return CliRunner().invoke(main, list(arguments), prog_name="event-monitor")


def module(desk: Path, name: str, source: str) -> str:
    """A module of the user's in the current directory."""
    (desk / f"{name}.py").write_text(source)
    return name


# -- help ----------------------------------------------------------------------------------------


def test_help_lists_the_commands_in_the_order_one_needs_them_and_the_exit_codes() -> None:
    """One look tells what there is."""
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
    known = main.commands[command]
    output = typed(command, "--help").output
    examples = output.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()

    # When
    assert examples
    for example in examples:
        words = example.partition(f" {command}")[2].split()
        context = click.Context(known)
        known.parse_args(context, words)

        # Then
        assert context.params, example


def test_every_setting_is_a_flag_of_the_commands_that_use_settings() -> None:
    """Generated, so none can be missing."""
    for command in ("run", "check", "cost", "settings"):
        output = typed(command, "--help").output
        for one in options():
            assert one.flag in output, (command, one.flag)


def test_version() -> None:
    """Program and version."""
    assert typed("--version").output == "event-monitor 0.1.0\n"


def test_importing_the_command_line_is_fast() -> None:
    """Every ``celery`` command loads it: neither Celery's events nor boto3 come along."""
    code = (
        "import sys, event_monitor.cli; "
        "print(sorted({'celery', 'kombu', 'boto3', 'botocore', 'sqlite3'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


def test_it_is_a_module_too() -> None:
    """``python -m event_monitor``."""
    command = [sys.executable, "-m", "event_monitor", "--version"]
    root = Path(__file__).parents[3]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)

    assert run.stdout == "event-monitor 0.1.0\n"


# -- mistakes ------------------------------------------------------------------------------------


def told(result: Result, code: int) -> str:
    """The one line on stderr, after the program's name."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("event-monitor: ")
    return line.removeprefix("event-monitor: ")


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_app_and_broker_it_says_how_to_name_them(command: str) -> None:
    """Exit 2: something was left out."""
    assert told(typed(command), 2) == (
        "there is no app to watch: say -A proj (or EVENT_MONITOR_APP=proj), or name the broker "
        "with -b redis://host:6379/0 (or EVENT_MONITOR_BROKER)."
    )


def test_a_wrong_setting_ends_with_the_sentence_of_the_settings() -> None:
    """Exit 2, whatever the source."""
    assert told(typed("run", "-b", "memory://", "--interval", "fast"), 2) == (
        "--interval is 'fast'; it must be 1 to 3,600 seconds."
    )


def test_a_misspelt_flag_is_suggested() -> None:
    """click's own exit 2."""
    result = typed("run", "--intervall", "3")

    assert result.exit_code == 2
    assert "--interval" in result.stderr


def test_a_module_that_is_not_there(desk: Path) -> None:
    """The name and the place that was searched."""
    assert told(typed("run", "-A", "nowhere.proj"), 3) == (
        f"cannot load the app 'nowhere.proj': there is no module 'nowhere' in {desk} or among the "
        "installed packages."
    )


def test_a_module_that_imports_what_is_not_installed(desk: Path) -> None:
    """Not to be confused with the module itself missing."""
    name = module(desk, "needs_more", "import not_installed_here\n")

    assert told(typed("run", "-A", name), 3) == (
        f"cannot load the app 'needs_more': {desk}/needs_more.py, line 1, imports "
        "'not_installed_here', which is not installed; run this where the project's code runs, or "
        "use -b instead of -A."
    )


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("divides", "\n1 / 0\n", "line 2, raises ZeroDivisionError: division by zero."),
        ("typo", "def f(:\n", "line 1, raises SyntaxError: invalid syntax."),
        ("leaves", "raise SystemExit('bye')\n", "line 1, raises SystemExit: bye."),
        ("lacks", "[].x\n", "line 1, raises AttributeError: 'list' object has no attribute 'x'."),
    ],
)
def test_a_module_that_breaks_when_imported(
    desk: Path, name: str, source: str, reason: str
) -> None:
    """File, line and the real error, and no traceback."""
    module(desk, name, source)

    assert told(typed("run", "-A", name), 3) == (
        f"cannot load the app {name!r}: {desk}/{name}.py, {reason}"
    )


@pytest.mark.parametrize(
    ("name", "given", "source", "reason"),
    [
        (
            "empty",
            "empty",
            "",
            "there is no Celery app in it (module 'empty' has no attribute 'celery').",
        ),
        ("other", "other:nope", "x = 1", "module 'other' has no such variable."),
        (
            "number",
            "number",
            "app = 3",
            "it is of type int, not a Celery app; name the variable that holds the app, "
            "such as -A number:celery_app.",
        ),
    ],
)
def test_a_module_without_an_app(
    desk: Path, name: str, given: str, source: str, reason: str
) -> None:
    """What was found instead."""
    module(desk, name, source)

    assert told(typed("run", "-A", given), 3) == f"cannot load the app {given!r}: {reason}"


def test_an_app_whose_configuration_is_missing(desk: Path) -> None:
    """Celery reads it lazily; the mistake is told all the same."""
    module(
        desk,
        "configured",
        "from celery import Celery\napp = Celery('shop')\napp.config_from_object('not_there')\n",
    )

    assert told(typed("run", "-A", "configured"), 3) == (
        "the configuration of the app 'shop' cannot be loaded: ModuleNotFoundError: "
        "No module named 'not_there'."
    )


def test_a_wrong_setting_in_the_app(desk: Path) -> None:
    """Named by its place in the configuration."""
    module(
        desk,
        "misset",
        "from celery import Celery\napp = Celery('shop', broker='memory://')\n"
        "app.conf.event_monitor = {'intervall': 3}\n",
    )

    assert told(typed("run", "-A", "misset"), 2).startswith(
        "app.conf.event_monitor has no setting 'intervall' (did you mean 'interval'?)"
    )


@pytest.mark.parametrize("url", ["nonsense://localhost", "redis://host:port/0"])
def test_a_broker_url_that_can_never_work(url: str) -> None:
    """The reason, and what such URLs begin with."""
    sentence = told(typed("check", "-b", url), 3)

    assert sentence.startswith("the broker URL cannot be used: ")
    assert sentence.endswith("it begins with redis://, rediss://, amqp:// or amqps://.")


def test_a_broker_without_events_cannot_be_run_on() -> None:
    """SQS carries no events."""
    assert "sqs" in told(typed("run", "-b", "sqs://", "--dry-run"), 3)


def test_the_demo_without_its_extra() -> None:
    """What to install, in one sentence."""
    code = (
        "import sys; sys.modules['moto'] = sys.modules['rich'] = None\n"
        "from event_monitor.cli import main; main(['demo'], prog_name='event-monitor')"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)

    assert run.returncode == 3
    assert run.stderr.startswith("event-monitor: the demo needs ")
    assert run.stderr.endswith("pip install 'celery-event-monitor[demo]'.\n")
    assert len(run.stderr.splitlines()) == 1


# -- which app, which broker ---------------------------------------------------------------------

PROJECT = (
    "from celery import Celery\n"
    "app = Celery('shop', broker='redis://user:secret@app/0')\n"
    "app.conf.event_monitor = {'namespace': 'FromApp'}\n"
)


def namespace_of(result: Result) -> str:
    """The namespace that ``event-monitor settings`` shows."""
    assert result.exit_code == 0, result.output
    (line,) = (one for one in result.stdout.splitlines() if one.startswith("namespace"))
    return line.split()[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("settings", "-A", "shop1"),
        ("settings", "--app", "shop1:app"),
        ("-A", "shop1", "settings"),  # as with celery
    ],
)
def test_the_app_can_be_named_before_or_after_the_command(
    desk: Path, arguments: tuple[str, ...]
) -> None:
    """And is looked for in the current directory first."""
    module(desk, "shop1", PROJECT)

    assert namespace_of(typed(*arguments)) == "FromApp"


@pytest.mark.parametrize("variable", ["EVENT_MONITOR_APP", "CELERY_APP"])
def test_the_app_can_come_from_the_environment(
    desk: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For containers."""
    module(desk, "shop2", PROJECT)
    monkeypatch.setenv(variable, "shop2")

    assert namespace_of(typed("settings")) == "FromApp"


def test_a_named_broker_wins_over_the_apps(desk: Path) -> None:
    """To read and to write, as with celery -b; its password is not shown."""
    module(desk, "shop3", PROJECT + "app.conf.broker_read_url = 'redis://reader/0'\n")

    result = typed("check", "-A", "shop3", "-b", "redis://:hidden@127.0.0.1:1/7")

    assert result.exit_code == 1
    assert "redis://:**@127.0.0.1:1/7 cannot be used" in " ".join(result.output.split())
    assert "hidden" not in result.output


def test_under_celery_the_app_is_celerys() -> None:
    """``celery -A proj event-monitor settings``: the same commands, with Celery's app."""
    # Given
    app = Celery("shop", broker="memory://")
    app.conf.event_monitor = {"namespace": "FromCelery"}
    context = CLIContext(app=app, no_color=True, workdir=None)

    # When
    result = CliRunner().invoke(celery_command, ["settings"], obj=context)

    # Then
    assert list(celery_command.commands) == COMMANDS
    assert celery_command.name == "event-monitor"
    assert namespace_of(result) == "FromCelery"


def test_under_celery_mistakes_are_one_line_too() -> None:
    """With the same exit code."""
    context = CLIContext(app=Celery("shop", broker="memory://"), no_color=True, workdir=None)

    result = CliRunner().invoke(celery_command, ["run", "--sink", "nope"], obj=context)

    assert told(result, 2) == (
        "--sink is 'nope'; it must be `cloudwatch`, `console`, `emf` or the sink of an installed "
        "package: none is installed."
    )


# -- logging -------------------------------------------------------------------------------------


def test_an_app_that_configures_logging_does_not_silence_the_monitor(desk: Path) -> None:
    """``dictConfig`` disables existing loggers unless told otherwise; Django projects call it."""
    # Given
    module(
        desk,
        "silencer",
        "import logging.config\nlogging.config.dictConfig({'version': 1})\n" + PROJECT,
    )
    environ = {"EVENT_MONITOR_INTERVALL": "3"}

    # When
    arguments = ["settings", "-A", "silencer"]
    result = CliRunner().invoke(main, arguments, env=environ)

    # Then
    assert "WARNING  EVENT_MONITOR_INTERVALL is no setting" in result.stderr


def test_the_log_level_is_a_flag_and_a_variable() -> None:
    """The flag wins."""
    environ = {"EVENT_MONITOR_LOG_LEVEL": "ERROR", "EVENT_MONITOR_INTERVALL": "3"}

    quiet = CliRunner().invoke(main, ["settings"], env=environ)
    loud = CliRunner().invoke(main, ["settings", "-l", "info"], env=environ)

    assert quiet.stderr == ""
    assert "is no setting" in loud.stderr


# -- what the commands print ---------------------------------------------------------------------


def test_metrics_as_table_markdown_and_json() -> None:
    """The same catalog three times."""
    names = [one.name for one in CATALOG]

    table, markdown, data = (typed("metrics", "--format", one).output for one in (
        "table", "markdown", "json"))  # fmt: skip

    assert [line.split()[0] for line in table.splitlines() if line[:1].isupper()][1:] == names
    assert [line.split("`")[1] for line in markdown.splitlines() if line.startswith("| `")] == names
    assert [one["name"] for one in json.loads(data)] == names


def test_settings_show_value_and_source() -> None:
    """Changed ones with the default beside."""
    environ = {"EVENT_MONITOR_NAMESPACE": "Shop"}

    output = CliRunner().invoke(main, ["settings", "--interval", "30"], env=environ).output

    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "namespace environment Shop (default: Celery)" in lines
    assert "interval flag 30 (default: 60)" in lines
    assert "sink default cloudwatch" in lines
    assert "| `namespace` |" in typed("settings", "--format", "markdown").output


def test_cost_needs_nothing_but_the_settings() -> None:
    """Neither app nor network."""
    result = typed("cost", "--tasks", "10", "--by-task", "TasksFailed")

    assert result.exit_code == 0
    assert "series, by TaskName 10 3.00" in " ".join(result.output.split())


def test_check_as_json_is_json_and_nothing_else() -> None:
    """Exit 1 says that something failed."""
    result = typed("check", "-b", "redis://127.0.0.1:1/0", "--sink", "console", "--format", "json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["passed"] is False
    assert [one["name"] for one in report["findings"]] == [
        "transport",
        "broker",
        "events",
        "cloudwatch",
    ]
    assert result.stderr == ""
