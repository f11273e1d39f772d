"""Sources: where a setting comes from, which source wins, and how a mistake in it reads."""

from __future__ import annotations

import logging
from types import ModuleType

import pytest
from celery import Celery

from event_monitor.settings import Settings, conf_of

from .mistakes import mistake


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


def test_a_wrong_value_is_refused_even_when_a_later_source_would_win() -> None:
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
    """Code that calls ``Settings.load`` gets the sentence of a user."""
    assert mistake(flags={"intervall": 1}) == (
        "there is no setting 'intervall' (did you mean 'interval'?)."
    )


def test_conf_of_an_app_without_settings_is_empty() -> None:
    """Most apps have none."""
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


def test_the_sentence_names_the_variable_or_the_flag() -> None:
    """The user finds the place where the mistake is."""
    assert mistake(environ={"EVENT_MONITOR_DRAIN_SECONDS": "soon"}) == (
        "EVENT_MONITOR_DRAIN_SECONDS is 'soon'; it must be 0 to 600 seconds."
    )
    assert mistake(flags={"drain_seconds": "soon"}) == (
        "--drain-seconds is 'soon'; it must be 0 to 600 seconds."
    )
