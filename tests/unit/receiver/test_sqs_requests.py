"""SQS requests: what is known of an answer, and of one that did not come."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from event_monitor.receiver.sqs_requests import SqsError, SqsQueue

ARGUMENTS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
MESSAGE = {"Body": "a", "ReceiptHandle": "h", "MD5OfBody": "0cc175b9c0f1b6a831c399e269772661"}


@pytest.fixture
def statuses() -> list[int]:
    """Return the statuses that SQS answers with, the next one first; 200 when there are no more."""
    return []


@pytest.fixture
def dates() -> list[str]:
    """Return the dates that SQS answers with, the next one first; none when there are no more."""
    return []


@pytest.fixture
def queue(statuses: list[int], dates: list[str]) -> Iterator[SqsQueue]:
    """Return a queue with one message, which is handed out again and again."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"Messages": [MESSAGE]}).encode()
            self.send_response_only(statuses.pop(0) if statuses else 200)
            if dates:
                self.send_header("Date", dates.pop(0))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        queue = SqsQueue(f"{url}/123456789012/celeryev", ARGUMENTS | {"endpoint_url": url})
        queue.open()
        yield queue
        queue.close()
        server.shutdown()


@pytest.mark.parametrize("failures", [0, 1])
def test_an_answer_that_did_not_come_may_have_had_messages(
    failures: int, queue: SqsQueue, statuses: list[int]
) -> None:
    """They are out of sight, though the request was repeated and all seems well."""
    repeated: list[int] = []
    queue.on_receive_again = lambda: repeated.append(1)
    statuses += [500] * failures
    messages = queue.receive(wait_seconds=0, visibility_seconds=180)
    assert [message["Body"] for message in messages] == ["a"]
    assert len(repeated) == failures


def test_sqs_says_what_time_it_is(queue: SqsQueue, statuses: list[int], dates: list[str]) -> None:
    """Our clock may be wrong. An error, and what is no time, says nothing; nor does an old one."""
    assert queue.wall is None
    dates += ["Thu, 26 Nov 2026 12:00:01 GMT", "soon", "Thu, 26 Nov 2026 12:00:03 GMT"]
    times: list[float | None] = []
    for _ in range(4):
        queue.receive(wait_seconds=0, visibility_seconds=180)
        times.append(queue.wall)
    assert times == [1_795_694_401.0, None, 1_795_694_403.0, None]

    dates += ["Thu, 26 Nov 2026 12:00:05 GMT"] * 2
    queue.receive(wait_seconds=0, visibility_seconds=180)
    statuses += [400]
    with pytest.raises(SqsError):
        queue.receive(wait_seconds=0, visibility_seconds=180)
    assert queue.wall is None
