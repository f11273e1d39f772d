"""Management: RabbitMQ's HTTP API is read page by page, and never shows the password."""

from __future__ import annotations

import base64
import gzip
import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from celery import Celery

from event_monitor.broker.management import Management, why_unusable

from ...support.answering import OK, Answering, trickle
from ...support.servers import free_port
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
        management = Management(f"http://127.0.0.1:{server.port}", timeout_seconds=2.0)

        with pytest.raises(Management.gone, match=r"no end within 4 s"):
            list(management.queues("/", columns=("name",)))

        assert server.gone.wait(60)
        management.close()


def why(url: str, *, broker: str = "amqp://nowhere.invalid//") -> str:
    """Return why the API is of no use with that broker, which is not asked."""
    connection = Celery("proj", broker=broker, set_as_current=False).connection_for_read()
    return why_unusable(connection, url, timeout_seconds=5.0)


def test_a_url_that_is_of_use_is_not_complained_of(api: Api) -> None:
    api.answers = {"/api/queues/%2F 1": page(1, 1, "a")}

    assert why(f"http://me:hunter2@{api.host}") == ""
    assert why(f"http://{api.host}", broker="redis://nowhere.invalid/0") == (
        "management_url is of no use: the broker is redis, not RabbitMQ"
    )
    assert len(api.asked) == 1


def test_a_wrong_user_and_a_wrong_address_are_told_apart(api: Api) -> None:
    api.answers = {"/api/queues/%2F 1": (401, {"error": "not_authorized"})}
    url = f"http://{api.host}"

    assert why(f"http://me:hunter2@{api.host}") == (
        f"management_url is of no use: {url} refuses the user of management_url (HTTP 401): the "
        "password is wrong, or the user has no tag `management`"
    )
    assert why(f"{url}/elsewhere") == (
        f"management_url is of no use: {url}/elsewhere answers with HTTP 404: it is no management "
        "API, or lacks this vhost"
    )


def test_a_wrong_host_and_a_wrong_port_are_told_apart() -> None:
    port = free_port()

    assert why(f"http://me:hunter2@127.0.0.1:{port}") == (
        f"management_url is of no use: http://127.0.0.1:{port} cannot be reached: "
        "Connection refused"
    )
    assert why("http://me:hunter2@nowhere.invalid:15672") == (
        "management_url is of no use: http://nowhere.invalid:15672 cannot be reached: there is no "
        "host of that name"
    )


def test_the_port_of_the_broker_itself_is_told() -> None:
    """It answers with AMQP, whatever comes; and a URL of https:// needs TLS."""

    def protocol_header(connection: socket.socket, over: threading.Event) -> None:
        del over
        connection.sendall(b"AMQP\x00\x00\x09\x01")

    with Answering(protocol_header) as server:
        assert why(f"http://127.0.0.1:{server.port}") == (
            f"management_url is of no use: http://127.0.0.1:{server.port} hangs up without an "
            "answer of HTTP: the API is at port 15672 as a rule"
        )
        assert why(f"https://127.0.0.1:{server.port}") == (
            f"management_url is of no use: https://127.0.0.1:{server.port} does not speak TLS: it "
            "may be http://"
        )
