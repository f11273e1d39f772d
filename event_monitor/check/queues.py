"""Queues: whether the broker tells how much waits in each."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..probes.prober import MakeQueueProbe
from ..probes.queues import queue_names, queue_probe_to
from ..settings import Settings
from ..text import one_line
from .finding import Finding, listed
from .rights import Needs, missing_right

__all__ = ["examine_queues"]

_MISSING = "Missing then: QueueLength and every other metric of queues."


def examine_queues(
    app: CeleryApp,
    settings: Settings,
    needs: Needs,
    *,
    consumed: Collection[str] = (),
    make_queue_probe: MakeQueueProbe = queue_probe_to,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Finding]:
    """Read all queues once as the monitor will; ``consumed`` are those that workers read."""
    if not settings.probe_queues:
        return
    found = {*queue_names(app, settings), *consumed}
    names = tuple(sorted(filter(settings.only.has_queue, found)))
    probe = make_queue_probe(app, settings, clock=clock)
    try:
        depths = probe.read(names)
    except probe.gone as error:
        right = missing_right(error, needs.queues)
        problem = f"cannot be read: {right}" if right else one_line(error)
        yield Finding("queues", "warning", problem, _MISSING)
        return
    finally:
        probe.close()
    right = missing_right(probe.refusal, needs.queues) if probe.refusal is not None else None
    if right:
        yield Finding("queues", "warning", f"cannot be read: {right}", _MISSING)
    known = [depth for depth in depths if depth.ready is not None]
    unknown = [depth.name for depth in depths if depth.ready is None]
    if known:
        shown = listed([depth.name for depth in known])
        ready = sum(depth.ready or 0 for depth in known)
        yield Finding("queues", "ok", f"{len(known)} read, with {ready:,} messages ready: {shown}")
    ageless = [depth.name for depth in known if depth.ready and depth.oldest_seconds is None]
    if ageless and probe.age_hint:
        yield Finding(
            "queues",
            "note",
            f"nothing tells how old the messages in {listed(ageless)} are",
            f"For OldestMessageAge: {probe.age_hint}.",
        )
    if unknown and not right:
        yield Finding(
            "queues",
            "note",
            f"nothing is known of {listed(unknown)}",
            "It does not exist yet, or this user may not read it.",
        )
