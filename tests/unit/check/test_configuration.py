"""Configuration: what is known of Celery's settings, by an app's own or a worker's answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import Celery
from celery.utils.saferepr import saferepr
from celery.utils.serialization import jsonify

from event_monitor.check.configuration import Configuration, app_configuration, configuration_of


def answered(app: Celery) -> object:
    """Return what a worker of this app replies to ``conf``."""
    table = app.conf.table(with_defaults=True)
    return jsonify(table, keyfilter=lambda key: key[:2] != "__", unknown_type_filter=saferepr)


def app_with(broker: str = "redis://:secret@host/1", **conf: object) -> Celery:
    app = Celery("proj", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


def test_an_app_and_its_worker_tell_the_same() -> None:
    """Celery's defaults, but for the results."""
    app = app_with(result_backend="redis://:secret@host:6379/1")

    expected = Configuration(
        visibility_timeout=3_600.0,
        shares_database=True,
        results_expire=True,
        soft_shutdown=0.0,
        sends_sent=False,
    )
    assert app_configuration(app) == expected
    assert configuration_of(answered(app)) == expected


def test_settings_with_a_namespace_are_found() -> None:
    """As most projects with Django have them."""

    class Settings:
        CELERY_BROKER_URL = "redis://:secret@host/1"
        CELERY_RESULT_BACKEND = "redis://:secret@host/2"
        CELERY_RESULT_EXPIRES = None
        CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 43_200}  # noqa: RUF012
        CELERY_TASK_SEND_SENT_EVENT = True
        CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30

    app = Celery("proj", set_as_current=False)
    app.config_from_object(Settings, namespace="CELERY")

    expected = Configuration(
        visibility_timeout=43_200.0,
        shares_database=False,
        results_expire=False,
        soft_shutdown=30.0,
        sends_sent=True,
    )
    assert app_configuration(app) == expected
    assert configuration_of(answered(app)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "no conf for you",
        {},
        {
            "broker_url": None,
            "broker_transport_options": "x",
            "result_backend": 3,
            "result_expires": [1],
            "task_send_sent_event": "yes",
            "worker_soft_shutdown_timeout": "x",
        },
        {"broker_transport_options": {"visibility_timeout": "3600"}},
        {"worker_soft_shutdown_timeout": True},
    ],
)
def test_what_is_malformed_is_unknown(answer: object) -> None:
    assert configuration_of(answer) == Configuration()


@pytest.mark.parametrize(
    ("broker", "backend", "shares"),
    [
        ("redis://host", "redis://host:6379/0", True),
        ("redis://host//", "rediss://user:pw@HOST:6379/0?ssl_cert_reqs=none", True),
        ("redis://localhost/3", "redis://127.0.0.1:6379/3", True),
        ("redis://[::1]/3", "redis:///3", True),
        ("redis://host/0", "redis://host/1", False),
        ("redis://host/0", "redis://other/0", False),
        ("redis://host:6380/0", "redis://host/0", False),
        ("redis://host/0", "redis", None),
        ("redis://host/0", "db+postgresql://host/0", None),
        ("redis://host/0", "redis://host/name", None),
        ("redis://host/0;redis://other/0", "redis://host/0", None),
        ("sentinel://host/0", "sentinel://host/0", None),
        ("amqp://host//", "redis://host/0", None),
        (None, "redis://host/0", None),
    ],
)
def test_databases_are_compared_by_host_port_and_number(
    broker: str | None, backend: str, shares: bool | None
) -> None:
    """Whatever user and password; what is no single Redis server is unknown."""
    settings = {"broker_url": broker, "result_backend": backend}

    assert configuration_of(settings).shares_database is shares


@pytest.mark.parametrize(
    ("expires", "expire"),
    [
        (None, False),
        (0, False),
        (timedelta(0), False),
        (86_400, True),
        (timedelta(days=1), True),
        (timedelta(days=1, seconds=5), True),
    ],
)
def test_results_expire_unless_the_time_is_none_or_zero(expires: object, expire: bool) -> None:
    """A worker writes a time span as text."""
    app = app_with(result_backend="redis://host", result_expires=expires)

    assert app_configuration(app).results_expire is expire
    assert configuration_of(answered(app)).results_expire is expire


@pytest.mark.parametrize("backend", ["", "disabled://", "disabled", "rpc://", None])
def test_where_no_results_are_kept_none_can_expire(backend: str | None) -> None:
    settings = {"result_backend": backend, "result_expires": None}

    assert configuration_of(settings).results_expire is None
