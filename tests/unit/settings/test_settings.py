"""Settings: where a value comes from, what is allowed, and what a mistake reads like."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from event_monitor.errors import EXIT_USAGE, SettingsError
from event_monitor.settings import Settings, conf_of, options
from event_monitor.settings.parsers import text_of


def mistake(**sources: Any) -> str:
    """The one sentence that the sources are answered with."""
    with pytest.raises(SettingsError) as told:
        Settings.load(**{"environ": {}, **sources})
    assert told.value.exit_code == EXIT_USAGE
    return str(told.value)


# -- sources -------------------------------------------------------------------------------------


def test_aws_region_is_the_last_resort() -> None:
    """ECS always sets it; what somebody chose wins, and AWS_DEFAULT_REGION is boto3's business."""
    environ = {"AWS_REGION": "us-east-1"}
    assert Settings.load(environ=environ, conf={}).region == "us-east-1"
    assert Settings.load(environ=environ, conf={"region": "eu-west-1"}).region == "eu-west-1"
    both = {**environ, "AWS_DEFAULT_REGION": "eu-west-3"}
    assert Settings.load(environ=both, conf={}).region == ""


def test_without_any_source_everything_is_the_default() -> None:
    """Nothing has to be set."""
    assert Settings.load(environ={}) == Settings()


def test_flags_win_over_the_environment_over_the_app_over_the_defaults() -> None:
    """Each source wins over those after it, setting by setting."""
    # Given
    conf = {"namespace": "conf", "sink": "console", "interval": 10}
    environ = {"EVENT_MONITOR_NAMESPACE": "environ", "EVENT_MONITOR_INTERVAL": "20"}
    flags = {"interval": "30"}

    # When
    settings, sources = Settings.load_with_sources(flags=flags, environ=environ, conf=conf)

    # Then
    assert settings == Settings(namespace="environ", sink="console", interval=30.0)
    assert {name: source for name, source in sources.items() if source != "default"} == {
        "namespace": "environment",
        "sink": "app.conf",
        "interval": "flag",
    }


def test_a_wrong_value_is_told_even_when_a_later_source_would_win() -> None:
    """Every source is validated, so that a mistake does not wait for its day."""
    assert mistake(conf={"interval": 0}, flags={"interval": "30"}) == (
        "app.conf.event_monitor['interval'] is 0; it must be 1 to 3,600 seconds."
    )


def test_an_empty_variable_is_not_set() -> None:
    """``EVENT_MONITOR_INTERVAL=`` in an env file changes nothing."""
    environ = {"EVENT_MONITOR_INTERVAL": "", "EVENT_MONITOR_BY_TASK": " "}

    assert Settings.load(environ=environ) == Settings()


def test_variables_may_have_spaces_around_the_value() -> None:
    """What an env file brings along is no mistake."""
    assert Settings.load(environ={"EVENT_MONITOR_SINK": " console "}).sink == "console"


def test_an_unknown_variable_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt variable must not stop a monitor, nor go unseen."""
    with caplog.at_level(logging.WARNING):
        settings = Settings.load(environ={"EVENT_MONITOR_INTERVALL": "30"})

    assert settings == Settings()
    assert caplog.messages == [
        "EVENT_MONITOR_INTERVALL is no setting (did you mean 'EVENT_MONITOR_INTERVAL'?); ignored"
    ]


def test_what_the_command_line_and_kubernetes_set_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Kubernetes service called event-monitor puts its address into every container."""
    environ = {
        "EVENT_MONITOR_APP": "proj",
        "EVENT_MONITOR_BROKER": "redis://",
        "EVENT_MONITOR_LOG_LEVEL": "DEBUG",
        "EVENT_MONITOR_SERVICE_HOST": "10.0.0.1",
        "EVENT_MONITOR_SERVICE_PORT": "80",
        "EVENT_MONITOR_SERVICE_PORT_HTTP": "80",
        "EVENT_MONITOR_PORT": "tcp://10.0.0.1:80",
        "EVENT_MONITOR_PORT_80_TCP_ADDR": "10.0.0.1",
        "EVENT_MONITORING": "unrelated",
    }

    with caplog.at_level(logging.WARNING):
        Settings.load(environ=environ)

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("intervall", " (did you mean 'interval'?)"),
        ("INTERVAL", " (did you mean 'interval'?)"),
        ("by-task", " (did you mean 'by_task'?)"),
        ("colour", ""),
    ],
)
def test_an_unknown_key_of_the_app_is_an_error(key: str, suggestion: str) -> None:
    """The key is named, with the setting it may stand for."""
    assert mistake(conf={key: 1}) == (
        f"app.conf.event_monitor has no setting {key!r}{suggestion}; "
        "`event-monitor settings` lists them."
    )


