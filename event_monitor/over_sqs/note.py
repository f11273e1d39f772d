"""Note: the sign by which ``healthcheck --worker`` knows that a worker's own loop goes on.

It is left at each heartbeat, so it needs no request, no credentials and no remote control.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..clock import SYSTEM_CLOCK, Clock
from ..liveness import Liveness, address_of, worker_identity
from ..liveness.names import ConnectionAddress

__all__ = ["WorkerNote"]


class HasBroker(Protocol):
    """The part of ``celery.Celery`` that says where tasks come from."""

    def connection_for_read(self) -> ConnectionAddress:
        """Return a connection, not connected."""
        ...


class WorkerNote:
    """The sign of one worker, by its broker and its nodename, among the temporary files.

    Any process of the same user finds it with ``Liveness.find(worker_identity(broker, nodename))``.
    For one thread at a time.
    """

    def __init__(
        self,
        app: HasBroker,
        nodename: str,
        *,
        temporary_dir: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        broker = address_of(app.connection_for_read())
        self._liveness = Liveness(
            sign="worker",
            identity=worker_identity(broker, nodename),
            temporary_dir=temporary_dir,
            clock=clock,
        )

    def beat(self, *, interval_seconds: float) -> None:
        """Leave the sign; the next one follows after that time. Never raises."""
        self._liveness.beat(interval_seconds=interval_seconds)

    def close(self) -> None:
        """Take it away: the worker stops."""
        self._liveness.close()
