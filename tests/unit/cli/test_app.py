"""App: which app and which broker are watched, and why one cannot be."""

from __future__ import annotations

import http.client
import logging
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from event_monitor.cli.app import load_app_and_settings
from event_monitor.cli.options import loglevel, watching
from event_monitor.over_sqs.configuration import EventQueue, event_queue_of
from event_monitor.settings import Settings

from .terminal import PROJECT, complaint, module, namespace_of, typed


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_app_and_broker_it_says_how_to_name_them(command: str) -> None:
    """Exit 2: something was left out."""
    assert complaint(typed(command), code=2) == (
        "there is no app to watch: say -A proj (or EVENT_MONITOR_APP=proj), or name the broker "
        "with -b redis://host:6379/0 (or EVENT_MONITOR_BROKER)."
    )


def test_a_module_that_is_not_there(desk: Path) -> None:
    """The name and the place that was searched."""
    assert complaint(typed("run", "-A", "nowhere.proj"), code=3) == (
        f"cannot load the app 'nowhere.proj': there is no module 'nowhere' in {desk} or among the "
        "installed packages."
    )


def test_a_module_that_imports_what_is_not_installed(desk: Path) -> None:
    """Not to be confused with the module itself missing."""
    name = module(desk, "needs_more", source="import not_installed_here\n")

    assert complaint(typed("run", "-A", name), code=3) == (
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
        ("silent", "raise RuntimeError\n", "line 1, raises RuntimeError."),
        ("unset", "\n{}['NOPE']\n", "line 2, raises KeyError: NOPE."),
        ("lacks", "[].x\n", "line 1, raises AttributeError: 'list' object has no attribute 'x'."),
    ],
)
def test_a_module_that_breaks_when_imported(
    desk: Path, name: str, source: str, reason: str
) -> None:
    """File, line and the real error, and no traceback."""
    module(desk, name, source=source)

    assert complaint(typed("run", "-A", name), code=3) == (
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
    module(desk, name, source=source)

    assert (
        complaint(typed("run", "-A", given), code=3) == f"cannot load the app {given!r}: {reason}"
    )


def test_an_app_whose_configuration_is_missing(desk: Path) -> None:
    """Celery reads it lazily; the mistake is reported all the same."""
    module(
        desk,
        "configured",
        source="from celery import Celery\napp = Celery('shop')\n"
        "app.config_from_object('not_there')\n",
    )

    assert complaint(typed("run", "-A", "configured"), code=3) == (
        "the configuration of the app 'shop' cannot be loaded: ModuleNotFoundError: "
        "No module named 'not_there'."
    )


def test_a_wrong_setting_in_the_app(desk: Path) -> None:
    """Named by its place in the configuration."""
    module(
        desk,
        "misset",
        source="from celery import Celery\napp = Celery('shop', broker='memory://')\n"
        "app.conf.event_monitor = {'intervall': 3}\n",
    )

    assert complaint(typed("run", "-A", "misset"), code=2).startswith(
        "app.conf.event_monitor has no setting 'intervall' (did you mean 'interval'?)"
    )


def test_a_broker_url_that_can_never_work() -> None:
    """The reason, and what such URLs begin with."""
    sentence = complaint(typed("check", "-b", "nonsense://localhost"), code=2)

    assert sentence.startswith("the broker URL cannot be used: ")
    assert sentence.endswith("it begins with redis://, rediss://, amqp:// or amqps://.")


def test_an_option_that_only_a_driver_refuses_ends_the_run_with_its_sentence() -> None:
    """Exit 2 at the first attempt to connect; it would be the same at the next."""
    result = typed("run", "-b", "amqp://127.0.0.1:1//?login_method=CARRIER-PIGEON", "--dry-run")

    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == (
        "event-monitor: the broker amqp://guest:**@127.0.0.1:1// can never be used as it is "
        "configured: ('Invalid login method', 'CARRIER-PIGEON'); look at broker_transport_options "
        "and the like."
    )


@pytest.mark.parametrize(
    ("arguments", "flag", "variable"),
    [
        (("-b", "redis://:pw@127.0.0.1:1/0"), "-b", "BROKER"),
        (("-b", "redis://token@127.0.0.1:1/0"), "-b", "BROKER"),
        (("--management-url", "http://u:p@h:15672", "-b", "sqs://"), "--management-url", None),
    ],
)
def test_a_password_on_the_command_line_is_said_once(
    arguments: tuple[str, ...], flag: str, variable: str | None
) -> None:
    """Process lists show it; the variable is not in them."""
    result = typed("check", *arguments, "--sink", "console", "--listen", "0", "-l", "WARNING")

    assert result.stderr.count(f"the password in {flag} can be read in the list of processes") == 1
    assert f"EVENT_MONITOR_{variable or 'MANAGEMENT_URL'} instead" in result.stderr


def test_a_password_in_the_variable_is_no_reason_to_complain() -> None:
    """Nor is a URL without one."""
    environ = {"EVENT_MONITOR_BROKER": "redis://:pw@127.0.0.1:1/0"}
    arguments = ("check", "--sink", "console", "--listen", "0", "-l", "WARNING")

    for result in (
        typed(*arguments, environ=environ),
        typed(*arguments, "-b", "redis://127.0.0.1:1/0"),
        typed(*arguments, "-b", "amqp://guest@127.0.0.1:1//"),
    ):
        assert "list of processes" not in result.stderr


def test_a_broker_without_events_cannot_be_run_on() -> None:
    """SQS carries no events."""
    assert "sqs" in complaint(typed("run", "-b", "sqs://", "--dry-run"), code=3)


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
    module(desk, "shop1", source=PROJECT)

    assert namespace_of(typed(*arguments)) == "FromApp"


@pytest.mark.parametrize("variable", ["EVENT_MONITOR_APP", "CELERY_APP"])
def test_the_app_can_come_from_the_environment(
    desk: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For containers."""
    module(desk, "shop2", source=PROJECT)
    monkeypatch.setenv(variable, "shop2")

    assert namespace_of(typed("settings")) == "FromApp"


def test_a_named_broker_wins_over_the_apps(desk: Path) -> None:
    """To read and to write, as with celery -b; its password is not shown."""
    module(desk, "shop3", source=PROJECT + "app.conf.broker_read_url = 'redis://reader/0'\n")

    result = typed("check", "-A", "shop3", "-b", "redis://:hidden@127.0.0.1:1/7")

    assert result.exit_code == 1
    assert "redis://:**@127.0.0.1:1/7 cannot be used" in " ".join(result.output.split())
    assert "hidden" not in result.output


# -- what a broker without an app is given ---------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:6379/0", "localhost:6379/0 has no scheme: write redis://localhost:6379/0"),
        ("redis:6379/0", "redis:6379/0 has no scheme: write redis://redis:6379/0"),
        ("redis:/localhost/0", "redis:/localhost/0 has no scheme: write redis://localhost/0"),
        ("//mq:5671/prod", "//mq:5671/prod has no scheme: write amqps://mq:5671/prod"),
        ("rabbit.internal", "rabbit.internal has no scheme: write amqp://rabbit.internal"),
        (":geheim@cache:6379/0", "**@cache:6379/0 has no scheme: write redis://**@cache:6379/0"),
        ("redis://a:6379;b:6379", "b:6379 has no scheme: write redis://b:6379"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "healthcheck"])
def test_a_forgotten_scheme_is_said_and_not_retried(command: str, url: str, sentence: str) -> None:
    """Celery would take it for RabbitMQ's and try for ever."""
    arguments = ("--worker", "w1") if command == "healthcheck" else ("--sink", "console")

    result = typed(command, "-b", url, *arguments)

    code = 1 if command == "healthcheck" else 2
    assert complaint(result, code=code) == (
        f"the broker URL {sentence}, or another of redis://, rediss://, amqp:// or amqps://"
        + (" (a ; in a password must be percent-encoded as %3B)." if "@" in url else ".")
    )
    assert "geheim" not in result.output


def test_an_apps_url_without_a_scheme_is_rabbitmqs_unless_it_looks_like_redis(desk: Path) -> None:
    """As Celery has it."""
    source = "from celery import Celery\napp = Celery('shop', broker={!r})\n"
    module(desk, "rabbit", source=source.format("127.0.0.1:1"))
    module(desk, "cache", source=source.format("127.0.0.1:6379/0"))

    assert "amqp" in typed("check", "-A", "rabbit", "--sink", "console").stdout
    assert complaint(typed("check", "-A", "cache"), code=2).startswith(
        "the broker URL 127.0.0.1:6379/0 has no scheme"
    )


def test_a_transport_whose_library_is_missing_is_named_with_its_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that Celery's documentation gives."""
    monkeypatch.setitem(sys.modules, "pymongo", None)
    monkeypatch.delitem(sys.modules, "kombu.transport.mongodb", raising=False)

    sentence = complaint(typed("run", "-b", "mongodb://127.0.0.1:1/x"), code=3)

    assert sentence.startswith("the transport mongodb needs a library that is not installed (")
    assert sentence.endswith('): pip install "celery[mongodb]".')


def test_transport_options_are_json_or_text_and_win_over_the_apps(desk: Path) -> None:
    """Those that are not named stay."""
    module(
        desk,
        "optional",
        source=PROJECT + "app.conf.broker_transport_options = {'sep': ':', 'priority_steps': [0]}\n"
        "app.conf.event_exchange = 'events'\n",
    )

    _, app = loaded(
        "-A",
        "optional",
        *("--transport-option", "global_keyprefix=prod:"),
        *("--transport-option", "priority_steps=[0, 5]"),
        *("--transport-option", "fanout_prefix=false"),
        *("--event-queue-prefix", "mine"),
    )

    assert app.conf.broker_transport_options == {
        "sep": ":",
        "priority_steps": [0, 5],
        "global_keyprefix": "prod:",
        "fanout_prefix": False,
    }
    assert (app.conf.event_exchange, app.conf.event_queue_prefix) == ("events", "mine")


@pytest.mark.parametrize("has_line", [False, True])
def test_the_event_queue_on_sqs_needs_no_app_and_wins_over_the_apps(
    desk: Path, has_line: bool
) -> None:
    """What else the app says of it stays."""
    line = "from event_monitor import send_events_over_sqs\n"
    line += "send_events_over_sqs(app, 'theirs', beat_seconds=7)\n"
    module(desk, "lined", source=PROJECT + line)

    ways = ("-A", "lined") if has_line else ("-b", "sqs://")
    _, app = loaded(*ways, "--event-queue", "mine")

    assert event_queue_of(app) == EventQueue(name="mine", beat_seconds=7 if has_line else 20.0)


@pytest.mark.parametrize(
    ("environ", "options", "told"),
    [
        ({"AWS_REGION": "eu-west-1"}, (), {"region": "eu-west-1"}),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, (), {}),
        (
            {"AWS_REGION": "eu-west-1"},
            ("--transport-option", "region=eu-west-3"),
            {"region": "eu-west-3"},
        ),
    ],
)
def test_without_an_app_the_queues_of_tasks_are_in_the_region_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    options: tuple[str, ...],
    told: dict[str, str],
) -> None:
    """Boto3 reads AWS_DEFAULT_REGION only, and so kombu does."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    _, app = loaded("-b", "sqs://", "--event-queue", "mine", *options)
    assert (app.conf.broker_transport_options or {}) == told
    _, app = loaded("-b", "redis://localhost", "--event-queue", "mine")
    assert not app.conf.broker_transport_options


def test_an_event_queue_that_can_never_be_read_is_refused() -> None:
    sentence = complaint(typed("run", "-b", "sqs://", "--event-queue", "mine.fifo"), code=2)

    assert sentence.startswith("the event queue 'mine.fifo' is a FIFO queue;")


def test_a_transport_option_needs_a_key_and_a_value() -> None:
    """click's exit 2; the value may be a password and is not shown."""
    result = typed("run", "-b", "memory://", "--transport-option", "geheim")

    assert result.exit_code == 2
    assert "it must be KEY=VALUE." in result.stderr
    assert "geheim" not in result.output


