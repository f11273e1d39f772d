"""Leaders: what makes of several monitors one, as it suits the settings and the broker."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..broker.connections import shown
from ..broker.own_events import OwnEventSender
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..events import Past
from ..settings import Settings
from ..snapshot import Role
from .holder import Holder
from .leader import Leader
from .leases import lease_for, lease_name
from .old_versions import OldVersions
from .windows import FindDead, Windows

__all__ = ["Leadership"]

log = logging.getLogger(__name__)

_UNTOLD = frozenset({"memory", "sqs"})  # one process only, or has a lease of its own
_MOST_NAMED = 3
_OLD = "one of an older version, unless it publishes another namespace or dimensions"
_WITH_LEASES = frozenset({"amqp", "redis"})


class Leadership:
    """The leader of this monitor, and the windows that it shares with others, if it may.

    Where the events come from a queue that ``has_one_reader`` at a time anyway, and on brokers
    without leases, there is nothing to ask, and ``windows`` is None. ``settle``, ``wake``,
    ``find_dead``, ``past``, ``note_past`` and ``interval_seconds`` are those of publisher, state
    and camera; ``is_connected`` returns whether events can come.
    """

    def __init__(
        self,
        settings: Settings,
        app: CeleryApp,
        *,
        has_one_reader: bool,
        settle: Callable[[str], None],
        wake: Callable[[], None],
        find_dead: FindDead,
        past: Callable[[], Past],
        note_past: Callable[[Past], None],
        interval_seconds: Callable[[], float],
        is_connected: Callable[[], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.windows: Windows | None = None
        self._wake = wake
        self._sender: OwnEventSender | None = None
        self._old_versions = OldVersions(clock=clock)
        self._is_old_told = False
        connection = app.connection_for_write()
        driver = connection.get_transport_cls().driver_type
        if has_one_reader or driver not in _WITH_LEASES:
            if not has_one_reader and driver not in _UNTOLD:
                log.warning(
                    "nothing keeps a second monitor from publishing the same on %s: run one only",
                    shown(connection),
                )
            self.leader = Leader(None, clock=clock)
            return
        holder, name = Holder.here(), lease_name(app, settings)
        lease = None
        if settings.leader == "auto":
            lease = lease_for(
                app,
                name,
                holder=holder,
                others=self._has_others,
                on_command=self._old_versions.note_command,
                clock=clock,
            )
        self.leader = Leader(
            lease,
            on_change=self._on_role,
            on_look=self._speak,
            is_connected=is_connected,
            clock=clock,
        )
        self._sender = OwnEventSender(app)
        self.windows = Windows(
            self.leader,
            monitors=name,
            me=holder.id,
            who=str(holder),
            send=self._sender.send,
            settle=settle,
            find_dead=find_dead,
            past=past,
            note_past=note_past,
            interval_seconds=interval_seconds,
            is_old_here=lambda: self._old_versions.are_here,
            clock=clock,
        )

    @property
    def standbys(self) -> int | None:
        """Return how many other monitors stand by; None where that cannot be known."""
        if self.windows is None:
            return None
        return sum(peer.role == "standby" for peer in self.windows.peers())

    @property
    def second(self) -> str:
        """Return who publishes the same as well, for people; empty if nobody is known to."""
        doubles = () if self.windows is None else self.windows.doubles()
        old = (_OLD,) if self._old_versions.are_here else ()
        return "; ".join((*doubles[:_MOST_NAMED], *old))

    def open(self) -> None:
        """Begin to ask who leads."""
        self.leader.start()

    def close(self) -> None:
        """Let another lead; call it when all is sent."""
        if self.windows is not None:
            self.windows.close()
        self.leader.close()
        if self._sender is not None:
            self._sender.close()

    def _on_role(self, before: Role, role: Role) -> None:
        if self.windows is not None:
            self.windows.on_role(before, role)
        self._wake()

    def _speak(self) -> None:
        if self._old_versions.are_here and not self._is_old_told:
            self._is_old_told = True
            log.warning(
                "a monitor of an older version runs, which asks for no lock: unless it publishes "
                "another namespace or other dimensions, everything counts twice; stop it",
                extra={"notice": "second-monitor"},
            )
        if self.windows is not None:
            self.windows.speak()

    def _has_others(self) -> bool:
        return self.windows is not None and bool(self.windows.peers())