def test_the_apps_settings_must_be_a_mapping() -> None:
    """``app.conf.event_monitor = "Celery"`` is not guessed at."""
    assert mistake(conf="Celery") == (
        "app.conf.event_monitor is 'Celery'; it must be a mapping of settings, "
        'such as {"namespace": "Celery"}.'
    )


def test_an_unknown_flag_is_an_error() -> None:
    """Who uses ``Settings.load`` from code is told like a user."""
    assert mistake(flags={"intervall": 1}) == (
        "there is no setting 'intervall' (did you mean 'interval'?)."
    )


# -- the app's configuration ---------------------------------------------------------------------


def test_conf_of_an_app_without_settings_is_empty() -> None:
    """Most apps say nothing."""
    assert conf_of(Celery("proj")) == {}


def test_conf_of_reads_what_was_assigned() -> None:
    """``app.conf.event_monitor = {...}``."""
    app = Celery("proj")
    app.conf.event_monitor = {"interval": 30}

    assert conf_of(app) == {"interval": 30}


@pytest.mark.parametrize(
    ("variable", "namespace"),
    [
        ("CELERY_EVENT_MONITOR", "CELERY"),  # Django
        ("CELERY_EVENT_MONITOR", None),
        ("EVENT_MONITOR", None),
        ("event_monitor", None),
        ("SHOP_EVENT_MONITOR", "SHOP"),
    ],
)
def test_conf_of_reads_modules_with_and_without_a_namespace(
    variable: str, namespace: str | None
) -> None:
    """Django's settings module and celeryconfig.py both work."""
    module = ModuleType("configuration")
    setattr(module, variable, {"interval": 30})
    app = Celery("proj")
    app.config_from_object(module, namespace=namespace)

    assert conf_of(app) == {"interval": 30}


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("namespace", "", "1 to 255 printable ASCII characters"),
        ("namespace", "AWS/Celery", "not beginning with `AWS/` or `:`"),
        ("namespace", "Zähler", "1 to 255 printable ASCII characters"),
        ("namespace", "x" * 256, "1 to 255 printable ASCII characters"),
        ("namespace", 3, "1 to 255 printable ASCII characters"),
        ("interval", "fast", "1 to 3,600 seconds"),
        ("interval", "0", "1 to 3,600 seconds"),
        ("interval", "nan", "1 to 3,600 seconds"),
        ("interval", "inf", "1 to 3,600 seconds"),
        ("interval", True, "1 to 3,600 seconds"),
        ("interval", None, "1 to 3,600 seconds"),
        ("series_budget", "1.5", "a whole number from 100 to 100,000"),
        ("series_budget", 1e400, "a whole number from 100 to 100,000"),
        ("series_budget", True, "a whole number from 100 to 100,000"),
        ("series_budget", "99", "a whole number from 100 to 100,000"),
        ("worker_grace_beats", "1", "2 to 1,000 heartbeats"),
        ("high_resolution", "maybe", "`true` or `false`"),
        ("high_resolution", 1, "`true` or `false`"),
        (
            "sink",
            "prometheus",
            "`cloudwatch`, `console`, `emf` or the sink of an installed package",
        ),
        ("on_ambiguous_send", "", "`retry` or `drop`"),
        ("include_tasks", 5, "names or globs separated by commas"),
        ("include_tasks", {"a": "b"}, "names or globs separated by commas"),
        ("include_tasks", [1], "names or globs separated by commas"),
        ("state_dir", 5, "a directory"),
        ("state_dir", "a\0b", "a directory"),
        ("emf_file", 5, "a file"),
    ],
)
def test_a_wrong_value_is_answered_with_key_value_and_what_is_allowed(
    key: str, value: Any, allowed: str
) -> None:
    """Each kind of setting tells its rule."""
    sentence = mistake(conf={key: value})

    assert sentence.startswith(f"app.conf.event_monitor[{key!r}] is {value!r}; it must be ")
    assert allowed in sentence
    assert sentence.endswith(".")


