"""Credentials: whatever is wrong with them, all is kept, the cause is told, and it goes on."""

from __future__ import annotations

import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from hashlib import sha1
from pathlib import Path

import pytest

from event_monitor.settings import Settings
from event_monitor.sinks import Outcome
from event_monitor.sinks.cloudwatch import CloudWatchSink
from event_monitor.testing import FakeClock, StrictCloudWatch
from event_monitor.text import one_line

from ...contracts.sink import count
from ...support.answering import OK, Answering
from ...support.processes import has_ended
from ...support.waiting import wait_until
from .conftest import MakeSink

KEYS = {"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "very-secret"}
RANDOM_KEY = "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"
EXPIRES_AT_A_KEY = f"echo '{json.dumps(KEYS | {'Expiration': f'soon {RANDOM_KEY}'})}'"
EXPIRES_NOWHERE = f"echo '{json.dumps(KEYS | {'Expiration': '2120-01-01T00:00:00'})}'"
EXPIRED = f"echo '{json.dumps(KEYS | {'Expiration': '2020-01-01T00:00:00Z'})}'"
GOOD = f"echo '{json.dumps(KEYS)}'"

SetProcess = Callable[[str], None]


@pytest.fixture
def credential_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SetProcess:
    """Let credentials come from a shell script, which the test may change."""
    command = tmp_path / "credentials"
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    def set_process(script: str) -> None:
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    return set_process


def test_making_it_asks_no_provider_of_credentials(
    cloudwatch: StrictCloudWatch,
    clock: FakeClock,
    credential_process: SetProcess,
    tmp_path: Path,
) -> None:
    """A provider that hangs must not keep the monitor from starting."""
    assert cloudwatch.endpoint_url
    credential_process(f"touch {tmp_path}/asked; sleep 1000")

    CloudWatchSink(Settings(), clock=clock).close()

    assert not (tmp_path / "asked").exists()


def test_credentials_that_come_later_are_found(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials everything is kept; no restart is needed when they appear."""
    # Given
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    sink = make_sink()

    # When
    without = sink.send((count(),))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    with_credentials = sink.send((count(),))

    # Then
    assert without == Outcome(
        unsent=(count(),),
        failures=1,
        error="No AWS credentials are found: give the process a role, or set AWS_PROFILE or "
        "AWS_ACCESS_KEY_ID as for any AWS tool.",
    )
    assert with_credentials == Outcome()


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("exit 7", "Error when retrieving credentials from custom-process"),
        ("echo 'not logged in' >&2; exit 1", "from custom-process: not logged in"),
        ("echo the key is hunter2 >&2; exit 1", "from custom-process: the key is **"),
        ("echo /bin/get2go: denied >&2; exit 1", "from custom-process: /bin/get2go: denied"),
        ("echo it is qWrTzUiOpAsDfGhJkLyXcVbN >&2; exit 1", "from custom-process: it is **"),
        ("echo it is wrtzuiopasdfghjklyxcvbnmqwertzuiop >&2; exit 1", "it is **"),
        ("echo ExpiredSessionTokenError >&2; exit 1", "process: ExpiredSessionTokenError"),
        ("echo hello", "credential_process failed: what it gives is not JSON"),
        ("true", "is not JSON"),
        ("echo '[]'", "what it gives has not the expected form (AttributeError"),
        ("echo '{}'", "Unsupported version"),
        ("echo '{\"Version\": 1}'", "Missing required key in response: 'AccessKeyId'"),
        ("printf '\\377'", "failed: UnicodeDecodeError"),
        (GOOD.replace("very-secret", "very secret"), "the secret key is empty, or has a blank"),
        (
            GOOD.replace('"very-secret"', "[1, 2, 3, 4, 5]"),
            "the secret key is empty, or has a blank",
        ),
        (GOOD.replace('"very-secret"', "7"), "the secret key is empty, or has a blank"),
        (GOOD.replace("very-secret", ""), "the secret key is empty, or has a blank"),
        (GOOD.replace("very-secret", "é"), "the secret key is empty, or has a blank"),
        ("echo AWS_SECRET_ACCESS_KEY=very-secret >&2; exit 1", "AWS_SECRET_ACCESS_KEY=**"),
        (f"set -x; {GOOD}; exit 1", '"SecretAccessKey": **'),
        (f"echo denied {RANDOM_KEY} >&2; exit 1", "denied **"),
        (EXPIRES_AT_A_KEY, "failed: the keys' expiration is not a time with a time zone"),
        (EXPIRED, "failed: Credentials were refreshed, but the refreshed credentials are still"),
        (EXPIRES_NOWHERE, "failed: the keys' expiration is not a time with a time zone"),
        ("yes", "credential_process wrote more than 16,000,000 bytes"),
    ],
)
def test_a_credential_process_that_fails_is_told_and_run_again(
    script: str,
    cause: str,
    make_sink: MakeSink,
    cloudwatch: StrictCloudWatch,
    credential_process: SetProcess,
) -> None:
    """However it fails; nothing is lost, and nothing of it is ambiguous."""
    # Given
    credential_process(script)
    sink = make_sink(on_ambiguous_send="drop")

    # When
    at_the_start = sink.prepare()
    outcome = sink.send((count(),))
    credential_process(GOOD)
    again = sink.send(outcome.unsent)

    # Then
    assert cause in (at_the_start or "")
    assert outcome == Outcome(unsent=(count(),), failures=1, error=at_the_start)
    assert "secret" not in (at_the_start or "").replace("secret key", "")
    assert again == Outcome()
    assert sink.prepare() is None
    assert cloudwatch.sum("TasksSent") == 1


@pytest.mark.parametrize("profile", ["default", "role"])
def test_a_credential_process_that_hangs_is_killed_with_its_children(
    profile: str,
    make_sink: MakeSink,
    cloudwatch: StrictCloudWatch,
    credential_process: SetProcess,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Also that of a source profile, whose keys are there to assume a role."""
    # Given
    credential_process(f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    config = tmp_path / "config"
    config.write_text(
        config.read_text() + "[profile role]\nsource_profile = default\nrole_arn = arn:aws:x:::y\n"
    )
    monkeypatch.setenv("AWS_PROFILE", profile)
    sink = make_sink(on_ambiguous_send="drop", credentials_seconds=5.0)

    # When
    outcome = sink.send((count(),))

    # Then
    assert "did not give any within 5 s" in (outcome.error or "")
    assert outcome.unsent == (count(),)
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda: has_ended(pid), 60, "the child was killed")
    assert cloudwatch.requests == ()


def line_in(path: Path) -> str:
    """Return the line that a file has; nothing before it is whole."""
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("\n") else ""


@pytest.mark.usefixtures("cloudwatch")
def test_a_credential_process_that_is_missing_is_named(
    make_sink: MakeSink, credential_process: SetProcess, tmp_path: Path
) -> None:
    """As the operating system says it."""
    del credential_process

    error = make_sink().send((count(),)).error

    assert error == (
        f"No AWS credentials: [Errno 2] No such file or directory: '{tmp_path}/credentials'."
    )


@pytest.mark.parametrize(
    "variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
def test_keys_with_a_line_break_are_told_and_not_shown(
    variable: str,
    make_sink: MakeSink,
    cloudwatch: StrictCloudWatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As read from a file with an editor's last line; http.client would show the header."""
    monkeypatch.setenv(variable, "hunter2\n")

    outcome = make_sink(on_ambiguous_send="drop").send((count(),))

    assert outcome.unsent == (count(),)
    assert outcome.error is not None
    assert "(env) are damaged" in outcome.error
    assert "hunter2" not in outcome.error
    assert cloudwatch.requests == ()


def test_keys_that_another_process_rotates_are_read_anew(
    make_sink: MakeSink,
    cloudwatch: StrictCloudWatch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """botocore reads the shared file once; after a refusal it is read again."""
    # Given
    shared = tmp_path / "credentials"
    shared.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    sink = make_sink()
    cloudwatch.misbehave("expire", times=1, after=1)
    sink.send((count(),))

    # When
    shared.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")
    refused = sink.send((count(),))
    again = sink.send(refused.unsent)

    # Then
    assert refused.error == (
        "AWS refused PutMetricData (ExpiredToken): The security token in the request is expired. "
        "Renew the credentials; new ones are found without a restart."
    )
    assert again == Outcome()
    assert cloudwatch.access_keys == ("OLD", "OLD", "NEW")


@pytest.mark.usefixtures("cloudwatch")
def test_a_shared_file_that_is_being_written_is_no_crash(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Half a file cannot be parsed, not even at the start; a moment later it can."""
    shared = tmp_path / "credentials"
    shared.write_text("[defau")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    sink = make_sink()
    broken = sink.send((count(),))
    shared.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")

    assert (broken.error or "").startswith("No AWS credentials: Unable to parse config file")
    assert sink.send(broken.unsent) == Outcome()


#: Valid for so short a time that botocore asks again whenever it signs.
SHORT_LIVED = {
    "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "SecretAccessKey": "very-secret",
    "Token": "a-token",
    "Expiration": (datetime.now(timezone.utc) + timedelta(minutes=5)).isoformat(),
}


class ContainerEndpoint:
    """What gives the credentials of an ECS task: its first answers are good, the next is not."""

    def __init__(self, *, good: int, then: bytes) -> None:
        answers = [json.dumps(SHORT_LIVED).encode()] * good

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.pop() if answers else then
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/credentials"

    def __enter__(self) -> ContainerEndpoint:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(params=[b"[1]", json.dumps({**SHORT_LIVED, "Token": "to\r\nken"}).encode()])
def failing_while_signing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Two answers come before the request is begun, the third when it is signed."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with ContainerEndpoint(good=2, then=request.param) as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url)
        yield


@pytest.mark.usefixtures("cloudwatch", "failing_while_signing")
def test_a_request_that_could_not_be_signed_was_certainly_not_applied(
    make_sink: MakeSink, cloudwatch: StrictCloudWatch
) -> None:
    """Though bytes have left on the way: to who gives the credentials. No key is printed."""
    outcome = make_sink(on_ambiguous_send="drop").send((count(),))

    assert (outcome.unsent, outcome.dropped, outcome.ambiguous) == ((count(),), 0, 0)
    assert "ken" not in (outcome.error or "")
    assert cloudwatch.requests == ()


@pytest.mark.usefixtures("cloudwatch")
@pytest.mark.parametrize(
    ("has_token", "why"),
    [
        (False, "Error loading SSO Token: Token for corp does not exist"),
        (True, "Error when retrieving token from sso: Token has expired and refresh failed"),
    ],
)
def test_a_single_sign_on_that_is_over_says_how_to_sign_in(
    has_token: bool,
    why: str,
    make_sink: MakeSink,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One sentence, whether the token is there or not."""
    (tmp_path / "config").write_text(
        "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Monitor\n"
        "[sso-session corp]\nsso_start_url = https://corp.invalid/start\nsso_region = eu-west-1\n"
    )
    token = {"accessToken": "very-secret", "expiresAt": "2020-01-01T00:00:00Z"}
    if has_token:
        (tmp_path / f"{sha1(b'corp').hexdigest()}.json").write_text(json.dumps(token))
    # botocore looks for the home directory once, when it is imported.
    monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    error = make_sink().send((count(),)).error

    assert error == f"No AWS credentials: {why}; sign in again with `aws sso login`."


def test_nobody_is_asked_for_a_code(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A prompt would wait for ever, or take what is typed in somebody's terminal."""
    (tmp_path / "config").write_text(
        "[profile monitor]\nrole_arn = arn:aws:iam::123456789012:role/monitor\n"
        "source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
        "[profile base]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"
        "aws_secret_access_key = very-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "monitor")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    error = make_sink().send((count(),)).error

    assert error == (
        "No AWS credentials: assuming the role failed: the profile has mfa_serial, and nobody "
        "types a code in here; use a profile without it."
    )


def test_a_secret_key_in_the_place_of_its_id_is_masked(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two are easily swapped, and AWS repeats what it takes for the id."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "AKIAIOSFODNN7EXAMPLE")

    make_sink().prepare()

    said = one_line("Credential must have five elements, got 'wJalrXUtnFEMI/K7MDENG/20261126'")
    assert "wJalr" not in said


def test_the_loggers_of_botocore_show_no_session_token_at_any_level(
    make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An app may have set each of them to DEBUG by its name, to find some fault of its own."""
    # Given
    for name in (
        "botocore.auth",
        "botocore.endpoint",
        "botocore.parsers",
        "urllib3.connectionpool",
    ):
        caplog.set_level(logging.DEBUG, logger=name)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "very-secret-token")

    # When
    outcome = make_sink().send((count(),))

    # Then
    assert outcome.error is None
    assert "very-secret-token" not in caplog.text


LATER = "2120-01-01T00:00:00Z"


@pytest.fixture
def token_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let credentials come from single sign-on; return where its token is cached."""
    (tmp_path / "config").write_text(
        "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Monitor\n"
        "[sso-session corp]\nsso_start_url = https://corp.invalid/start\nsso_region = eu-west-1\n"
    )
    monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return tmp_path / f"{sha1(b'corp').hexdigest()}.json"


@pytest.mark.parametrize(
    ("token", "flaw"),
    [
        ("", "it is not a JSON object"),
        ("[]", "it is not a JSON object"),
        ('{"accessToken": "hush', "it is not a JSON object"),
        ("[" * 100_000, "it is not a JSON object"),
        (json.dumps({"expiresAt": LATER}), "it has no accessToken"),
        (json.dumps({"accessToken": "hush"}), "it has no expiresAt"),
        (json.dumps({"accessToken": ["hush"], "expiresAt": LATER}), "its accessToken is not a"),
        *(
            (json.dumps({"accessToken": "hush", "expiresAt": at}), "its expiresAt is not a time")
            for at in (7, None, [LATER], "", "hush", "2120-01-01T00:00:00")
        ),
        (
            json.dumps({"accessToken": "hush", "expiresAt": LATER, "refreshToken": ["hush"]}),
            "its refreshToken is not a string",
        ),
    ],
)
def test_a_damaged_sign_on_token_is_named_with_its_file_and_what_to_do(
    token: str,
    flaw: str,
    make_sink: MakeSink,
    token_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of it is shown, and no traceback: it may be a secret in the wrong place."""
    token_file.write_text(token)

    error = make_sink().send((count(),)).error

    assert error is not None
    assert error.startswith(
        f"No AWS credentials: the sign-on token in {token_file} is damaged ({flaw}"
    )
    assert error.endswith("); sign in again with `aws sso login`.")
    assert "hush" not in error + caplog.text
    assert "Traceback" not in caplog.text


def test_a_sign_on_token_that_http_client_refuses_as_a_header_is_not_shown(
    make_sink: MakeSink, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It quotes the header that it does not take."""
    token_file.write_text(json.dumps({"accessToken": "hush\r\nX: 1", "expiresAt": LATER}))

    error = make_sink().send((count(),)).error

    assert error is not None
    assert "hush" not in error + caplog.text
    assert "Traceback" not in caplog.text


def make_directory(path: Path) -> None:
    path.mkdir()


def make_long_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10_000_000_000)


NO_FILES = [
    (os.mkfifo, "is not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    (make_directory, "Is a directory"),
    (make_long_file, "is longer than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("make", "flaw"), NO_FILES)
def test_what_stands_in_the_place_of_a_sign_on_token_is_not_read_without_end(
    make: Callable[[Path], object], flaw: str, make_sink: MakeSink, token_file: Path
) -> None:
    """Neither time nor memory is given to it."""
    make(token_file)

    error = make_sink().send((count(),)).error or ""

    assert str(token_file) in error
    assert flaw in error


@pytest.mark.parametrize(("make", "flaw"), NO_FILES)
@pytest.mark.parametrize(
    "variable", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
)
def test_what_stands_in_the_place_of_a_token_is_not_read_without_end(
    variable: str,
    make: Callable[[Path], object],
    flaw: str,
    make_sink: MakeSink,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Of a role for a web identity, or of a container."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv(variable, str(tmp_path / "token"))
    if "CONTAINER" in variable:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    else:
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/monitor")
    make(tmp_path / "token")

    error = make_sink().send((count(),)).error or ""

    assert str(tmp_path / "token") in error
    assert flaw in error


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"[]", "failed: what it gives has not the expected form (TypeError"),
        (b"{}", "failed: what it gives has no AccessKeyId"),
        (
            b'{"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "hush"}',
            "failed: the keys' expiration is not a time with a time zone",
        ),
    ],
)
def test_what_a_container_gives_is_told_as_its_fault(
    answer: bytes, cause: str, make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as the name of an exception of Python's; nothing of the answer is shown."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    whole = OK + b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)

    with Answering(lambda peer, _: peer.sendall(whole)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        error = make_sink().send((count(),)).error or ""

    assert f"No AWS credentials: the container's endpoint for credentials {cause}" in error
    assert "hush" not in error


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "quitesecret"}, "quitesecret"),
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer quitesecret"}, "quitesecret"),
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{file}"}, "filedsecret"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "{file}", "AWS_ROLE_ARN": "{role}"}, "filedsecret"),
    ],
)
def test_a_token_that_the_provider_of_credentials_repeats_is_masked(
    variables: dict[str, str],
    token: str,
    make_sink: MakeSink,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whoever is at the other end may say why it refuses it."""
    # Given
    (tmp_path / "token").write_text(token + "\n" * ("AWS_ROLE_ARN" in variables))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    role = "arn:aws:iam::123456789012:role/monitor"
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(file=tmp_path / "token", role=role))
    text = f"token {token} is bad"
    answer = (
        "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
        f"<Message>{text}</Message></Error></ErrorResponse>"
    ).encode()
    whole = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)

    # When
    with Answering(lambda peer, _: peer.sendall(whole)) as server:
        url = f"http://127.0.0.1:{server.port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        if "AWS_ROLE_ARN" not in variables:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/")
        error = make_sink().send((count(),)).error or ""

    # Then
    assert "token ** is bad" in error
    assert token not in error


def test_a_process_that_a_credential_process_leaves_behind_is_not_waited_for(
    make_sink: MakeSink, credential_process: SetProcess, tmp_path: Path
) -> None:
    """An agent that it has started keeps its output open for ever."""
    credential_process(f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' & {GOOD}")

    assert make_sink().prepare() is None

    os.kill(int(wait_until(lambda: line_in(tmp_path / "pid"), 60, "it runs")), signal.SIGKILL)


@pytest.mark.usefixtures("cloudwatch")
def test_a_credential_process_that_hangs_ends_with_the_process_that_has_started_it(
    credential_process: SetProcess, tmp_path: Path
) -> None:
    """With its children; each start of the monitor would leave some behind."""
    give = f"trap '' TERM; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 1000"
    credential_process(give)
    script = (
        "import threading, time, pathlib\n"
        "from event_monitor.sinks.credentials import wait_for\n"
        "from event_monitor.sinks.client import session_of\n"
        "ask = lambda: wait_for(session_of().get_credentials, seconds=60)\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        f"while not pathlib.Path({str(tmp_path / 'pid')!r}).exists(): time.sleep(0.01)\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda: has_ended(pid), 60, "the child was killed")
