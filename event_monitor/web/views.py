"""Views: what the server shows, out of the last snapshot and the open window. Never the state."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ..clock import SYSTEM_CLOCK, Clock
from ..metrics.levels import Level
from ..settings import Settings
from ..snapshot import BrokerLink, Live, Role, Snapshot, Window
from ..survey import NOT_ASKED
from .cells import Cells, HostnameLabel, Room
from .exemplars import Exemplars
from .exposition import Page
from .own_metrics import OF_MONITOR, OwnMetrics
from .verdict import verdict_of
from .workers_up import WorkersUp

__all__ = ["View", "Views"]

log = logging.getLogger(__name__)

_MOST_SCRAPERS = 32  # told apart; of the others it is not known what they have seen


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known at ``at``, wall-clock seconds since the epoch.

    ``snapshot`` is None before the first shot. ``since`` is when the verdict changed last.
    ``problem`` is what is wrong with the monitor itself, None if nothing, and ``accepted_at`` when
    metrics were accepted last, None if they never were. ``role`` is what it is among several now.
    """

    at: float
    snapshot: Snapshot | None
    live: Live
    since: float | None = None
    problem: str | None = None
    accepted_at: float | None = None
    role: Role = Role.ALONE
    second: str = ""


class Views:
    """Takes each snapshot, as a ``SnapshotConsumer``, and shows what it adds up to.

    ``peek`` is the camera's, and ``glance`` the same without times, for who asks for none of
    them: all but Prometheus. ``problem`` returns why the monitor is not healthy, or None, and
    ``accepted_at`` when metrics were accepted last, ``role`` its own among several, and
    ``second`` who publishes the same as well. ``broker`` is its URL, fit to be shown. The
    snapshots come in the camera's thread, and ``on_tasks``, a ``TaskConsumer``, is called in the
    receiving one; all else is called in one other thread, one at a time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        peek: Callable[[], Live],
        glance: Callable[[], Live] | None = None,
        problem: Callable[[], str | None],
        accepted_at: Callable[[], float | None] = lambda: None,
        role: Callable[[], Role] = lambda: Role.ALONE,
        second: Callable[[], str] = str,
        broker: str = "",
        default_queue: str = "celery",
        room: Room | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.settings = settings
        self.problem = problem
        self.role = role
        self.second = second
        self.broker = broker
        self._accepted_at = accepted_at
        self._peek = peek
        self._glance = glance or peek
        self._clock = clock
        self._lock = threading.Lock()  # of all that follows, for the time of adding up
        self._snapshot: Snapshot | None = None
        hostname_label = cast("HostnameLabel", settings.http_hostname_label)
        self._cells = Cells(default_queue=default_queue, room=room, hostname_label=hostname_label)
        self._exemplars = Exemplars(default_queue=default_queue, hostname_label=hostname_label)
        self.on_tasks = self._exemplars.on_tasks
        self._own = OwnMetrics(settings)
        self._workers = WorkersUp(clock=clock)
        self._level: Level | None = None
        self._since: float | None = None
        self._scrapers: OrderedDict[str, int] = OrderedDict()  # → how many series they have seen
        self._most_seen = 0
        self._text: tuple[Live, Snapshot | None, dict[tuple[int, bool], bytes]] | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Add a snapshot. Never raises: a fault here must not stop the shots."""
        try:
            with self._lock:
                self._add(snapshot)
        except Exception:
            log.exception("what is shown lacks a snapshot")

    def _add(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if snapshot.role is not Role.STANDBY:
            self._cells.add(snapshot.window)
        self._cells.forget_hosts(worker.hostname for worker in snapshot.workers)
        self._own.add(snapshot)
        self._workers.add(snapshot)
        level = verdict_of(snapshot, self.settings).level
        if level is not self._level:
            self._level, self._since = level, snapshot.window.closed_at

    def _stood_by(self) -> bool:
        """Return whether another monitor published the last window, and shows it to Prometheus."""
        snapshot = self._snapshot
        return snapshot is not None and (
            snapshot.role is Role.STANDBY or snapshot.link is BrokerLink.STANDBY
        )

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self._clock.wall()

    def view(self) -> View:
        """Return what is known now. Takes the state's lock for the moments of a peek."""
        live = self._glance()
        with self._lock:
            return View(
                at=self._clock.wall(),
                snapshot=self._snapshot,
                live=live,
                since=self._since,
                problem=self.problem(),
                accepted_at=self._accepted_at(),
                role=self.role(),
                second=self.second(),
            )

    def metrics(self, *, scraper: str, openmetrics: bool) -> bytes:
        """Return the text for who scrapes; what is new to him begins at 0."""
        live = self._peek()
        with self._lock:
            new_from = self._scrapers.pop(scraper, self._most_seen)
            kept = self._text
            if kept is None or kept[0] is not live or kept[1] is not self._snapshot:
                kept = self._text = live, self._snapshot, {}
            texts = kept[2]
            text = texts.get((new_from, openmetrics))
            page = self._page(live, new_from) if text is None else None
            seen = self._cells.born
            self._scrapers[scraper] = seen
            self._most_seen = max(seen, self._most_seen)
            if len(self._scrapers) > _MOST_SCRAPERS:
                self._scrapers.popitem(last=False)
        if text is None and page is not None:
            text = texts[new_from, openmetrics] = page.text(openmetrics=openmetrics)
        return text or b""

    def _page(self, live: Live, new_from: int) -> Page:
        if self._stood_by():  # all else the leader shows, and nobody is to add up both
            own = self._own.totals(series_folded=0).items()
            return Page(
                cells=(),
                new_from=new_from,
                workers={},
                survey=NOT_ASKED,
                totals={source: value for source, value in own if source in OF_MONITOR},
                by_queue={},
                exemplars=self._exemplars,
            )
        cells = self._cells.look(live)
        snapshot = self._snapshot or Snapshot(
            window=Window(live.opened_at, live.opened_at), link=live.link
        )
        return Page(
            cells=cells,
            new_from=new_from,
            workers=self._workers.shown(snapshot),
            survey=snapshot.survey,
            totals=self._own.totals(series_folded=len(self._cells.folded)),
            by_queue=self._own.by_queue,
            exemplars=self._exemplars,
        )
