"""Management: RabbitMQ's HTTP API is read page by page, and never shows the password."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from event_monitor.broker.management import Management

from ...support.answering import OK, Answering, trickle
from .management_api import Api


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


def names(api: Api, url: str, vhost: str = "/") -> list[object]:
    management = Management(url.replace("HOST", api.host), timeout_seconds=5.0)
    try:
        return [queue["name"] for queue in management.queues(vhost, columns=("name", "memory"))]
    finally:
        management.close()


def page(number: int, of: int, *queues: str) -> tuple[int, object]:
    items = [{"name": queue} for queue in queues]
    return 200, {"page": number, "page_count": of, "items": items}


def test_all_pages_are_read_with_the_columns_wanted(api: Api) -> None:
    api.answers = {
        "/api/queues/%2F 1": page(1, 2, "a", "b"),
        "/api/queues/%2F 2": page(2, 2, "c"),
    }

    assert names(api, "http://HOST") == ["a", "b", "c"]
    assert [parse_qs(urlsplit(path).query) for path, _ in api.asked] == [
        {"page": [number], "page_size": ["500"], "columns": ["name,memory"]} for number in "12"
    ]


def test_user_password_and_path_of_the_url_are_used(api: Api) -> None:
    """A character that a URL cannot hold is written as %-code in it."""
    api.answers = {"/rabbit/api/queues/my%20vhost 1": page(1, 1, "a")}

    assert names(api, "http://me:p%40ss@HOST/rabbit/", "my vhost") == ["a"]
    assert api.asked[0][1] == "Basic " + base64.b64encode(b"me:p@ss").decode()


def alarms(api: Api, status: int, body: object) -> tuple[str, ...]:
    api.answers = {"/api/health/checks/alarms 1": (status, body)}
    management = Management(f"http://{api.host}", timeout_seconds=5.0)
    try:
        return management.alarms()
    finally:
        management.close()


def test_alarms_are_told_by_a_health_check_that_fails(api: Api) -> None:
    """It fails with 503, and names them; else there are none."""
    raised = [{"node": "rabbit@a", "resource": "memory"}, {"node": "b", "resource": "disk space"}]

    assert alarms(api, 503, {"status": "failed", "alarms": raised}) == (
        "memory on rabbit@a",
        "disk space on b",
    )
    assert alarms(api, 200, {"status": "ok"}) == ()


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b"<html>"), (503, {"status": "failed"}), (200, {}), (401, {}), (404, {})],
    ids=["a proxy's", "no alarms named", "nothing", "refused", "an old server"],
)
def test_whatever_else_comes_tells_of_no_alarm(api: Api, status: int, body: object) -> None:
    """Unknown is not none."""
    with pytest.raises(Management.gone):
        alarms(api, status, body)


def test_a_url_without_a_user_sends_none(api: Api) -> None:
    api.answers = {"/api/queues/%2F 1": page(1, 1)}

    assert names(api, "http://HOST") == []
    assert api.asked[0][1] is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {"error": "not_authorised"}), "refuses the user"),
        ((500, b"oops"), "HTTP 500"),
        ((200, b"<html>"), "does not answer with JSON"),
        ((200, b'[{"name": "\\ud800"}]'), "does not answer with JSON"),
        ((200, b'[{"messages": NaN}]'), "does not answer with JSON"),
        ((200, {"items": "none"}), "does not answer as RabbitMQ"),
        ((200, "text"), "does not answer as RabbitMQ"),
    ],
)
def test_a_useless_answer_is_refused_without_showing_the_password(
    api: Api, answer: tuple[int, object], reason: str
) -> None:
    api.answers = {"/api/queues/%2F 1": answer}

    with pytest.raises(Management.gone, match=reason) as raised:
        names(api, "http://me:hunter2@HOST")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b"[" * 200_000), "does not answer with JSON"),
        ((200, gzip.compress(b'{"items": []}')), "does not answer with JSON"),
        ((200, bytes(16_000_001)), "longer than 16,000,000 bytes"),
    ],
    ids=["nested", "compressed", "long"],
)
def test_an_answer_that_would_fill_the_memory_is_refused(
    api: Api, answer: tuple[int, object], reason: str
) -> None:
    api.answers = {"/api/queues/%2F 1": answer}

    with pytest.raises(Management.gone, match=reason):
        names(api, "http://HOST")


def test_an_answer_that_trickles_is_given_up() -> None:
    """Each byte comes in time, and the whole never does; the server is hung up on."""
    with Answering(trickle(OK + b"x-slow: ")) as server:
        management = Management(f"http://127.0.0.1:{server.port}", timeout_seconds=0.3)

        with pytest.raises(Management.gone, match=r"no end within 0\.6 s"):
            list(management.queues("/", columns=("name",)))

        assert server.gone.wait(10)
        management.close()
