"""Check: proves, one finding after the other, that the monitor could work here, before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..settings import Settings
from .abandoned_queues import examine_orphans
from .broker import examine_broker
from .finding import Finding, Status
from .publishing import examine_publishing
from .report import json_report, paragraph, passed, summary

__all__ = ["Finding", "Status", "check", "json_report", "paragraph", "passed", "summary"]


def check(app: Any, settings: Settings, *, listen_seconds: float = 5.0) -> Iterator[Finding]:
    """Examine broker, events, workers, then CloudWatch; yields each finding as it is made.

    ``app`` is the Celery app. Changes nothing, but for three traces: one custom event on the
    broker, one datum named ``MonitorCheck`` in the namespace, and, only if the settings say
    ``enable_events``, workers that send task events from now on.
    """
    broker = list[Finding]()
    for finding in examine_broker(app, settings, listen_seconds=listen_seconds):
        broker.append(finding)
        yield finding
    if all(finding.status != "failed" for finding in broker if finding.name == "broker"):
        yield from examine_orphans(app, settings)
    yield from examine_publishing(settings)
