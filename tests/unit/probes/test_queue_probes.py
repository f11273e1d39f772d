"""Queue probes: which queues are asked for, which probe suits, and what RabbitMQ's API says."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from event_monitor.broker.management import Management
from event_monitor.probes.link import sentence
from event_monitor.probes.queues import queue_names, queue_probe_to
from event_monitor.probes.queues_amqp import DeclareProbe
from event_monitor.probes.queues_redis import RedisProbe
from event_monitor.probes.queues_sqs import SqsProbe
from event_monitor.settings import Settings


def app_with(broker: str = "memory://", **conf: Any) -> Celery:
    app = Celery("asked", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


# -- names ----------------------------------------------------------------------------------------


def test_an_app_without_queues_has_the_default_one() -> None:
    assert queue_names(app_with(), Settings()) == ("celery",)
    assert queue_names(app_with(task_default_queue="mine"), Settings()) == ("mine",)


def test_names_are_those_of_app_and_settings_sorted_and_once() -> None:
    app = app_with(task_queues=[Queue("slow"), Queue("fast", Exchange("x"), routing_key="f.#")])

    assert queue_names(app, Settings(queues=("slow", "audit"))) == ("audit", "fast", "slow")


def test_queues_that_routes_name_are_known_without_a_worker() -> None:
    app = app_with(
        task_routes={
            "a.*": {"queue": "patterns"},
            "b.one": "plain",
            "b.two": {"queue": Queue("object")},
            "b.three": {"exchange": "x", "routing_key": "y"},
        }
    )
    assert queue_names(app, Settings()) == ("celery", "object", "patterns", "plain")

    app = app_with(task_routes=([("a.*", {"queue": "pairs"})], lambda *_args, **_options: None))
    assert queue_names(app, Settings()) == ("celery", "pairs")


def test_broadcast_queues_are_left_out() -> None:
    """Every worker has one of its own, under a random name."""
    app = app_with(task_queues=[Queue("celery"), Broadcast("all")])

    assert queue_names(app, Settings()) == ("celery",)


# -- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "kind"),
    [
        ("redis://nowhere.invalid/0", RedisProbe),
        ("rediss://nowhere.invalid/0?ssl_cert_reqs=required", RedisProbe),
        ("redis+socket:///nowhere.sock", RedisProbe),
        ("sentinel://nowhere.invalid/0", RedisProbe),
        ("amqp://nowhere.invalid//", DeclareProbe),
        ("amqps://nowhere.invalid//", DeclareProbe),
        ("sqs://", SqsProbe),
        ("filesystem://", DeclareProbe),
    ],
)
def test_the_probe_suits_the_broker_and_connects_to_nothing_yet(broker: str, kind: type) -> None:
    probe = queue_probe_to(app_with(broker), Settings(management_url="http://nowhere.invalid"))

    assert type(probe) is kind
    probe.close()


def test_an_error_is_told_in_one_short_line() -> None:
    assert sentence(ValueError("of\n  two lines")) == "of two lines"
    assert sentence(TimeoutError()) == "TimeoutError"
    assert len(sentence(ValueError("x" * 10_000))) == 300


# -- the management API ---------------------------------------------------------------------------


class Api:
    """RabbitMQ's management API, as far as ``answers`` has any: path → status and body."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str | None]] = []  # path with query, who asks
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append((self.path, self.headers.get("Authorization")))
                page = parse_qs(urlsplit(self.path).query).get("page", ["1"])[0]
                path = urlsplit(self.path).path
                status, body = api.answers.get(f"{path} {page}", (404, {}))
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


def names(api: Api, url: str, vhost: str = "/") -> list[str]:
    management = Management(url.replace("HOST", api.host), timeout_seconds=5.0)
    try:
        return [one["name"] for one in management.queues(vhost, columns=("name", "memory"))]
    finally:
        management.close()


def page(number: int, of: int, *queues: str) -> tuple[int, Any]:
    return 200, {"page": number, "page_count": of, "items": [{"name": one} for one in queues]}


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
        ((200, {"items": "none"}), "does not answer as RabbitMQ"),
        ((200, "text"), "does not answer as RabbitMQ"),
    ],
)
def test_an_answer_that_is_none_is_refused_without_showing_the_password(
    api: Api, answer: tuple[int, Any], reason: str
) -> None:
    api.answers = {"/api/queues/%2F 1": answer}

    with pytest.raises(Management.gone, match=reason) as raised:
        names(api, "http://me:hunter2@HOST")
    assert "hunter2" not in str(raised.value)
