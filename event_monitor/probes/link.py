"""Link: a probe's own connection to the broker, opened when needed, thrown away when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from kombu.exceptions import OperationalError

from ..broker.connections import connect, shown
from ..broker.protocols import Connection, Errors
from ..text import one_line

__all__ = ["GONE", "Link"]

#: What a probe raises when the broker cannot be asked; its text is one sentence, for the log.
GONE: Errors = (ConnectionError,)

T = TypeVar("T")


class Link:
    """Asks one question after the other, on one connection. Not thread-safe.

    ``lost`` are the exceptions, besides those of the transport, that mean that the connection is
    of no use any more.
    """

    def __init__(
        self,
        source: Connection,
        *,
        timeout_seconds: float,
        transport_options: Mapping[str, object] | None = None,
        lost: Errors = (),
    ) -> None:
        self._source = source.clone(
            connect_timeout=timeout_seconds,
            heartbeat=0,  # nobody would send any between two questions
            transport_options={**source.transport_options, **(transport_options or {})},
        )
        self._lost = (
            *source.connection_errors,
            *source.channel_errors,
            *lost,
            OperationalError,
            OSError,
        )
        self._connection: Connection | None = None

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return the answer. Raises one of ``GONE`` if the broker or the network fails.

        A connection that was idle may have been closed meanwhile, so the question is asked again
        on a new one before that counts as a failure.
        """
        if self._connection is not None and self._connection.connected:
            with suppress(*self._lost):
                return question(self._connection)
        self.close()
        self._connection = self._source.clone()
        try:
            self._connect(self._connection)
            return question(self._connection)
        except self._lost as error:
            self.close()
            # The text is the server's or the driver's; of the URL only the masked form is shown.
            raise ConnectionError(
                f"the queues of {shown(self._source)} cannot be read: {one_line(error)}"
            ) from error

    def _connect(self, connection: Connection) -> None:
        try:
            connect(connection)
        except self._lost:
            raise
        except Exception as error:  # drivers raise anything for bytes that they do not expect
            raise ConnectionError(f"{type(error).__name__}: {one_line(error)}") from error

    def close(self) -> None:
        """Close the connection, without waiting for a broker that may not answer. Never raises."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if connection.transport.driver_type == "amqp" and connection.connected:
                connection.connection.collect()  # no closing handshake: it waits for an answer
            connection.release()
