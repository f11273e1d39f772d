"""Web: the page, ``/metrics``, ``/health`` and the JSON API. Reads snapshots, never the state.

Needs the extra ``web``; importing it without that raises ``ModuleNotFoundError``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..clock import SYSTEM_CLOCK, Clock
from ..history import Reader
from ..settings import Settings, address_of, credentials_of
from ..snapshot import Live, Role, Snapshot
from .access import Access
from .app import make_app
from .aside import Aside
from .past import Past
from .server import WebServer
from .views import Views

__all__ = ["Web"]


class Web:
    """The server and what it shows; a ``SnapshotConsumer``, and ``on_tasks`` is a ``TaskConsumer``.

    Making one opens nothing; raises ``SettingsError`` where ``http_auth`` cannot be read. ``open``
    and ``close`` belong to one thread. Nothing that goes wrong here reaches whoever calls it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        peek: Callable[[], Live],
        glance: Callable[[], Live] | None = None,
        problem: Callable[[], str | None],
        accepted_at: Callable[[], float | None],
        role: Callable[[], Role] = lambda: Role.ALONE,
        second: Callable[[], str] = str,
        history: Callable[[], Reader] | None,
        broker: str,
        default_queue: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._views = Views(
            settings,
            peek=peek,
            glance=glance,
            problem=problem,
            accepted_at=accepted_at,
            role=role,
            second=second,
            broker=broker,
            default_queue=default_queue,
            clock=clock,
        )
        self._aside = Aside()
        self.on_tasks = self._views.on_tasks
        app = make_app(self._views, Past(history), self._aside)
        access = Access(app, settings, credentials=credentials_of(settings.http_auth))
        self._server = WebServer(access, address_of(settings.http))

    def __call__(self, snapshot: Snapshot) -> None:
        """Show this snapshot from now on."""
        self._views(snapshot)

    def open(self) -> None:
        """Begin to serve."""
        self._aside.open()
        self._server.open()

    def close(self) -> None:
        """Serve no more; whoever looks is cut off."""
        self._server.close()
        self._aside.close()
