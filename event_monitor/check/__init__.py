"""Check: proves, one finding after the other, that the monitor could work here, before it runs."""

from __future__ import annotations

from collections.abc import Iterator

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from .abandoned_queues import examine_abandoned_queues
from .broker import examine_broker
from .durable_queue import examine_durable_queue
from .finding import Finding, Status
from .publishing import examine_publishing
from .report import json_report, paragraph, passed, summary
from .second_monitor import examine_second_monitor

__all__ = ["Finding", "Status", "check", "json_report", "paragraph", "passed", "summary"]


def check(
    app: CeleryApp,
    settings: Settings,
    *,
    listen_seconds: float = 5.0,
    has_configuration: bool = True,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Finding]:
    """Examine broker, events, workers, then CloudWatch; yield each finding as it is made.

    ``has_configuration``: whether the app has the settings of those who use it, or only a broker.

    Changes nothing, but for some traces: a lock that is given back, one custom event on the broker,
    one datum named ``MonitorCheck`` in the namespace, and, only if the settings say
    ``enable_events``, workers that send task events from now on. A durable queue that was not there
    is made and deleted.
    """
    broker_works = True
    for finding in examine_broker(
        app,
        settings,
        listen_seconds=listen_seconds,
        has_configuration=has_configuration,
        clock=clock,
    ):
        if finding.name == "broker" and finding.status == "failed":
            broker_works = False
        yield finding
    if broker_works:
        yield from examine_abandoned_queues(app, settings, clock=clock)
        durable_queue = examine_durable_queue(app, settings, clock=clock)
        if durable_queue is not None:
            yield durable_queue
        yield from examine_second_monitor(app, settings, clock=clock)
    yield from examine_publishing(settings)
