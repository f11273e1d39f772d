"""Publishing: whether the configured sink could take metrics. The sink itself knows how to ask."""

from __future__ import annotations

from collections.abc import Iterator

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import EventMonitorError
from ..settings import Settings
from ..sinks import SinkFinding, SinkUnavailableError
from ..sinks.registry import make_sink
from ..text import one_line
from .finding import Finding

__all__ = ["examine_publishing"]


def examine_publishing(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[Finding]:
    """Yield what the sink finds out about its destination; what it leaves there, it names."""
    try:
        sink = make_sink(settings, clock=clock)
    except SinkUnavailableError as error:
        yield _finding(error.finding)
        return
    except EventMonitorError as error:
        yield Finding(settings.sink, "failed", one_line(error))
        return
    try:
        for found in sink.check():
            yield _finding(found)
    except Exception as error:  # noqa: BLE001  a sink may be anybody's; the check has to go on
        yield Finding(settings.sink, "failed", f"its check failed: {one_line(error)}")
    finally:
        sink.close()


def _finding(found: SinkFinding) -> Finding:
    return Finding(found.name, found.status, found.message, found.remedy)
