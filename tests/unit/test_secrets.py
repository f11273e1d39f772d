"""Secrets: whatever the password, however the URL was mistyped, nothing printed holds a part of it.

The passwords are made of marks that occur nowhere else, joined by the characters that mislead a
parser; not one of the marks may be seen.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_monitor.aws import BoundedSession
from event_monitor.cli import main
from event_monitor.cli.logs import JsonLines, TextLines
from event_monitor.redaction import (
    mistake_in,
    password_in,
    remember_keys,
    remember_secrets,
    shown_url,
    without_secrets,
)
from event_monitor.settings import Settings
from event_monitor.text import error_line, one_line

MARKS = st.from_regex(r"Q[XYZ]{3,6}", fullmatch=True)
JOINTS = st.text(st.sampled_from("#/?@:;%[] '\"&=\\<>|^`{}~,.-_+!$()*℀／é"), min_size=1, max_size=3)
PASSWORDS = st.lists(st.tuples(MARKS, JOINTS), min_size=1, max_size=4).map(
    lambda parts: "".join(f"{mark}{joint}" for mark, joint in parts) + "QXXX"
)
FORMS = (
    "redis://:{}@127.0.0.1:1/0",
    "redis://user:{}@127.0.0.1:1/0",
    "rediss://default:{}@127.0.0.1:1",
    "amqp://user:{}@127.0.0.1:1/vhost",
    "sentinel://:{}@127.0.0.1:1/0",
    "redis:/:{}@127.0.0.1:1/0",
    "redis//:{}@127.0.0.1:1/0",
    "redis:://:{}@127.0.0.1:1/0",
    "redis:///:{}@127.0.0.1:1/0",
    "rdis://:{}@127.0.0.1:1/0",
    "sqla+postgresql://user:{}@127.0.0.1:1/db",
    ":{}@127.0.0.1:6379/0",
    "user:{}@127.0.0.1:5672",
    "redis://127.0.0.1:1/0?password={}",
    "redis://:other@127.0.0.1:1/0?password={}",
    "Redis://:{}@127.0.0.1:1/0",
    "redis://127.0.0.1:1;redis://:{}@127.0.0.1:1/0",
    "sqs://user:{}@",
)
URLS = st.builds(lambda form, password: form.format(password), st.sampled_from(FORMS), PASSWORDS)
#: A user who is a token, and forms that lack the host, cannot hold every character.
TOKENS = st.builds(
    lambda form, mark, joint: form.format(mark + joint + "QYYY"),
    st.sampled_from(("redis://{}@127.0.0.1:1/0", "redis://127.0.0.1:1/0?token={}", "redis://:{}")),
    MARKS,
    st.sampled_from("#?&=%+!$"),
)
ANY_URL = URLS | TOKENS

fuzz = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
fuzz_commands = settings(fuzz, max_examples=5)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has remembered or set, the next must find by itself."""
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(variable, "")  # so that what a command sets is undone
        monkeypatch.delenv(variable)
    monkeypatch.setattr("event_monitor.redaction._secrets", set())


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers


def leaks(text: str) -> list[str]:
    """The marks that can be seen."""
    return re.findall("Q[XYZ]{3}", text)


@fuzz
@given(url=ANY_URL)
def test_a_url_is_shown_without_any_part_of_its_password(url: str) -> None:
    """In whatever form; host and port may be missing then."""
    assert leaks(shown_url(url)) == []
    assert leaks(mistake_in(url) or "") == []


@fuzz
@given(url=URLS)
def test_a_url_in_what_others_say_is_masked(url: str) -> None:
    """In the middle of a sentence, once it is known that such a URL is used."""
    remember_secrets(url)

    assert leaks(without_secrets(f"cannot connect to '{url}': refused.\n({url!r})")) == []


@fuzz
@given(password=PASSWORDS)
def test_a_well_formed_url_in_what_others_say_is_masked_though_nobody_knows_it(
    password: str,
) -> None:
    """As in the exception of an app that is just being imported."""
    url = f"redis://:{quote(password, safe='')}@cache:6379/0"

    said = RuntimeError(f"bad broker: {url}, sorry")

    assert leaks(one_line(said)) == []
    assert leaks(error_line(said)) == []
    assert "redis://:**@cache:6379/0, sorry" in error_line(said)


