"""Proxy: one TCP port in front of another, which can freeze, hang up, and come back."""

from __future__ import annotations

import contextlib
import socket
import threading

from .servers import free_port

_POLL_SECONDS = 0.05
_BYTES = 1 << 16
_NO_LIMIT = 1 << 60


class _Link:
    """One client and its server. Once frozen it drops what either sends, a FIN too."""

    def __init__(self, client: socket.socket, target: int | None, answer_bytes: int) -> None:
        self.frozen = target is None
        self._answer_bytes = answer_bytes
        self._ends = [client]
        if target is not None:
            self._ends.append(socket.create_connection(("127.0.0.1", target), timeout=60))
            for source, sink in (self._ends, reversed(self._ends)):
                source.settimeout(None)
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_BYTES):
                if source is self._ends[1]:
                    data, self._answer_bytes = (
                        data[: self._answer_bytes],
                        self._answer_bytes - len(data),
                    )
                    if self._answer_bytes <= 0:
                        sink.sendall(data)
                        self.frozen = True
                if not self.frozen:
                    sink.sendall(data)
        if not self.frozen:
            self.cut()

    def cut(self) -> None:
        """Hang up on both."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Passes on what comes to ``port``, from the start; a context manager.

    ``freeze`` is a network that is gone and closes nothing, ``refuse`` a port nobody listens on.
    ``forward`` ends both for connections made from then on. ``freeze_after`` lets so many bytes of
    each answer through first.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._frozen = False
        self._answer_bytes = _NO_LIMIT
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.port = free_port()  # one of the kernel's would be anybody's while nobody listens
        self._listen()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.refuse()

    def freeze(self) -> None:
        """Let nothing pass any more on these connections, for good; new ones get no answer."""
        with self._lock:
            self._frozen = True
            for link in self._links:
                link.frozen = True

    def freeze_after(self, answer_bytes: int) -> None:
        """Freeze connections made from now on when the server has sent so many bytes."""
        with self._lock:
            self._answer_bytes = answer_bytes

    def refuse(self) -> None:
        """Hang up on everybody, and listen no more."""
        listener, self._listener = self._listener, None
        if listener is not None and self._acceptor is not None:
            self._acceptor.join()
            listener.close()
        with self._lock:
            for link in self._links:
                link.cut()
            self._links.clear()

    def forward(self) -> None:
        """Pass on what comes through new connections."""
        with self._lock:
            self._frozen = False
            self._answer_bytes = _NO_LIMIT
        if self._listener is None:
            self._listen()

    def _listen(self) -> None:
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        listener.settimeout(_POLL_SECONDS)
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._acceptor.start()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with self._lock:
                try:
                    target = None if self._frozen else self._target
                    self._links.append(_Link(client, target, self._answer_bytes))
                except OSError:  # nobody is there behind us either
                    client.close()