@pytest.mark.parametrize("named", ["celeryconfig.py", "./celeryconfig.py", "celeryconfig"])
def test_a_config_is_enough_to_look_at_a_cluster(desk: Path, named: str) -> None:
    """A file, or a module; our own settings may be in it too."""
    module(
        desk,
        "celeryconfig",
        source="broker_url = 'memory://'\nevent_exchange = 'events'\n"
        "event_monitor = {'namespace': 'FromConfig'}\n",
    )

    settings, app = loaded("--config", named)

    assert app.conf.broker_url == "memory://"
    assert app.conf.event_exchange == "events"
    assert settings.namespace == "FromConfig"
    sys.modules.pop("celeryconfig", None)


@pytest.mark.parametrize(
    ("config", "source", "reason"),
    [
        ("none.py", None, "there is no such file."),
        ("none", None, "there is no such module in {desk} or among the installed packages."),
        (
            "bad.py",
            "\n1 / 0\n",
            "{desk}/bad.py, line 2, raises ZeroDivisionError: division by zero.",
        ),
    ],
)
def test_a_config_that_cannot_be_loaded(
    desk: Path, config: str, source: str | None, reason: str
) -> None:
    """Name, place and the real error."""
    if source is not None:
        (desk / config).write_text(source)

    sentence = complaint(typed("run", "--config", config), code=3)

    assert sentence.startswith(f"cannot load --config {config!r}: ")
    assert sentence.endswith(reason.format(desk=desk))