@fuzz
@given(password=PASSWORDS)
def test_a_password_alone_is_masked_in_what_others_say(password: str) -> None:
    """Encoded or decoded: a server may repeat the command that it does not know."""
    encoded = quote(password, safe="")
    remember_secrets(f"redis://:{encoded}@cache")

    for form in (password, encoded):
        said = f"ERR unknown command `AUTH`, with args beginning with: `{form}`"
        assert leaks(without_secrets(said)) == []


@pytest.mark.parametrize(
    "said",
    [
        "redis%3A%2F%2F%3AQXYZ-QXYZ-QXYZ%40cache",
        "userQXYZ-QXYZ-QXYZ@cache",
        "b'QXYZ%20QX\\u00e9'",
        "QXYZ%20QX%C3%A9",
        "QXYZ\udcff",
    ],
)
def test_a_password_is_masked_also_as_a_part_of_a_word_or_written_in_another_way(said: str) -> None:
    """As a URL in a query, as JSON, percent-encoded."""
    remember_secrets("redis://:QXYZ-QXYZ-QXYZ@cache", "redis://:QXYZ%20QXé@cache")
    remember_secrets("redis://:QXYZ\udcff@cache")

    assert leaks(without_secrets(said)) == []


@pytest.mark.parametrize("formatter", [TextLines(named=True), JsonLines()])
def test_a_log_line_of_others_with_its_traceback_is_masked(formatter: logging.Formatter) -> None:
    """Driver and transport log as they like."""
    url = "amqp://user:QXYZ%2FQZZZ@host//"
    try:
        raise ConnectionError(f"no route to {url}")
    except ConnectionError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.LogRecord("kombu", logging.ERROR, "", 0, "lost %s", (url,), raised)

    line = formatter.format(record)

    assert leaks(line) == []
    assert line.count("amqp://user:**@host//") == 2
    assert "Traceback" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("settings",),
        ("check", "--sink", "console", "--listen", "0"),
        ("check", "--sink", "console", "--listen", "0", "--format", "json"),
        ("status",),
        ("status", "--json"),
        ("healthcheck", "--worker", "w1"),
        ("demo",),
    ],
    ids=" ".join,
)
@fuzz_commands
@given(url=ANY_URL)
def test_no_command_prints_a_part_of_a_password(arguments: tuple[str, ...], url: str) -> None:
    """As a flag; neither on stdout nor on stderr."""
    result = CliRunner().invoke(main, [*arguments, "-b", url], prog_name="event-monitor")

    assert leaks(result.output) == []
    assert result.exit_code in (0, 1, 2, 3)


MISTYPED = URLS.filter(lambda url: "127.0.0.1:1" not in url or mistake_in(url) is not None)


@fuzz_commands
@given(url=MISTYPED.filter(lambda url: "://" in url and mistake_in(url.split(";")[0]) is not None))
def test_run_refuses_a_mistyped_url_and_says_how_to_write_it(url: str) -> None:
    """Exit 2, at once."""
    result = CliRunner().invoke(main, ["run", "-b", url], prog_name="event-monitor")

    assert leaks(result.output) == []
    if url.startswith(("redis://", "amqp://", "rediss://", "sentinel://")):
        assert result.exit_code == 2
        assert "percent-encoded" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "redis://:QXYZ@cache/0"),
        ("redis://:QXYZ@cache/0",),
        ("run", "--interval", "redis://:QXYZ@cache/0"),
        ("run", "--transport-option", "redis://:QXYZ@cache/0"),
        ("run", "--no-such=redis://:QXYZ@cache/0"),
        ("run", "--management-url", "https//user:QXYZ@host"),
        ("settings", "--management-url", "http://user:QXYZ%23@host:15672"),
        ("settings", "--management-url", "http://QXYZ@host:15672/?token=QXXX"),
        ("settings", "--namespace", "redis://:QXYZ@cache/0"),
        ("settings", "--state-dir", "redis://:QXYZ@cache/0"),
        ("settings", "--queues", "celery,redis://:QXYZ@cache/0"),
        ("run", "--config", "redis://:QXYZ@cache/0"),
        ("run", "-A", "redis://:QXYZ@cache/0"),
        ("run", "-b", "redis://cache/0?password=QXXX;/QXXY:QXXX"),
        ("run", "-b", "redis:://:QXXX,QXXX@cache/0"),
        ("run", "-b", "redis://:QXXX;QXXY@cache/0"),
    ],
    ids=" ".join,
)
def test_a_url_in_the_wrong_place_is_not_repeated(arguments: tuple[str, ...]) -> None:
    """Whoever complains about it: click, our settings, or Celery."""
    result = CliRunner().invoke(main, list(arguments), prog_name="event-monitor")

    assert result.output
    assert leaks(result.output) == []


