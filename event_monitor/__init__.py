"""event_monitor: Celery events in, CloudWatch metrics out.

Nothing slow is imported until a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera
    from .cloudwatch_cam import CloudWatchCam
    from .distribution import Distribution
    from .enqueued_at import stamp_tasks
    from .errors import EventMonitorError, SettingsError, UnavailableError
    from .metrics import Metric
    from .over_sqs.line import send_events_over_sqs
    from .settings import Settings
    from .sinks import Outcome, Sink, SinkFinding
    from .snapshot import Snapshot
    from .state import State

__all__ = [
    "Camera",
    "CloudWatchCam",
    "Distribution",
    "EventMonitorError",
    "Metric",
    "Outcome",
    "Settings",
    "SettingsError",
    "Sink",
    "SinkFinding",
    "Snapshot",
    "State",
    "UnavailableError",
    "__version__",
    "send_events_over_sqs",
    "stamp_tasks",
]

__version__ = "0.1.0"

_HOMES = {
    "Camera": "camera",
    "CloudWatchCam": "cloudwatch_cam",
    "Distribution": "distribution",
    "EventMonitorError": "errors",
    "Metric": "metrics",
    "Outcome": "sinks",
    "Settings": "settings",
    "SettingsError": "errors",
    "Sink": "sinks",
    "SinkFinding": "sinks",
    "Snapshot": "snapshot",
    "State": "state",
    "UnavailableError": "errors",
    "send_events_over_sqs": "over_sqs.line",
    "stamp_tasks": "enqueued_at",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
