"""Access: who is let in, under which name, and what the others are told."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from event_monitor.settings import Credentials, Settings
from event_monitor.web.access import Access

from .asking import get

OPS = Credentials("basic", (b"ops:one", b"ops:two"))
TOKEN = Credentials("bearer", (b"abc",))
HEADER = Credentials("header", header="x-amzn-oidc-identity")


async def says_path(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(scope["path"])(scope, receive, send)


def access(credentials: Credentials | None = None, **settings: Any) -> Access:
    return Access(says_path, Settings(**settings), credentials=credentials)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/api/v1/status"])
def test_all_is_shown_where_nobody_has_to_say_who_he_is(path: str) -> None:
    """As on loopback."""
    assert get(access(), path).text == path


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    """Whatever the path, and before it is asked who it is."""
    for path in ("/", "/metrics", "/health"):
        answer = get(access(OPS), path, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("header", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_with_a_body_is_refused_and_nothing_is_read_after_it(
    method: str, header: tuple[str, str]
) -> None:
    """A proxy that sees its end elsewhere would pass on, unseen, who somebody says that he is."""
    for path in ("/", "/health"):
        answer = get(access(HEADER), path, method=method, headers=dict([header]))
        assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert get(access(), "/", headers={"Content-Length": "0"}).status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9808", "127.0.0.1:9808", "[::1]:9808", "10.1.2.3", "mon.it:80"]
)
def test_it_answers_to_its_own_names(host: str) -> None:
    """An address, localhost, and those of the setting."""
    app = access(http_hosts=("mon.it",))
    assert get(app, "/", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:9808", "", "mon.it.", "["]
)
def test_a_name_that_a_stranger_made_lead_here_gets_nothing(host: str) -> None:
    """Else his page could read ours (DNS rebinding). Numbers and health are read by address."""
    app = access(http_hosts=("mon.it",))
    assert get(app, "/api/v1/status", headers={"Host": host}).status == 421
    assert get(app, "/metrics", headers={"Host": host}).status == 200
    assert get(app, "/health", headers={"Host": host}).status == 200


def test_without_the_page_there_are_numbers_and_health_only() -> None:
    """The setting http_page."""
    app = access(http_page=False)
    found = {path: get(app, path).status for path in ("/metrics", "/health", "/", "/api/v1/status")}
    assert found == {"/metrics": 200, "/health": 200, "/": 404, "/api/v1/status": 404}


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_one_of_the_passwords_opens(path: str) -> None:
    """While one takes the place of the other, both do."""
    for text, status in [("ops:one", 200), ("ops:two", 200), ("ops:three", 401), ("ops", 401)]:
        assert get(access(OPS), path, headers=basic(text)).status == status


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic é", "Bearer b3BzOm9uZQ==", "Digest x", "Bearer"]
)
def test_what_is_no_password_is_asked_for_one(header: str) -> None:
    """In the way that browsers understand."""
    answer = get(access(OPS), "/", headers={"Authorization": header})
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_a_token_opens_and_nothing_else_does() -> None:
    """As Prometheus sends it."""
    app = access(TOKEN)
    for header, status in [("Bearer abc", 200), ("bearer abc", 200), ("Bearer abcd", 401)]:
        assert get(app, "/metrics", headers={"Authorization": header}).status == status
    assert get(app, "/health").status == 200


def test_a_header_is_believed_from_its_proxy_only() -> None:
    """Prometheus goes past the proxy, and finds numbers only."""
    # Given
    app = access(HEADER, http_proxies=("10.0.0.0/8", "fd00::/8"))
    somebody = {"X-Amzn-Oidc-Identity": "ann"}

    # Then
    for client, status in [("10.1.1.1", 200), ("::ffff:10.1.1.1", 200), ("192.168.1.1", 403)]:
        assert get(app, "/", client=client, headers=somebody).status == status
    assert get(app, "/", client="10.1.1.1").status == 403
    assert get(app, "/", client="10.1.1.1", headers={"X-Amzn-Oidc-Identity": ""}).status == 403
    assert get(app, "/metrics", client="192.168.1.1").status == 200


def test_a_prefix_stands_before_all_but_the_two_that_are_called_directly() -> None:
    """As a proxy passes it on."""
    app = access(http_prefix="/celery")
    assert get(app, "/celery").text == "/"
    assert get(app, "/celery/api/v1/status").text == "/api/v1/status"
    assert get(app, "/celery/metrics").text == "/metrics"
    assert get(app, "/metrics").text == "/metrics"
    assert [get(app, path).status for path in ("/", "/api/v1/status", "/celeryx")] == [404] * 3


def test_no_answer_is_kept_or_framed_or_guessed_at() -> None:
    """Refusals included."""
    for answer in (get(access(), "/"), get(access(OPS), "/")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_long_answer_goes_out_in_pieces() -> None:
    """So that of what nobody reads only a piece is copied for each connection."""
    text = "0123456789" * 20_000
    sent: list[Message] = []

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            sent.append(message)
            await send(message)

        app = Access(PlainTextResponse(text), Settings(), credentials=None)
        await app(scope, receive, note)

    assert get(long, "/metrics").text == text
    assert max(len(message.get("body", b"")) for message in sent) == 65_536
    assert [message.get("more_body", False) for message in sent[1:]] == [True, True, True, False]


def test_a_fault_of_ours_is_logged_and_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who looks is told where to look."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("secret")

    answer = get(Access(fails, Settings(), credentials=None), "/x")
    assert answer.status == 500
    assert "secret" not in answer.text
    assert "could not answer /x" in caplog.text
