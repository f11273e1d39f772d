"""AMQP lease: an exclusive queue, which RabbitMQ deletes with the connection that declared it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp import Message
from amqp.exceptions import AccessRefused, NotAllowed, ResourceLocked
from kombu.exceptions import OperationalError

from ..broker.connections import connect, socket_deadline
from ..broker.protocols import Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..text import one_line
from .lease import ANSWER_SECONDS, LeaseRefusedError
from .overhearing import Overhear

__all__ = ["AmqpLease"]

_HEARTBEAT_SECONDS = 5  # RabbitMQ takes a silent connection for dead after two or three of them
_DEAD_SECONDS = 20.0  # within which it has done so
_BLOCKED_SECONDS = 30.0  # for which nothing is published where that was not answered


class AmqpLease:
    """A queue without messages on a connection of its own; see ``Lease``.

    It is free as soon as RabbitMQ knows that the connection has gone, of which its holder learns
    when it renews it. RabbitMQ does not say whose it is: where a network has swallowed our own
    connection, and there are no ``others``, it is taken for ours still.
    """

    renew_seconds = 1.0
    safe_seconds = 4.0
    grace_seconds = 4.0

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        others: Callable[[], bool] = lambda: True,
        overhear: Overhear | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self._others = others
        self._overhear = overhear
        self._clock = clock
        self._tried_at: float | None = None  # when a connection of ours may have had it last
        self._may_publish = True
        self._publishes_after = 0.0
        self._source = connection
        self._connection: Connection | None = None
        self._channel: Any = None  # py-amqp's; None if RabbitMQ has closed it
        self._gone = (
            *connection.connection_errors,
            *connection.channel_errors,
            OperationalError,
            OSError,
        )

    def acquire(self) -> bool:
        """Declare the queue, unless another has it; return whether it is ours."""
        try:
            return self._take()
        except ConnectionError:
            if self._connection is not None:
                raise
            return self._take()  # the old connection had gone

    def renew(self) -> bool:
        """Ask for the queue, on the connection that has it."""
        return self._connection is not None and self._ask(
            lambda: self._declare(passive=True), may_take=True
        )

    def holder(self) -> str:
        """Return nothing: RabbitMQ does not say whose it is."""
        return ""

    def release(self) -> None:
        """Close the connection; the queue goes with it."""
        connection, self._connection, self._channel = self._connection, None, None
        with suppress(Exception):  # whatever it is, there is nothing left to close
            if connection is not None:
                if connection.connected:
                    connection.connection.collect()  # no handshake: it waits for an answer
                connection.release()

    def _take(self) -> bool:
        now = self._clock.monotonic()
        if self._may_publish and now >= self._publishes_after:
            self._publishes_after = now + _BLOCKED_SECONDS  # unless it is answered
            is_held = self._ask(self._is_held)
            self._publishes_after = now
            if is_held:
                return self._is_ours_still()
            self.release()  # what holds the queue has published nothing: it is never blocked
        return self._ask(lambda: self._declare(passive=False), may_take=True)

    def _is_held(self) -> bool:
        """Return whether the queue is there, by a message that is returned if it is not.

        To declare it would answer that as well, with an error that RabbitMQ logs each time. But
        from whom it takes no messages, as when its memory is short, it takes nothing more either.
        """
        returned: list[object] = []
        channel = self._opened()
        channel.events["basic_return"] = {lambda *answer: returned.append(answer)}
        try:
            channel.basic_publish_confirm(Message(), "", self.name, mandatory=True)
        except AccessRefused:  # to publish to queues; declaring it is another right
            self._channel, self._may_publish = None, False
            return False
        return not returned

    def _declare(self, *, passive: bool) -> bool:
        tried_at = self._clock.monotonic()
        try:
            self._opened().queue_declare(
                queue=self.name,
                passive=passive,
                exclusive=True,
                auto_delete=False,
                arguments={"x-max-length": 1},  # of the messages by which others look for it
            )
        except ResourceLocked:
            self._channel = None
            return self._is_ours_still()
        self._tried_at = tried_at
        return True

    def _is_ours_still(self) -> bool:
        tried_at = self._tried_at
        is_recent = tried_at is not None and self._clock.monotonic() - tried_at < _DEAD_SECONDS
        return is_recent and not self._others()

    def _ask(self, question: Callable[[], bool], *, may_take: bool = False) -> bool:
        asked_at: float | None = None
        try:
            try:
                connection = self._connected()
            except (AccessRefused, NotAllowed) as error:  # of everything
                raise ConnectionError(one_line(error)) from error
            asked_at = self._clock.monotonic()
            with socket_deadline(connection, ANSWER_SECONDS):
                connection.connection.heartbeat_tick()
                return question()
        except (AccessRefused, NotAllowed) as error:
            self._channel = None
            raise LeaseRefusedError(one_line(error)) from error
        except self._gone as error:
            if may_take and asked_at is not None:  # it may have arrived
                self._tried_at = asked_at
            self.release()
            raise ConnectionError(one_line(error)) from error
        except Exception as error:  # drivers raise anything for bytes that they do not expect
            self._overhear = None  # which may be what anybody sends to the workers
            self.release()
            raise ConnectionError(f"{type(error).__name__}: {one_line(error)}") from error

    def _opened(self) -> Any:
        if self._channel is None:
            self._channel = self._connected().channel()
        return self._channel

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._source.clone(
                connect_timeout=ANSWER_SECONDS, heartbeat=_HEARTBEAT_SECONDS
            )
            connect(self._connection, whole_seconds=ANSWER_SECONDS)
            if self._overhear is not None:  # it comes with the answers to our questions
                with socket_deadline(self._connection, ANSWER_SECONDS):
                    self._overhear(self._connection)
        return self._connection
