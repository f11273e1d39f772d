"""Server: it serves in a thread, tries again, and ends at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from event_monitor.settings import Address
from event_monitor.web.server import WebServer

from ...support.servers import free_port, listens
from ...support.waiting import wait_until

MORE_THAN_THE_KERNEL_KEEPS = 16 << 20
PORT_TAKEN = "cannot serve HTTP at 127.0.0.1:{}: Address already in use"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/hangs":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()
        await receive()
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int) -> Iterator[WebServer]:
    server = WebServer(hello, Address("127.0.0.1", port), retry_seconds=0.05)
    yield server
    server.close()


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def served(port: int) -> str:
    """The same; nothing while it hangs up, as it has not noticed yet who has gone."""
    with contextlib.suppress(OSError):
        return fetch(port)
    return ""


def test_it_serves_until_it_is_closed(server: WebServer, port: int) -> None:
    """And frees its port."""
    server.open()
    wait_until(lambda: listens(port), 60, "it listens")
    assert fetch(port) == "hello"

    server.close()
    assert not listens(port)


def test_a_taken_port_is_told_once_and_taken_when_it_is_free(
    server: WebServer, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to start the monitor again."""
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", port)):
        server.open()
        wait_until(lambda: PORT_TAKEN.format(port) in caplog.text, 60, "it is told")

    wait_until(lambda: "serving HTTP at" in caplog.text, 60, "it is taken")
    assert fetch(port) == "hello"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1


def test_whoever_still_looks_is_cut_off_at_the_end(server: WebServer, port: int) -> None:
    """One that sends nothing, one in the middle of a request, one that reads a stream."""
    # Given
    server.open()
    wait_until(lambda: listens(port), 60, "it listens")
    viewers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(3)]
    viewers[1].sendall(b"GET / HTTP/1.1\r\nHost: loc")
    viewers[2].sendall(b"GET /hangs HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert viewers[2].recv(100).startswith(b"HTTP/1.1 200")

    # When
    server.close()

    # Then
    for viewer in viewers:
        viewer.settimeout(60)
        try:
            while viewer.recv(1_000):
                pass
        except ConnectionResetError:
            pass
        viewer.close()


def test_viewers_beyond_a_bound_are_cut_off(server: WebServer, port: int) -> None:
    """Each takes a file descriptor, and the broker's connection needs one too."""
    server.open()
    wait_until(lambda: listens(port), 60, "it listens")
    viewers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(201)]
    with contextlib.suppress(ConnectionResetError):
        assert viewers[-1].recv(1) == b""
    for viewer in viewers[:100]:
        viewer.close()
    assert wait_until(lambda: served(port), 60, "the others are served") == "hello"
    for viewer in viewers[100:]:
        viewer.close()


def test_who_does_not_read_his_answers_is_cut_off(port: int) -> None:
    """Also if he has sent the next request already, for which nobody waits then."""
    # Given
    answered: list[str] = []

    async def big(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(b"x" * MORE_THAN_THE_KERNEL_KEEPS)(scope, receive, send)
        answered.append(scope["path"])

    server = WebServer(big, Address("127.0.0.1", port), reader_seconds=0.2)
    server.open()
    wait_until(lambda: listens(port), 60, "it listens")

    # When
    with socket.create_connection(("127.0.0.1", port), timeout=60) as viewer:
        for path in ("/1", "/2"):
            viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

        # Then
        wait_until(lambda: answered == ["/1", "/2"], 60, "nobody waits for him")
    server.close()


def test_a_server_that_dies_is_started_again(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it died of."""

    async def deadly(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/die":
            asyncio.get_running_loop().call_soon(sys.exit, 3)
        await hello(scope, receive, send)

    server = WebServer(deadly, Address("127.0.0.1", port), retry_seconds=0.05)
    server.open()
    wait_until(lambda: listens(port), 60, "it listens")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as viewer:
        viewer.sendall(b"GET /die HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: "the web server died" in caplog.text, 60, "it is told")
    assert wait_until(lambda: served(port), 60, "it serves again") == "hello"
    server.close()
