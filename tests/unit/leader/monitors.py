"""Monitors: several of them on one stream of events, in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from event_monitor.events import OWN_EVENT, OwnEvent, Past
from event_monitor.leader import Leader, Windows
from event_monitor.leader.open_window import Label
from event_monitor.leader.windows import FindDead
from event_monitor.testing import FakeClock

SAME = "a.lock"


@dataclass
class Broker:
    """Who has the lease; or why nobody can be asked."""

    holder: object = None
    error: Exception | None = None


@dataclass(eq=False)
class FakeLease:
    """A lease of a broker in memory."""

    broker: Broker
    name: str = "a.lock"
    renew_seconds: float = 3.0
    safe_seconds: float = 6.0
    grace_seconds: float = 0.0
    released: int = field(default=0)

    def acquire(self) -> bool:
        if self.broker.error is not None:
            raise self.broker.error
        if self.broker.holder is None:
            self.broker.holder = self
        return self.broker.holder is self

    def renew(self) -> bool:
        if self.broker.error is not None:
            raise self.broker.error
        return self.broker.holder is self

    def holder(self) -> str:
        return "somebody"

    def release(self) -> None:
        self.released += 1
        if self.broker.holder is self:
            self.broker.holder = None


class Stream:
    """An event exchange: whoever is connected gets all that is sent, in one order."""

    def __init__(self, broker: Broker, clock: FakeClock) -> None:
        self.broker, self.clock = broker, clock
        self.monitors: list[Monitor] = []
        self.error: OSError | None = None
        self.log: list[str] = []  # what was sent
        self.now = self.send_now  # instead of which a test may do something else

    def send(self, **fields: object) -> None:
        self.now(**fields)

    def send_now(self, **fields: object) -> None:
        if self.error is not None:
            raise self.error
        self.log.append(str(fields["what"]))
        event = OwnEvent(type=OWN_EVENT, **fields)  # type: ignore[arg-type]
        for monitor in self.monitors:
            monitor.waiting.append(event)

    def refuse(self, **_: object) -> None:
        """Send nothing."""
        raise ConnectionError("not allowed")

    def deliver(self) -> None:
        """Let everybody read what was sent, and answer."""
        running = [monitor for monitor in self.monitors if not monitor.is_stopped]
        while any(monitor.waiting for monitor in running):
            for monitor in running:
                monitor.read()
            for monitor in running:
                monitor.windows.speak()


class Monitor:
    """One monitor on the stream; ``labels`` are those of its windows, in their order."""

    def __init__(
        self,
        stream: Stream,
        name: str,
        *,
        monitors: str = SAME,
        leased: bool = True,
        interval: float = 60.0,
        find_dead: FindDead = lambda *, with_past: (),  # noqa: ARG005
        past: Callable[[], Past] = Past,
        note_past: Callable[[Past], None] = lambda _past: None,
    ) -> None:
        self.labels: list[Label] = []
        self.settled: list[str] = []
        self.waiting: list[OwnEvent] = []
        self.is_stopped = False  # then what is sent waits for it
        self._stream = stream
        self.leader = Leader(
            FakeLease(stream.broker) if leased else None,
            on_change=lambda before, role: self.windows.on_role(before, role),
            clock=stream.clock,
        )
        self.windows = Windows(
            self.leader,
            monitors=monitors,
            me=name,
            who=f"process of {name}",
            send=stream.send,
            settle=self.settled.append,
            find_dead=find_dead,
            past=past,
            note_past=note_past,
            interval_seconds=lambda: interval,
            clock=stream.clock,
        )
        stream.monitors.append(self)

    def end(self, cut: str = "") -> None:
        """End the window."""
        self.labels.append(self.windows.turn(cut))

    def look(self) -> None:
        """Ask for the lease, as the leader's thread does, and again if it is to be hurried."""
        for _ in range(2):
            self.leader.look()
            self.windows.speak()

    def cut_off(self) -> None:
        """Lose the connection: what is sent meanwhile does not come."""
        self.windows.on_connection(False)
        self._stream.monitors.remove(self)

    def connect(self) -> None:
        if self not in self._stream.monitors:
            self._stream.monitors.append(self)
        if self.windows.on_connection(True):
            self.end()
        self.leader.look()
        self.windows.speak()
        self._stream.deliver()

    def read(self) -> None:
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            if self.windows.on_own(event):
                self.end(event.window)

    def boundary(self) -> str:
        """The interval is over."""
        how = self.windows.at_boundary()
        if how == "clock":
            self.end()
        self._stream.deliver()
        return how

    def send(self, window: str) -> str:
        """Send a window, or not; return how it was admitted.

        Who has just taken over says so, and hears it.
        """
        self.windows.speak()
        self.read()
        if not self.windows.leads():
            return "not"
        admitted = self.windows.admit(window)
        if admitted == "send":
            assert self.windows.begin(window)
            self.windows.end(window, accepted=True)
            self._stream.deliver()
        return admitted

    def die(self) -> None:
        self._stream.monitors.remove(self)
        self._stream.broker.holder = None


Start = Callable[[str], Monitor]
