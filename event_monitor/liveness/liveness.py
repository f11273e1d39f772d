"""Liveness: a sign of life after every shot, and what another process reads of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..clock import SYSTEM_CLOCK, Clock
from .names import Identity, Sign, name_in
from .notes import (
    encoded,
    find_notes,
    owner_of,
    read_note,
    runtime_dir,
    visible_names,
    why_unbelieved,
    write_note,
)
from .sockets import NoteSocket, find_sockets, read_sockets

if TYPE_CHECKING:  # a health check should take no longer than Python's start
    from ..snapshot import PublisherActivity

__all__ = ["Liveness", "SignOfLife"]

_NAMED_BY: Mapping[Sign, str] = {
    "alive": "state_dir, broker, namespace and dimensions",
    "beat": "state_dir or broker",
    "worker": "broker and nodename",
}
_LONGEST_NAME = 1_000  # characters of who publishes the same
_LONGEST_SECONDS = 1e11  # three thousand years

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """The last sign of life, as old as it is now, and how often there should be one.

    ``sending_seconds``: how long one request had been under way then, None if there was none, and
    ``deadline_seconds``, how long one may take. ``accepted_seconds``: since metrics were accepted
    last; None if they never were. ``running_seconds``: since the publisher began.
    ``ahead_seconds``: how far in the future it was left, by our clock. ``role``: what the monitor
    is among those that would publish the same; empty if it did not say. ``second``: who publishes
    the same as well; empty if nobody is known to.
    """

    age_seconds: float
    interval_seconds: float
    sending_seconds: float | None = None
    deadline_seconds: float | None = None
    accepted_seconds: float | None = None
    running_seconds: float | None = None
    ahead_seconds: float = field(default=0.0, compare=False)
    role: str = ""
    second: str = ""

    @property
    def stands_by(self) -> bool:
        """Whether another monitor publishes."""
        return self.role == "standby"


class Liveness:
    """A sign of life, left with ``beat`` after every shot and read with ``last`` by any process.

    It is the file ``alive`` in ``state_dir``, or ``beat`` if it is that of Celery's beat; without
    one, a file in a directory of this user's own among the temporary files, named by ``identity``.
    Where no file can be written it is a socket, on Linux. ``temporary_dir`` is the system's unless
    given. For one thread at a time.
    """

    def __init__(
        self,
        state_dir: str = "",
        *,
        identity: Identity | None = None,
        sign: Sign = "alive",
        temporary_dir: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        name = sign if state_dir or identity is None else identity.name
        self._checked_by = "--monitor" if sign == "alive" else f"--{sign}"
        self.path = runtime_dir(state_dir, temporary_dir=temporary_dir) / name
        self._socket_name = name_in(state_dir, sign) if state_dir else name
        # Whose sockets are believed, as a glob; of a directory's monitor only its owner's.
        self._owners = owner_of(Path(state_dir)) if state_dir else visible_names()
        #: What a health check has to be given to find it.
        self.named_by = "state_dir" if state_dir else _NAMED_BY[sign]
        self._has_state_dir = bool(state_dir)
        self._temporary_dir = temporary_dir
        self._clock = clock
        self._socket: NoteSocket | None = None  # there once a file could not be written
        self._spoken: Sequence[Mapping[str, object]] | None = None  # on sockets, if read already
        self._inode: int | None = None  # of the file that we left
        self._failed = False

    @classmethod
    def find(cls, *identities: Identity, temporary_dir: Path | None = None) -> tuple[Liveness, ...]:
        """Return those without a ``state_dir`` that have left a sign and may be one of these.

        They are those of the first identity that finds any. Root finds those of every user. What
        they say on sockets is what they said now: all are asked at once.
        """
        names = {identity.name: f"{visible_names()}/{identity.name}" for identity in identities}
        sockets = {name: find_sockets(pattern) for name, pattern in names.items()}
        spoken = read_sockets({*chain(*sockets.values())}, clock=SYSTEM_CLOCK)
        for name, matches in sockets.items():
            paths = {
                (path.parent.name, path.name): path
                for path in find_notes(name, temporary_dir=temporary_dir)
            }
            for match in spoken.keys() & {*matches}:
                missing = runtime_dir("", temporary_dir=temporary_dir).with_name(match[0])
                paths.setdefault(match, missing / match[1])
            if paths:
                return tuple(
                    cls._found(path, spoken.get(match)) for match, path in sorted(paths.items())
                )
        return ()

    @classmethod
    def absent(cls, identity: Identity) -> Liveness:
        """Return the one of which ``find`` found nothing."""
        liveness = cls(identity=identity)
        liveness._spoken = []
        return liveness

    @classmethod
    def _found(cls, path: Path, note: Mapping[str, object] | None) -> Liveness:
        liveness = cls()
        liveness.path = path
        liveness._spoken = [] if note is None else [note]
        return liveness

    # -- the monitor's side ----------------------------------------------------------------------

    def beat(
        self,
        *,
        interval_seconds: float,
        publisher: PublisherActivity | None = None,
        role: str = "",
        second: str = "",
    ) -> None:
        """Leave a sign of life. Never raises: where none can be left is logged, once."""
        note: dict[str, object] = {
            "at": self._clock.wall(),
            "interval_seconds": interval_seconds,
        }
        if role:
            note["role"] = role
        if second:
            note["second"] = second
        if publisher is not None:
            note |= asdict(publisher)
        try:
            written = write_note(self.path, note, temporary_dir=self._temporary_dir)
        except OSError as error:
            self._show(note, error)
        else:
            self._inode, self._failed = written.st_ino, False
            if self._socket is not None:
                self._socket.show(encoded(note))

    def close(self) -> None:
        """Take the sign away: who stopped as asked is not alive."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:  # and not the next monitor's already
                self.path.unlink()

    def _show(self, note: Mapping[str, object], error: OSError) -> None:
        """Answer with the note on a socket, since it cannot be written."""
        problem = None
        try:
            self._socket = self._socket or NoteSocket(self._socket_name)
            self._socket.show(encoded(note))
        except OSError as refusal:
            problem = refusal
        if self._failed:
            return
        self._failed = True
        if problem is not None:
            log.warning(
                "no sign of life for `healthcheck %s`: %s; nor by a socket: %s",
                self._checked_by,
                error,
                problem,
            )
        else:
            log.log(
                logging.WARNING if self._has_state_dir else logging.INFO,
                "the sign of life cannot be written: %s; `healthcheck %s` finds it on a socket",
                error,
                self._checked_by,
            )

    # -- the health check's side -----------------------------------------------------------------

    def last(self, *, now: float) -> SignOfLife | None:
        """Return the last sign of life, as old as it is at ``now``, wall-clock seconds.

        None if there is none that can be believed.
        """
        notes = [read_note(self.path), *self._notes_spoken()]
        signs = [sign for note in notes if (sign := _sign_of(note, now=now)) is not None]
        return min(signs, key=lambda sign: sign.age_seconds, default=None)

    def _notes_spoken(self) -> Iterable[Mapping[str, object]]:
        """Return what is said on sockets."""
        if self._spoken is not None:
            return self._spoken
        found = find_sockets(f"{self._owners}/{self._socket_name}")
        return read_sockets(found, clock=self._clock).values()

    def why_unbelieved(self) -> str | None:
        """Return why a sign that is there is not believed; None if none is there."""
        return why_unbelieved(self.path)


def _is_time(value: float) -> bool:
    """Return whether it may be a time in seconds: a forged note may hold NaN, or no end of it."""
    return abs(value) <= _LONGEST_SECONDS


def _sign_of(note: Mapping[str, object], *, now: float) -> SignOfLife | None:
    numbers = {
        key: float(value)
        for key, value in note.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_time(value)
    }
    at, interval = numbers.get("at"), numbers.get("interval_seconds")
    if at is None or interval is None:
        return None
    accepted_at, started_at = numbers.get("accepted_at"), numbers.get("started_at")
    second = note.get("second")
    return SignOfLife(
        max(0.0, now - at),
        interval,
        sending_seconds=numbers.get("sending_seconds"),
        deadline_seconds=numbers.get("deadline_seconds"),
        accepted_seconds=None if accepted_at is None else max(0.0, now - accepted_at),
        running_seconds=None if started_at is None else max(0.0, now - started_at),
        ahead_seconds=max(0.0, at - now),
        role="standby" if note.get("role") == "standby" else "",
        second=second[:_LONGEST_NAME] if isinstance(second, str) else "",
    )
