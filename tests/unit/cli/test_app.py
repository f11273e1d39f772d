"""App: which app and which broker are watched, and why one cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("url", ["nonsense://localhost", "redis://host:port/0"])
def test_a_broker_url_that_can_never_work(url: str) -> None:
    """The reason, and what such URLs begin with."""
    sentence = complaint(typed("check", "-b", url), code=3)

    assert sentence.startswith("the broker URL cannot be used: ")
    assert sentence.endswith("it begins with redis://, rediss://, amqp:// or amqps://.")


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