@pytest.mark.parametrize("command", ["settings", "run"])
@pytest.mark.parametrize(
    "http_auth", ["QXYZ", "basic:ops:QXYZ", "bearer:QXYZ", "bearer:env:QXYZ", "bearer:QXYZ/QXYZ"]
)
def test_a_password_in_the_place_of_a_file_that_holds_it_is_not_repeated(
    command: str, http_auth: str
) -> None:
    """Nor one in the place of a variable's name: it is shown if there is one."""
    pytest.importorskip("uvicorn")
    flags = ["-b", "redis://127.0.0.1:1", "--sink", "console", "--http", "127.0.0.1:9808"]

    result = CliRunner().invoke(
        main, [command, *flags, "--http-auth", http_auth], prog_name="event-monitor"
    )

    assert leaks(result.output) == []
    if command == "run":
        assert result.exit_code == 2
        assert "it must be `none`, `basic:FILE`, `bearer:FILE` (`env:VARIABLE`" in result.stderr


def test_a_crash_of_ours_prints_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, and code 70."""

    def crash(*_: object) -> None:
        raise RuntimeError("while using redis://:QXYZ@cache/0")

    monkeypatch.setattr("event_monitor.cli.settings.load_settings", crash)
    result = CliRunner().invoke(main, ["settings"], prog_name="event-monitor")

    assert result.exit_code == 70
    assert "Traceback" in result.stderr
    assert leaks(result.output) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache", "redis://cache"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:p@cache:6379/0", "redis://:**@cache:6379/0"),
        ("amqp://user:p@mq:5672/shop", "amqp://user:**@mq:5672/shop"),
        ("redis://token@cache", "redis://**@cache"),
        ("redis://cache/0?token=x", "redis://cache/0?**"),
        ("sentinel://a:26379;sentinel://b:26379", "sentinel://a:26379;sentinel://b:26379"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis+socket:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("amqp://user:p@mq:5672/%2Fpage", "amqp://user:**@mq:5672/%2Fpage"),
    ],
)
def test_what_is_no_secret_is_shown(url: str, shown: str) -> None:
    """Else nobody could see which broker it is."""
    assert shown_url(url) == shown
    assert password_in(url) == ("p@" in url or "token" in url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:QXYZ@cache:6379/QXYZ", "redis://user:**@cache:6379/**"),
        ("redis://cache:6379/QXYZ", "redis://cache:6379/**"),
        ("rediss://:p@cache/QXYZ", "rediss://:**@cache/**"),
        ("sentinel://a:26379/QXYZ;sentinel://b/1", "sentinel://a:26379/**;sentinel://b/1"),
        ("amqp://user:QXYZ@mq:5672/QXYZ", "amqp://user:**@mq:5672/**"),
        ("amqp://user:QX%2FYZ@mq//QX%2FYZ", "amqp://user:**@mq//**"),
    ],
)
def test_a_password_in_the_place_of_the_database_is_not_shown(url: str, shown: str) -> None:
    """A virtual host has any name, so it is shown unless it is the password once more."""
    assert shown_url(url) == shown


def test_a_sentence_of_ours_keeps_what_follows_a_masked_url() -> None:
    """Though it speaks of an @."""
    said = "the broker URL redis://** cannot be used: there is ? before its last @; so"

    assert without_secrets(said) == said


def test_ordinary_text_is_left_as_it_is() -> None:
    """Words are not masked because they resemble a host or a user."""
    remember_secrets("amqp://guest:guest@mq", "redis://:redis@redis", "redis://:abc@cache")
    said = "user guest on redis: abc, see https://docs.celeryq.dev/en/stable/."

    assert without_secrets(said) == said


def test_the_log_has_a_json_object_per_line() -> None:
    """The facts are fields; a time that CloudWatch Logs Insights can sort by."""
    record = logging.LogRecord(
        "event_monitor.notices", logging.WARNING, "", 0, "worker %s\nis lost", ("w1",), None
    )
    record.worker, record.seconds, record.task, record.created = "w1", 12.5, [], 1_700_000_000.25

    line = JsonLines().format(record)

    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "logger": "event_monitor.notices",
        "message": "worker w1\\nis lost",
        "worker": "w1",
        "seconds": 12.5,
        "task": [],
    }


def test_a_session_token_is_masked_however_often_it_changes() -> None:
    """An endpoint may repeat what was signed; keys change every few hours, for ever."""
    for number in range(100):
        remember_keys(f"SESSION-TOKEN-{number}")
    assert without_secrets("x-amz-security-token:SESSION-TOKEN-99") == "x-amz-security-token:**"
    assert "SESSION-TOKEN-1 " in without_secrets("SESSION-TOKEN-1 is no more")


def test_a_secret_key_is_masked_where_it_stands_in_the_place_of_its_id() -> None:
    """Also in what AWS says of it: the two are easily swapped."""
    url = "sqs://QXYZQXYZ:AKIAIOSFODNN7EXAMPLE@"
    remember_secrets(url)

    assert shown_url(url) == "sqs://**@"
    assert leaks(one_line("Credential must be keyid/date/region, got 'QXYZQXYZ/2026'")) == []
    assert shown_url("sqs://AKIAIOSFODNN7EXAMPLE:QXYZ@") == "sqs://AKIAIOSFODNN7EXAMPLE:**@"


def test_the_password_of_a_proxy_is_masked() -> None:
    """A part of it is taken for the proxy's port, and named."""
    Settings.load(environ={"https_proxy": "http://u:hunt#er2secret@proxy:1"})
    assert "hunt" not in one_line("Failed to parse: 'u:hunt' is not a valid host or port")


