"""Link: a probe's own connection to the broker, opened when needed, thrown away when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from kombu import Connection
from kombu.exceptions import OperationalError

from ..broker.connections import connect

__all__ = ["GONE", "Link", "sentence"]

#: What a probe raises when the broker cannot be asked; its text is one sentence, for the log.
GONE: tuple[type[BaseException], ...] = (ConnectionError,)

T = TypeVar("T")


class Link:
    """Asks one question after the other, on one connection; used by one thread.

    ``lost`` are the exceptions, besides those of the transport, that mean that it is of no use.
    """

    def __init__(
        self,
        source: Connection,
        *,
        timeout_seconds: float,
        transport_options: Mapping[str, Any] | None = None,
        lost: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._source = source.clone(
            connect_timeout=timeout_seconds,
            heartbeat=0,  # nobody would send them between two questions
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
        """The answer. Raises one of ``GONE`` if broker or network do not give one.

        A connection that was left idle may have been cut meanwhile; that is no failure yet.
        """
        if self._connection is not None and self._connection.connected:
            with suppress(*self._lost):
                return question(self._connection)
        self.close()
        self._connection = self._source.clone()
        try:
            connect(self._connection)
            return question(self._connection)
        except self._lost as error:
            self.close()
            # The text of an error may be taken from the server; of URLs only the masked one.
            raise ConnectionError(
                f"the queues of {self._source.as_uri()} cannot be read: {sentence(error)}"
            ) from error

    def close(self) -> None:
        """Let go, without waiting for a broker that may not answer. Never raises."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if connection.transport.driver_type == "amqp" and connection.connected:
                connection.connection.collect()  # without the farewell, which waits for an answer
            connection.release()


def sentence(error: BaseException) -> str:
    """What an exception says, cut to a line; its class if it says nothing."""
    return " ".join(str(error).split())[:300] or type(error).__name__
