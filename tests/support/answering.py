"""Answering: an HTTP server that says what no server should, without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

OK = b"HTTP/1.1 200 OK\r\n"

Answer = Callable[[socket.socket, threading.Event], None]  # to one connection, until the event


class Answering:
    """Reads a request on each connection and answers it as it is told; a context manager.

    ``gone`` is set when a client has hung up in the middle of an answer.
    """

    def __init__(self, answer: Answer) -> None:
        self.gone = threading.Event()
        self._answer = answer
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Answering:
        self._threads[0].start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                self._answer(connection, self._over)
            except OSError:
                self.gone.set()


def trickle(head: bytes) -> Answer:
    """Return an answer that goes on byte by byte after ``head``."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(b".")

    return answer


def flood(connection: socket.socket, over: threading.Event) -> None:
    """Answer with a body that never ends."""
    connection.sendall(OK + b"\r\n")
    while not over.is_set():
        connection.sendall(bytes(1 << 20))
