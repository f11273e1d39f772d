"""Options: what a person decides about alarms and scaling, beyond the settings. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from ..errors import SettingsError
from ..settings import did_you_mean

__all__ = [
    "ProvisionOptions",
    "QueueLimits",
    "TaskLimits",
    "parse_queue_limits",
    "parse_task_limits",
]

# Safe in alarm rules, and in the names of dashboards and of every kind of resource.
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:\d*:\S+")
_MAX_ACTIONS = 5  # per state of an alarm; PutMetricAlarm's own limit


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits of one queue: messages, and seconds the oldest may wait. None: no such alarm."""

    name: str
    max_length: float | None = None
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of one task: p95 of its runtime in seconds, percent that fail. None: no such alarm."""

    name: str
    p95: float | None = None
    failures: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionOptions:
    """Thresholds, names and topics. A threshold of 0 leaves its alarm out.

    Raises ``SettingsError`` for what cannot be a name, an ARN or a number.
    """

    prefix: str = "celery"
    topics: tuple[str, ...] = ()  # ARNs that every alarm notifies
    pages: tuple[str, ...] = ()  # ARNs that the composite alarm notifies
    queues: tuple[QueueLimits, ...] = ()
    tasks: tuple[TaskLimits, ...] = ()
    workers_at_least: int = 1
    max_failures: float = 5.0  # percent
    max_retries: float = 25.0  # percent
    min_tasks: int = 20  # per period; with fewer, percentages mean nothing
    max_age: float = 600.0  # seconds
    max_length: float = 10_000.0  # messages
    max_reserved: float = 1_000.0  # tasks
    max_memory: float = 1_024.0  # MiB
    sqs_queues: tuple[str, ...] = ()  # ARNs of the queues whose depth the monitor may read
    # scaling
    scale_by: str = "target"  # or "step"
    scale_queue: str = ""  # empty: all queues together
    backlog: float = 10.0  # messages per pool process
    workers_from: int = 1
    workers_to: int = 10
    out_cooldown_seconds: int = 60
    in_cooldown_seconds: int = 300

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise SettingsError(
                f"--prefix is {self.prefix!r}; it must be 1 to 40 letters, digits, _ or -, "
                "and begin with a letter."
            )
        _check_actions("--topic", self.topics)
        _check_actions("--page", self.pages)
        _check_arns("--sqs-queue", self.sqs_queues)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise SettingsError(f"--{field.name.replace('_', '-')} is {value}; say a number.")
        if self.workers_from > self.workers_to:
            raise SettingsError(
                f"--workers-from is {self.workers_from} and --workers-to {self.workers_to}; "
                "the first must not be the higher one."
            )
        if self.backlog <= 0:
            raise SettingsError(f"--backlog is {self.backlog:g}; it must be more than 0.")
        _check_unique("--queue", [queue.name for queue in self.queues])
        _check_unique("--task", [task.name for task in self.tasks])


def parse_queue_limits(text: str) -> QueueLimits:
    """Parse ``NAME`` or ``NAME:max_length=1000,max_age=60``; else raise ``SettingsError``."""
    name, limits = _parse_limits("--queue", text, ("max_length", "max_age"))
    return QueueLimits(name, **limits)


def parse_task_limits(text: str) -> TaskLimits:
    """Parse ``NAME:p95=30,failures=10``; else raise ``SettingsError``."""
    name, limits = _parse_limits("--task", text, ("p95", "failures"))
    if not limits:
        raise SettingsError(f"--task is {text!r}; say what to watch: {name}:p95=SECONDS.")
    return TaskLimits(name, **limits)


def _parse_limits(flag: str, text: str, keys: tuple[str, ...]) -> tuple[str, dict[str, float]]:
    name, colon, rest = text.rpartition(":")
    if not colon or "=" not in rest:  # a name may have colons of its own
        name, rest = text, ""
    limits: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in keys:
            raise SettingsError(
                f"{flag} is {text!r}; after the name come {' and '.join(keys)}, "
                f"not {key!r}{did_you_mean(key, keys)}."
            )
        try:
            limits[key] = float(value)
        except ValueError:
            limits[key] = math.nan
        if not 0 < limits[key] < math.inf:
            raise SettingsError(f"{flag} is {text!r}; {key} must be a number above 0.")
    if not name.strip():
        raise SettingsError(f"{flag} is {text!r}; it must begin with a name.")
    return name, limits


def _check_actions(flag: str, arns: tuple[str, ...]) -> None:
    if len(arns) > _MAX_ACTIONS:
        raise SettingsError(f"{flag} is given {len(arns)} times; an alarm takes five.")
    _check_arns(flag, arns)


def _check_arns(flag: str, arns: tuple[str, ...]) -> None:
    for arn in arns:
        if not _ARN.fullmatch(arn):
            raise SettingsError(
                f"{flag} is {arn!r}; it must be an ARN such as "
                "arn:aws:sns:eu-west-1:123456789012:alerts."
            )


def _check_unique(flag: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{flag} {name} is given twice; join its limits with commas.")