def test_the_sentence_names_the_variable_or_the_flag() -> None:
    """The user finds the place where the mistake is."""
    assert mistake(environ={"EVENT_MONITOR_DRAIN_SECONDS": "soon"}) == (
        "EVENT_MONITOR_DRAIN_SECONDS is 'soon'; it must be 0 to 600 seconds."
    )
    assert mistake(flags={"drain_seconds": "soon"}) == (
        "--drain-seconds is 'soon'; it must be 0 to 600 seconds."
    )


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_flags_may_be_switched_on_in_many_words(text: str) -> None:
    """Whatever a deployment tool writes for true."""
    assert Settings.load(environ={"EVENT_MONITOR_BY_EXCEPTION": text}).by_exception is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_flags_may_be_switched_off_in_many_words(text: str) -> None:
    """An explicit false wins over the app's true."""
    settings = Settings.load(
        environ={"EVENT_MONITOR_BY_EXCEPTION": text}, conf={"by_exception": True}
    )

    assert settings.by_exception is False


def test_lists_are_split_stripped_and_without_repetition() -> None:
    """As text with commas, or as a list."""
    assert Settings.load(environ={}, flags={"include_tasks": " a.*, b ,,a.*"}).include_tasks == (
        "a.*",
        "b",
    )
    assert Settings.load(environ={}, conf={"include_tasks": ["a.*", "b"]}).include_tasks == (
        "a.*",
        "b",
    )
    assert Settings.load(
        environ={}, conf={"include_tasks": (name for name in ("a", "b"))}
    ).include_tasks == ("a", "b")


def test_metric_names_can_be_all_or_none() -> None:
    """``all`` stands for those that can be split so, and for no others."""
    settings = Settings.load(environ={}, flags={"by_task": "none", "by_worker": "all"})

    assert settings.by_task == ()
    assert "WorkersOnline" in settings.by_worker
    assert "MonitorHeartbeat" not in settings.by_worker


def test_a_misspelt_metric_is_told_with_the_one_it_may_be() -> None:
    """The wrong name of a long list is named alone."""
    assert mistake(flags={"by_task": "TasksFailed,TaskSucceeded"}) == (
        "--by-task is 'TasksFailed,TaskSucceeded'; it must be `all`, `none` or metrics that can be "
        "split by TaskName (`event-monitor metrics` lists them): 'TaskSucceeded' is none of these "
        "(did you mean 'TasksSucceeded'?)."
    )


def test_a_metric_that_cannot_be_split_so_is_refused() -> None:
    """WorkersOnline knows no task."""
    assert "'WorkersOnline' is none of these" in mistake(flags={"by_task": "WorkersOnline"})


@pytest.mark.parametrize(
    "written",
    [
        "Environment=prod, Team=a=b",
        {"Environment": "prod", "Team": "a=b"},
        ["Environment=prod", "Team=a=b"],
    ],
)
def test_dimensions_can_be_text_mapping_or_list(written: Any) -> None:
    """Only the first `=` separates."""
    settings = Settings.load(environ={}, conf={"dimensions": written})

    assert settings.dimensions == (("Environment", "prod"), ("Team", "a=b"))


