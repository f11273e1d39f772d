"""Choices: what a person decides about alarms and scaling, beyond the settings. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from ..errors import SettingsError
from ..settings import did_you_mean

__all__ = ["Choices", "QueueEntry", "TaskEntry", "queue_entry", "task_entry"]

# Safe in alarm rules, names of dashboards and resources of every kind.
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:\d*:\S+")
_MOST_ACTIONS = 5  # per state of an alarm; PutMetricAlarm's own limit


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A queue with alarms of its own: messages, and seconds the oldest waits. None: no alarm."""

    name: str
    max_length: float | None = None
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task with alarms of its own: p95 of the runtime in seconds, percent that fail."""

    name: str
    p95: float | None = None
    failures: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Thresholds, names and topics. A threshold of 0 leaves its alarm out.

    ``SettingsError`` for what cannot be a name or an ARN.
    """

    prefix: str = "celery"
    topics: tuple[str, ...] = ()  # ARNs every alarm tells
    pages: tuple[str, ...] = ()  # ARNs the composite alarm tells
    queues: tuple[QueueEntry, ...] = ()
    tasks: tuple[TaskEntry, ...] = ()
    workers_at_least: int = 1
    max_failures: float = 5.0  # percent
    max_retries: float = 25.0  # percent
    min_tasks: int = 20  # per period; with fewer, percentages mean nothing
    max_age: float = 600.0  # seconds
    max_length: float = 10_000.0
    max_reserved: float = 1_000.0
    max_memory: float = 1_024.0  # MiB
    sqs_queues: tuple[str, ...] = ()  # ARNs the monitor may read the depth of
    # scaling
    scale_by: str = "target"
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
        for flag, arns in (
            ("--topic", self.topics),
            ("--page", self.pages),
            ("--sqs-queue", self.sqs_queues),
        ):
            if len(arns) > _MOST_ACTIONS and flag != "--sqs-queue":
                raise SettingsError(f"{flag} is given {len(arns)} times; an alarm takes five.")
            for arn in arns:
                if not _ARN.fullmatch(arn):
                    raise SettingsError(
                        f"{flag} is {arn!r}; it must be an ARN such as "
                        "arn:aws:sns:eu-west-1:123456789012:alerts."
                    )
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise SettingsError(f"--{one.name.replace('_', '-')} is {value}; say a number.")
        if self.workers_from > self.workers_to:
            raise SettingsError(
                f"--workers-from is {self.workers_from} and --workers-to {self.workers_to}; "
                "the first must not be the higher one."
            )
        if not 0 < self.backlog < math.inf:
            raise SettingsError(f"--backlog is {self.backlog:g}; it must be more than 0.")
        _once("--queue", [one.name for one in self.queues])
        _once("--task", [one.name for one in self.tasks])


def queue_entry(text: str) -> QueueEntry:
    """``NAME`` or ``NAME:max_length=1000,max_age=60``; ``SettingsError`` if it is neither."""
    name, limits = _entry("--queue", text, ("max_length", "max_age"))
    return QueueEntry(name, **limits)


def task_entry(text: str) -> TaskEntry:
    """``NAME:p95=30,failures=10``; ``SettingsError`` if it is not."""
    name, limits = _entry("--task", text, ("p95", "failures"))
    if not limits:
        raise SettingsError(f"--task is {text!r}; say what to watch: {name}:p95=SECONDS.")
    return TaskEntry(name, **limits)


def _entry(flag: str, text: str, keys: tuple[str, ...]) -> tuple[str, dict[str, float]]:
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


def _once(flag: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{flag} {name} is given twice; join its limits with commas.")
