"""Sink names: what the setting `sink` may be: a built-in sink, or one that a package brings.

A package brings one through an entry point in the group ``event_monitor.sinks``:

    [project.entry-points."event_monitor.sinks"]
    statsd = "shop.monitoring:StatsdSink"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .did_you_mean import did_you_mean
from .parsers import NotAllowedError, Parser

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILT_IN_SINKS", "ENTRY_POINTS", "SINK", "plug_ins"]

BUILT_IN_SINKS = ("cloudwatch", "console", "emf")
ENTRY_POINTS = "event_monitor.sinks"


def plug_ins() -> dict[str, EntryPoint]:
    """Return the sinks of installed packages, by name. Reads the metadata of all of them.

    So it is called only for a name that is not built in: it takes longer than the whole import of
    this package. A built-in name cannot be taken over.
    """
    from importlib.metadata import entry_points

    return {
        found.name: found
        for found in entry_points(group=ENTRY_POINTS)
        if found.name not in BUILT_IN_SINKS
    }


def _sink(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    if raw in BUILT_IN_SINKS:
        return raw
    installed = sorted(plug_ins())
    if raw not in installed:
        those = f"installed are {', '.join(installed)}" if installed else "none is installed"
        raise NotAllowedError(f"{those}{did_you_mean(raw, (*BUILT_IN_SINKS, *installed))}")
    return raw


SINK = Parser(
    "NAME",
    "`cloudwatch`, `console`, `emf` or the sink of an installed package",
    _sink,
)
