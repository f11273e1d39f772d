"""Configuration: what can never work is said in one sentence, and what may work is let alone."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from event_monitor.broker.configuration import require_configuration
from event_monitor.errors import SettingsError


def app_with(url: str, **conf: object) -> Any:
    app = Celery("configured", broker=url, set_as_current=False)
    app.conf.update(conf)
    return app


def complaint(url: str, **conf: object) -> str:
    with pytest.raises(SettingsError) as raised:
        require_configuration(app_with(url, **conf))
    return str(raised.value)


@pytest.mark.parametrize("options", [{}, {"master_name": ""}, {"sentinel_kwargs": {}}])
def test_sentinel_needs_the_name_of_its_master(options: dict[str, object]) -> None:
    assert complaint("sentinel://a:26379;sentinel://b", broker_transport_options=options) == (
        "sentinel:// needs the name of the master: set master_name in broker_transport_options, or "
        "say --transport-option master_name=NAME."
    )


@pytest.mark.parametrize("kwargs", ["password:x", "", 7, ["password"]])
def test_sentinel_kwargs_are_a_mapping(kwargs: object) -> None:
    """They are not shown: a password of the sentinels is what they are for."""
    options = {"master_name": "m", "sentinel_kwargs": kwargs}
    assert complaint("sentinel://a:26379", broker_transport_options=options) == (
        "sentinel_kwargs is not shown, as it may hold a password; it must be a mapping, such as "
        'broker_transport_options = {"sentinel_kwargs": {"password": …}} in the app, or in the '
        "file of --config."
    )


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("amqps://mq//", "ca_certs"),
        ("amqp://mq//", "keyfile"),
        ("rediss://cache/0", "ssl_ca_certs"),
        ("redis://cache/0", "ssl_certfile"),
        ("sentinel://a", "ssl_keyfile"),
    ],
)
def test_a_file_of_tls_that_is_not_there(url: str, key: str, tmp_path: Path) -> None:
    """Whichever, for whatever broker; a directory is none either."""
    for path, reason in ((tmp_path / "no.pem", "No such file"), (tmp_path, "Is a directory")):
        sentence = complaint(
            url, broker_use_ssl={key: str(path)}, broker_transport_options={"master_name": "m"}
        )

        assert sentence.startswith(f"{key} is '{path}', which cannot be read ({reason}")
        assert sentence.endswith("; give the path of a PEM file.")


def test_a_pipe_in_the_place_of_a_file_of_tls_is_not_waited_for(tmp_path: Path) -> None:
    """The start would hang without a word."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    try:
        sentence = complaint("amqps://mq//", broker_use_ssl={"ca_certs": str(pipe)})
        assert sentence.startswith(f"ca_certs is '{pipe}', which cannot be read (no end within")
    finally:
        os.close(os.open(pipe, os.O_RDWR))  # lets go of who still waits


def test_a_file_of_tls_in_the_url_that_is_not_there() -> None:
    url = "rediss://cache/0?ssl_cert_reqs=required&ssl_ca_certs=/not/there.pem"

    assert complaint(url).startswith("ssl_ca_certs is '/not/there.pem', which cannot be read")


@pytest.mark.parametrize(
    ("url", "conf", "part"),
    [
        ("rediss://h?ssl_cert_reqs=maybe", {}, "ssl_cert_reqs in it must be none, optional or"),
        ("rediss://h", {"broker_use_ssl": {"ssl_cert_reqs": "maybe"}}, "ssl_cert_reqs must be"),
        ("rediss://h", {"broker_use_ssl": {"ca_certs": __file__}}, "with Redis it is ssl_ca_certs"),
        ("redis://h", {"broker_use_ssl": True}, "must be a mapping with Redis"),
        ("amqp://h", {"broker_use_ssl": "yes"}, "must be True, False or a mapping"),
        ("amqp://h", {"broker_heartbeat": -1}, "heartbeat is -1; it must be a number of seconds"),
        ("amqp://h?heartbeat=-5", {}, "heartbeat is -5.0; it must be"),
        ("amqp://h", {"broker_heartbeat": "often"}, "heartbeat is 'often'; it must be"),
        ("redis://h/first", {}, "the database, after the host, must be a number"),
        ("redis://h/0/1", {}, "the database, after the host, must be a number"),
        ("redis://h:70000/0", {}, "a port from 1 to 65535"),
        ("amqp://h:0//", {}, "a port from 1 to 65535"),
        ("amqp://h:amqp//", {}, "a port from 1 to 65535"),
        ("redis:://:p,w@h/0", {}, "before its :// stands no scheme"),
        ("rdis://:p,w#x@h/0", {}, "there is # before its last @"),
        ("redis://h/0?socket_timeout=5", {}, "a name that Celery does not take there"),
        ("redis://h/0?password=secret", {}, "a name that Celery does not take there"),
        ("redis://h", {"broker_transport_options": [("a", "b")]}, "is no mapping"),
    ],
)
def test_what_can_never_work_is_named(url: str, conf: dict[str, object], part: str) -> None:
    """One sentence, and what is allowed."""
    assert part in complaint(url, **conf)


@pytest.mark.parametrize(
    ("url", "conf"),
    [
        ("redis://h", {}),
        ("redis://h:6379//", {}),
        ("redis://:p%2Fw@h:6379/15", {}),
        ("redis://:p@w@h/0", {}),  # a parser finds the last @
        ("redis://[::1]:6379/0", {}),
        ("redis+socket:///run/redis.sock", {}),
        ("rediss://h", {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}}),
        ("rediss://h", {"broker_use_ssl": {"ssl_cert_reqs": None, "ssl_ca_certs": __file__}}),
        ("amqps://user:p@h:5671/a/b?heartbeat=0", {"broker_use_ssl": True}),
        ("amqp://h//", {"broker_heartbeat": 30, "broker_use_ssl": {"ca_certs": __file__}}),
        ("sentinel://h", {"broker_transport_options": {"master_name": "m"}}),
        ("memory://", {}),
        ("mongodb://a:27017,b:27017/shop", {}),
        ("mongodb://user:p%2Fw@a:27017,b:27017", {}),
        ("sqs://key:se%2Fcret@", {}),
    ],
)
def test_what_may_work_is_let_alone(url: str, conf: dict[str, object]) -> None:
    require_configuration(app_with(url, **conf))


def test_an_unverified_server_is_said_once_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Kombu would say so each time a connection is made, and not what to do."""
    app = app_with("rediss://cache/0")

    require_configuration(app)
    for _ in range(3):
        app.connection_for_read()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "does not verify the server's certificate" in record.getMessage()
    assert "?ssl_cert_reqs=required" in record.getMessage()


@pytest.mark.parametrize(
    ("url", "use_ssl"),
    [
        ("rediss://cache/0?ssl_cert_reqs=required", False),
        ("rediss://cache/0?ssl_cert_reqs=none", False),
        ("rediss://cache/0", {"ssl_cert_reqs": "none"}),
        ("redis://cache/0", False),
    ],
)
def test_who_has_chosen_is_told_nothing(
    url: str, use_ssl: object, caplog: pytest.LogCaptureFixture
) -> None:
    require_configuration(app_with(url, broker_use_ssl=use_ssl))

    assert caplog.records == []


@pytest.mark.parametrize("variable", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL"])
def test_a_url_in_a_variable_of_celerys_is_looked_at_too(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before the one of the app, and `celery -b` sets it."""
    monkeypatch.setenv(variable, "redis://:hunt#er2secret@cache/0")
    said = complaint("redis://localhost")
    assert "percent-encoded" in said
    assert "hunt" not in said