def test_a_number_is_a_fine_dimension_value() -> None:
    """``{"Shard": 3}`` is meant as text."""
    assert Settings.load(environ={}, conf={"dimensions": {"Shard": 3}}).dimensions == (
        ("Shard", "3"),
    )


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("Environment", "'Environment' has no `=`"),
        ("A=x,A=y", "'A' is given twice"),
        ("=x", "'' is not well-formed"),
        ("A=", "'A' is not well-formed"),
        (":A=x", "':A' is not well-formed"),
        ("A=ä", "'A' is not well-formed"),
        ("TaskName=x", "'TaskName' is a dimension of our own"),
        ({"A": None}, "the value of 'A' is no text"),
        ({"A": True}, "the value of 'A' is no text"),
        ({f"D{number}": "x" for number in range(21)}, "there are 21"),
    ],
)
def test_dimensions_that_cloudwatch_would_refuse_are_refused(written: Any, detail: str) -> None:
    """A bad dimension would fail every single datum."""
    assert mistake(conf={"dimensions": written}) == (
        f"app.conf.event_monitor['dimensions'] is {written!r}; it must be up to 20 NAME=VALUE "
        f"pairs of printable ASCII: {detail}."
    )


@pytest.mark.parametrize(
    "written",
    [
        "billing=billing.*|invoice.*, mail=mail.*",
        "billing=billing.*, mail=mail.*, billing=invoice.*",
        {"billing": ["billing.*", "invoice.*"], "mail": "mail.*"},
        {"billing": "billing.*|invoice.*", "mail": ("mail.*",)},
    ],
)
def test_groups_can_be_text_or_mapping(written: Any) -> None:
    """Several globs are joined by `|`, or repeat the name, or are a list."""
    settings = Settings.load(environ={}, conf={"groups": written})

    assert settings.groups == (("billing", ("billing.*", "invoice.*")), ("mail", ("mail.*",)))


@pytest.mark.parametrize("written", ["billing", "=a.*", "billing=", {"a": []}, {"a": 5}, 5])
def test_groups_without_name_or_globs_are_refused(written: Any) -> None:
    """Half a group is a mistake."""
    assert "it must be NAME=GLOB pairs, several globs joined by `|`" in mistake(
        conf={"groups": written}
    )


def test_every_setting_can_be_written_as_it_is_shown() -> None:
    """What ``event-monitor settings`` prints can be put into a variable."""
    # Given
    settings = Settings(
        dimensions=(("Environment", "prod"), ("Team", "a=b")),
        interval=2.5,
        by_exception=True,
        include_tasks=("a.*", "b"),
        groups=(("billing", ("billing.*", "invoice.*")), ("mail", ("mail.*",))),
        by_worker=("WorkersOnline",),
        series_budget=500,
    )

    # When
    environ = {one.environ: text_of(getattr(settings, one.name)) for one in options()}

    # Then
    assert environ["EVENT_MONITOR_INTERVAL"] == "2.5"
    assert environ["EVENT_MONITOR_GROUPS"] == "billing=billing.*|invoice.*,mail=mail.*"
    assert Settings.load(environ=environ) == settings


def test_every_option_has_a_sentence_and_its_names() -> None:
    """--help and README are made of these."""
    for one in options():
        assert one.help.endswith("."), one.name
        assert one.flag == "--" + one.name.replace("_", "-")
        assert one.environ == "EVENT_MONITOR_" + one.name.upper()
        assert one.allowed
        assert "e+" not in one.allowed, one.name  # large bounds are written out


def test_a_url_that_is_wrong_is_not_shown() -> None:
    """It may hold a password, and the sentence goes to a log."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={"EVENT_MONITOR_MANAGEMENT_URL": "guest:HUNTER2@h:15672"})
    assert "HUNTER2" not in str(caught.value)
    assert "EVENT_MONITOR_MANAGEMENT_URL is not shown" in str(caught.value)
