"""Exchange: what hangs, trickles or never ends is given up, and ends; a real, small server."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from event_monitor.exchange import BoundedConnection, Exchange, LateError, NoThreadError

from ..support.answering import OK, Answering, flood, trickle
from ..support.waiting import wait_until

DEADLINE = 60.0  # seconds; only a broken exchange takes that long


class Connection(BoundedConnection, HTTPConnection):
    """As a client of this package makes it."""


class Pool(HTTPConnectionPool):
    ConnectionCls = Connection


def get(server: Answering, exchange: Exchange) -> bytes:
    with Pool("127.0.0.1", server.port, timeout=DEADLINE, retries=False) as pool:
        return exchange.run(lambda: pool.request("GET", "/").data)


def test_a_call_in_time_returns_what_it_returns() -> None:
    """From another thread, whose exchange it is."""
    exchange = Exchange(DEADLINE)

    assert exchange.run(Exchange.current) is exchange
    assert Exchange.current() is None


def test_a_call_raises_what_it_raises() -> None:
    """Whatever that is."""

    def fail() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        Exchange(DEADLINE).run(fail)


def test_what_hangs_is_left_behind() -> None:
    """The caller goes on at its deadline."""
    gate = threading.Event()
    try:
        with pytest.raises(LateError):
            Exchange(0.05).run(gate.wait)
    finally:
        gate.set()


STOPPED = """
import sys
from event_monitor.exchange import Exchange

def ask():
    print("asking", flush=True)
    return sys.stdin.readline()

for _ in range(2):
    print("answer:", Exchange(3).run(ask), end="", flush=True)
"""


def test_an_answer_that_comes_while_the_process_is_stopped_is_not_late() -> None:
    """SIGSTOP, `docker pause`: else a request that was answered in time would be sent twice."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            assert process.stdout.readline() == b"asking\n"
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            time.sleep(3.1)  # longer than its deadline
            process.stdin.write(b"yes\n")
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline() == b"answer: yes\n"


def test_a_hundred_calls_that_hang_are_enough() -> None:
    """A look-up of a name cannot be ended: each keeps its thread, for ever perhaps."""
    gate = threading.Event()
    try:
        for _ in range(100):
            with pytest.raises(LateError):
                Exchange(0).run(gate.wait)

        exchange = Exchange(DEADLINE)
        with pytest.raises(NoThreadError, match="the next begins when one has ended"):
            exchange.run(gate.wait)
        assert exchange.begun is False
    finally:
        gate.set()

    def is_begun() -> bool:
        with contextlib.suppress(NoThreadError):
            return Exchange(DEADLINE).run(lambda: True)
        return False

    wait_until(is_begun, DEADLINE, "the next is begun")


@pytest.mark.parametrize(
    "head", [b"HTTP", OK + b"x-slow: ", OK + b"\r\n"], ids=["status", "header", "body"]
)
def test_an_answer_that_trickles_is_given_up(head: bytes) -> None:
    """In whatever part of it; the connection is closed, so that nothing is left of it."""
    exchange = Exchange(3)
    with Answering(trickle(head)) as server:
        with pytest.raises(LateError):
            get(server, exchange)

        assert exchange.begun is True
        assert server.gone.wait(DEADLINE)


def test_an_answer_without_end_is_cut() -> None:
    """Long before it fills the memory, and before the deadline."""
    with (
        Answering(flood) as server,
        pytest.raises(urllib3.exceptions.HTTPError, match="longer than 16,000,000 bytes"),
    ):
        get(server, Exchange(DEADLINE))


def test_the_debug_output_of_http_client_shows_no_header(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may set it for all connections; it prints tokens and passwords."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)

    with Answering(lambda peer, _: peer.sendall(OK + b"Content-Length: 2\r\n\r\nok")) as server:
        assert get(server, Exchange(DEADLINE)) == b"ok"

    assert capsys.readouterr().out == ""


def test_odd_headers_fill_no_log_with_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy may send them with each answer; who asked judges it."""

    def answer(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(OK + b"no colon\r\ncontent-length: 2\r\n\r\n{}")

    with Answering(answer) as server:
        assert b"{}" in get(server, Exchange(DEADLINE))

    assert caplog.records == []


def test_an_answer_that_is_cut_off_in_its_headers_is_none() -> None:
    """Nobody knows what became of the request."""

    def answer(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(OK + b"x-amzn-Req")

    with Answering(answer) as server, pytest.raises(urllib3.exceptions.ProtocolError):
        get(server, Exchange(DEADLINE))


@pytest.mark.parametrize(("status", "is_cut"), [(b"200 OK", True), (b"403 Forbidden", False)])
def test_an_answer_that_is_cut_off_in_its_body_is_none(status: bytes, is_cut: bool) -> None:
    """Http.client takes it for whole; of a refusal nothing more has to be known."""

    def answer(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n{")

    with Answering(answer) as server:
        connection = Connection("127.0.0.1", server.port, timeout=DEADLINE)
        connection.request("GET", "/", preload_content=False, enforce_content_length=False)
        response = connection.getresponse()
        if is_cut:
            with pytest.raises(urllib3.exceptions.ProtocolError):
                b"".join(response.stream(3))
        else:
            assert b"".join(response.stream(3)) == b"{"
        response.close()
        connection.close()


def test_a_request_that_was_given_up_before_it_left_never_leaves() -> None:
    """Looking up the name may take a minute; then it is too late to send."""
    # Given a connection whose host is looked up for as long as the test wants
    gate, ended = threading.Event(), threading.Event()
    asked: list[bytes] = []

    class SlowLookup(Connection):
        def _new_conn(self) -> socket.socket:
            Exchange.current().begun = False  # type: ignore[union-attr]  # as the real one does
            gate.wait(DEADLINE)
            return super()._new_conn()

    class SlowPool(HTTPConnectionPool):
        ConnectionCls = SlowLookup

    def note(connection: socket.socket, _over: threading.Event) -> None:
        asked.append(connection.recv(1))

    with Answering(note) as server:
        exchange = Exchange(0.05)

        def request() -> None:
            try:
                with SlowPool("127.0.0.1", server.port, retries=False) as pool:
                    pool.request("POST", "/", body=b"data")
            finally:
                ended.set()

        # When
        with pytest.raises(LateError):
            exchange.run(request)
        gate.set()

        # Then
        assert ended.wait(DEADLINE)
    assert exchange.begun is False
    assert asked in ([], [b""])


def test_a_process_that_hangs_is_killed_with_its_children() -> None:
    """Also where a shell waits for a command."""
    started: list[subprocess.Popen[bytes]] = []

    def ask() -> None:
        process = subprocess.Popen(
            ["sh", "-c", "sleep 1000; true"], stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        exchange.hold_process(process)
        process.communicate()

    exchange = Exchange(3)
    with pytest.raises(LateError):
        exchange.run(ask)

    assert started[0].wait(DEADLINE) == -9
