"""Heard workers: what a monitor over SQS leaves of its workers for ``status``, which asks none.

It is the file ``roster`` in ``state_dir``; without one, beside the sign of life.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ..clock import SYSTEM_CLOCK, Clock
from ..liveness import Identity, find_notes, read_note, runtime_dir, write_note
from ..snapshot import BrokerLink, Snapshot
from ..survey import WorkerAnswer

__all__ = ["HeardWorkers", "heard_workers"]

log = logging.getLogger(__name__)

_MOST_BYTES = 4_000_000
_MOST_WORKERS = 10_000  # of more, nothing is left: a part would be taken for all
_MISSED_SHOTS, _SHORTEST_SECONDS = 3, 10.0  # as for the sign of life
_NUMBERS = ("active", "reserved", "scheduled", "revoked", "pool_processes", "memory_bytes")


class HeardWorkers:
    """Leaves the workers of each snapshot in which they are known; a ``SnapshotConsumer``."""

    def __init__(
        self,
        state_dir: str,
        *,
        identity: Identity,
        temporary_dir: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        name = "roster" if state_dir else replace(identity, sign="roster").name
        self._path = runtime_dir(state_dir, temporary_dir=temporary_dir) / name
        self._temporary_dir = temporary_dir
        self._clock = clock
        self._failed = False

    def __call__(self, snapshot: Snapshot) -> None:
        """Replace what is there. A disk that fails costs a status, never a shot."""
        online, window = snapshot.online, snapshot.window
        is_known = snapshot.knows_workers and snapshot.link is BrokerLink.LISTENING
        if not is_known or len(online) > _MOST_WORKERS:
            return
        answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
        note: dict[str, object] = {
            "at": self._clock.wall(),
            "interval_seconds": window.closed_at - window.opened_at,
            "workers": [
                _document(answers.get(w.hostname) or WorkerAnswer(w.hostname, active=w.active))
                | {"processed": w.processed}
                for w in online
            ],
        }
        try:
            write_note(self._path, note, temporary_dir=self._temporary_dir)
        except OSError as error:
            if not self._failed:
                log.info("`event-monitor status` will not know the workers: %s", error)
            self._failed = True
        else:
            self._failed = False


def heard_workers(
    state_dir: str, identity: Identity, *, now: float, temporary_dir: Path | None = None
) -> tuple[WorkerAnswer, ...] | None:
    """Return the workers that a monitor beside us hears, as of its last shot.

    None if none has left them lately, or more than one may be meant. ``now`` is wall-clock seconds.
    """
    paths: Iterable[Path] = (Path(state_dir, "roster"),)
    if not state_dir:
        name = replace(identity, sign="roster").name
        paths = find_notes(name, temporary_dir=temporary_dir)
    notes = (read_note(path, most_bytes=_MOST_BYTES) for path in paths)
    try:
        found = [tuple(_answers(note)) for note in notes if _is_fresh(note, now=now)]
    except (KeyError, TypeError):  # another version left it
        return None
    return found[0] if len(found) == 1 else None


def _is_fresh(note: Mapping[str, object], *, now: float) -> bool:
    at, interval = note.get("at"), note.get("interval_seconds")
    if not (isinstance(at, float) and isinstance(interval, (int, float))):
        return False
    return abs(now - at) < max(_MISSED_SHOTS * interval, _SHORTEST_SECONDS)


def _document(answer: WorkerAnswer) -> dict[str, object]:
    facts = asdict(answer)
    return {key: facts[key] for key in ("hostname", "queues", *_NUMBERS)}


def _answers(note: Mapping[str, object]) -> Iterator[WorkerAnswer]:
    workers = note.get("workers")
    for facts in workers if isinstance(workers, list) else ():
        hostname, queues = facts["hostname"], facts["queues"]
        processed = facts.get("processed")
        yield WorkerAnswer(
            str(hostname),
            queues=None if queues is None else tuple(map(str, queues)),
            processed=(("", processed),) if isinstance(processed, int) else (),  # of all tasks
            **{key: facts[key] for key in _NUMBERS if isinstance(facts[key], int)},
        )