@pytest.mark.parametrize(
    "text", ["a" * 2_000_000 + " ://", "a://" * 500_000, "x " * 1_000_000 + "://@"]
)
def test_a_stranger_can_say_as_much_as_he_likes(text: str) -> None:
    """It takes no time that grows with the square, and is cut at a blank."""
    remember_secrets("redis://:QXYZsecret@cache")
    assert len(without_secrets(f"{text} redis://:QXYZsecret@cache")) < 200_000
    assert "QXYZsecret" not in without_secrets("b " * 49_990 + "redis://:QXYZsecret@cache")


ENDPOINTS = (
    "user:{}@127.0.0.1:1",
    "http://user:{}@127.0.0.1:1x",
    "http://user:{}/x@127.0.0.1:1",
    "http:/user:{}@127.0.0.1:1",
    "http://user:{}",
    "http://{}@127.0.0.1:1",
)


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_STS",
        "AWS_ENDPOINT_URL_SSO_OIDC",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ],
)
@pytest.mark.parametrize("url", ENDPOINTS)
def test_the_password_in_a_variable_with_an_endpoint_of_aws_is_masked(
    variable: str, url: str
) -> None:
    """However it was mistyped: botocore quotes the URL, or a part of it."""
    url = url.format("QXYZsecret")
    said = f"Invalid endpoint: {url}. Port could not be cast to integer value as 'QXYZsecret'"

    Settings.load(environ={variable: url}, flags={"sink": "console"})

    assert leaks(one_line(said)) == []


@pytest.mark.parametrize(
    "config",
    [
        "[default]\nendpoint_url = {}\n",
        "[profile other]\nendpoint_url = {}\n",
        "[default]\nservices = s\n[services s]\nsts =\n  endpoint_url = {}\n",
        "[default]\nec2_metadata_service_endpoint = {}\n",
    ],
)
@pytest.mark.parametrize("url", ENDPOINTS)
def test_the_password_in_an_endpoint_of_the_shared_config_is_masked(
    config: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a profile or of its services."""
    url = url.format("QXYZsecret")
    (tmp_path / "config").write_text(config.format(url))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    said = f"Invalid endpoint: {url}. Port could not be cast to integer value as 'QXYZsecret'"

    assert BoundedSession().full_config["profiles"]

    assert leaks(one_line(said)) == []