def test_an_app_brings_its_own_configuration(desk: Path) -> None:
    """Two of them would be one too many."""
    module(desk, "shop4", source=PROJECT)

    assert complaint(typed("run", "-A", "shop4", "--config", "x.py"), code=2) == (
        "--config is for a broker without an app: an app brings its own configuration."
    )


def loaded(*arguments: str) -> tuple[Settings, Any]:
    """Return the settings and the app that a command would get."""
    taken: list[tuple[Settings, Any]] = []

    @click.command()
    @watching
    @loglevel("ERROR")
    @click.pass_context
    def look(ctx: click.Context, /, **values: object) -> None:
        ctx.obj = {"app": None, "broker": None}
        app, settings = load_app_and_settings(ctx, values)
        taken.append((settings, app))

    result = CliRunner().invoke(look, list(arguments))
    assert result.exit_code == 0, result.output
    return taken[0]


def test_what_the_app_has_set_to_see_its_own_requests_shows_none_of_ours(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever sends them: kombu's requests to SQS have the session token in them, too."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 0)
    seen = logging.getLogger("botocore.seen")
    source = (
        "import http.client, logging\n"
        "http.client.HTTPConnection.debuglevel = 1\n"
        "logging.getLogger('botocore.seen').setLevel('DEBUG')\n"
        "from celery import Celery\n"
        "app = Celery(broker='redis://127.0.0.1:1')\n"
    )

    typed("settings", "-A", module(desk, "sees", source=source))

    assert http.client.HTTPConnection.debuglevel == 0
    assert not seen.isEnabledFor(logging.DEBUG)
