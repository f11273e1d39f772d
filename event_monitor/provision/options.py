"""Options: what a person decides about alarms and scaling, beyond the settings. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from ..errors import SettingsError
from ..moments import parse_seconds
from ..settings import ENV_PREFIX, did_you_mean
from .quantities import TooMany, parse_too_many

__all__ = [
    "ProvisionOptions",
    "QueueLimits",
    "TaskLimits",
    "parse_environment",
    "parse_queue_limits",
    "parse_scale",
    "parse_secret",
    "parse_task_limits",
    "prefix_of",
]

# Safe in alarm rules, and in the names of dashboards and of every kind of resource.
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_PREFIX_OF_CELERY = "celery"
_NOT_IN_PREFIX = re.compile(r"[^a-z0-9_-]+")
_LONGEST_PREFIX = 40  # characters
_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:\d*:\S+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,255}")  # as ECS allows
_EVENT_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,69}")  # the lease queue's name is 11 longer
_MAX_URL_CHARACTERS = 200  # a description has room for it
_MAX_ACTIONS = 5  # per state of an alarm; PutMetricAlarm's own limit


_A_HUNDREDTH, _FIVE_PERCENT, _A_QUARTER = TooMany(1.0), TooMany(5.0), TooMany(25.0)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits of one queue: messages, seconds the oldest may wait, workers that must read it.

    None: no such alarm.
    """

    name: str
    max_length: float | None = None
    max_age: float | None = None
    workers: float | None = None


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of one task. None: no such alarm.

    ``p95`` of its runtime and how long it may be ``running`` are in seconds.
    """

    name: str
    p95: float | None = None
    failures: TooMany | None = None
    retries: TooMany | None = None
    running: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionOptions:
    """Thresholds, names and topics. A threshold of 0 leaves its alarm out.

    Raises ``SettingsError`` for what cannot be a name, an ARN or a number.
    """

    prefix: str = _PREFIX_OF_CELERY
    topics: tuple[str, ...] = ()  # ARNs that every alarm notifies
    pages: tuple[str, ...] = ()  # ARNs that those notify, too, which mean that work stops
    app: str = ""  # as in `celery -A`: for the commands that the alarms' descriptions name
    has_schedules: bool | None = None  # whether periodic tasks are expected; None: not known
    page_url: str = ""  # where to look, for the same
    queues: tuple[QueueLimits, ...] = ()
    tasks: tuple[TaskLimits, ...] = ()
    workers_at_least: int = 1
    max_failures: TooMany = _FIVE_PERCENT
    max_retries: TooMany = _A_QUARTER
    max_exhausted: TooMany = _A_HUNDREDTH
    min_failures: int = 2  # or retries, per period; with fewer, percentages mean nothing
    max_age: float = 600.0  # seconds
    max_length: float = 10_000.0  # messages
    max_running: float = 3_600.0  # seconds
    max_spool_age: float = 900.0  # seconds
    max_reserved: float = 1_000.0  # tasks
    max_utilization: float = 100.0  # percent
    max_memory: float = 4_096.0  # MiB of one worker with its pool, where workers tell it
    event_queue: str = ""  # SQS queue of send_events_over_sqs; empty: workers do not call that
    sqs_queues: tuple[str, ...] = ()  # ARNs of the queues whose depth the monitor may read
    environment: tuple[tuple[str, str], ...] = ()  # variables of the app: name and value
    secrets: tuple[tuple[str, str], ...] = ()  # the same, with the ARN of the secret it comes from
    # scaling
    scale_by: str = "target"  # or "step"
    scale_queue: str = ""  # empty: all queues together
    services: tuple[tuple[str, str], ...] = ()  # of each queue, the ECS service of its workers
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
        _check_arns("--topic", self.topics)
        _check_arns("--page", self.pages)
        if len({*self.topics, *self.pages}) > _MAX_ACTIONS:
            raise SettingsError("--topic and --page name more than five ARNs; an alarm takes five.")
        if self.page_url and not _is_url(self.page_url):
            raise SettingsError(
                f"--page-url is {self.page_url!r}; it must be a URL such as "
                "https://monitor.example.com/ without a password."
            )
        _check_arns("--sqs-queue", self.sqs_queues)
        if self.event_queue and not _EVENT_QUEUE.fullmatch(self.event_queue):
            raise SettingsError(
                f"--event-queue is {self.event_queue!r}; it must be the name of a standard SQS "
                "queue: 1 to 69 letters, digits, - or _."
            )
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
        if self.services and self.scale_queue:
            raise SettingsError("--scale and --scale-queue exclude each other.")
        _check_variables(self.environment, self.secrets)
        _check_services(self.services)
        _check_unique("--queue", [queue.name for queue in self.queues])
        _check_unique("--task", [task.name for task in self.tasks])


def prefix_of(namespace: str) -> str:
    """Return the prefix of what belongs to a namespace: two services of an account then differ."""
    words = _NOT_IN_PREFIX.sub("-", namespace.lower()).lstrip("-_0123456789")
    return words[:_LONGEST_PREFIX].rstrip("-") or _PREFIX_OF_CELERY


def parse_queue_limits(text: str) -> QueueLimits:
    """Parse ``NAME`` or ``NAME:max_length=1000,max_age=5m,workers=2``; else ``SettingsError``."""
    name, limits = _parse_limits(
        "--queue", text, {"max_length": _number, "max_age": _seconds, "workers": _number}
    )
    return QueueLimits(name, **limits)


def parse_task_limits(text: str) -> TaskLimits:
    """Parse ``NAME:p95=30,failures=3/15m,retries=50,running=1h``; else ``SettingsError``."""
    name, limits = _parse_limits(
        "--task",
        text,
        {"p95": _seconds, "failures": _too_many, "retries": _too_many, "running": _seconds},
    )
    if not limits:
        raise SettingsError(f"--task is {text!r}; say what to watch: {name}:p95=SECONDS.")
    return TaskLimits(name, **limits)


def parse_scale(text: str) -> tuple[str, str]:
    """Parse ``QUEUE=SERVICE``; else raise ``SettingsError``."""
    queue, _, service = text.rpartition("=")  # a queue's name may have equals signs of its own
    if not queue.strip() or not _SERVICE.fullmatch(service):
        raise SettingsError(
            f"--scale is {text!r}; it must be QUEUE=SERVICE, the service as ECS names it: letters, "
            "digits, _ and -."
        )
    return queue, service


def parse_environment(text: str) -> tuple[str, str]:
    """Parse ``NAME=VALUE``; else raise ``SettingsError``."""
    return _parse_variable("--environment", text, "VALUE")


def parse_secret(text: str) -> tuple[str, str]:
    """Parse ``NAME=ARN``; else raise ``SettingsError``."""
    name, arn = _parse_variable("--secret", text, "ARN")
    if not _ARN.fullmatch(arn):
        raise SettingsError(
            f"--secret {name} is {arn!r}; it must be an ARN such as "
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop."
        )
    return name, arn


def _parse_variable(flag: str, text: str, kind: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise SettingsError(
            f"{flag} begins with {name!r}; it must be NAME={kind}, the name of letters, digits "
            "and _."
        )
    if name.startswith(ENV_PREFIX):
        raise SettingsError(
            f"{flag} {name}: the monitor's own settings are flags of this command, or inputs of "
            "what it writes."
        )
    return name, value


def _parse_limits(
    flag: str, text: str, parsers: Mapping[str, Callable[[str, str], Any]]
) -> tuple[str, dict[str, Any]]:
    name, colon, rest = text.rpartition(":")
    if not colon or "=" not in rest:  # a name may have colons of its own
        name, rest = text, ""
    limits: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in parsers:
            *others, last = parsers
            raise SettingsError(
                f"{flag} is {text!r}; after the name come {', '.join(others)} and {last}, "
                f"not {key!r}{did_you_mean(key, tuple(parsers))}."
            )
        limits[key] = parsers[key](f"{key} of {flag} {text!r}", value)
    if not name.strip():
        raise SettingsError(f"{flag} is {text!r}; it must begin with a name.")
    return name, limits


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise SettingsError(f"{what} is {text!r}; it must be a number above 0.")
    return value


def _seconds(what: str, text: str) -> float:
    value = parse_seconds(text)
    if not value:
        raise SettingsError(f"{what} is {text!r}; say a time above 0 such as 90, 5m or 1h.")
    return value


def _too_many(what: str, text: str) -> TooMany:
    value = parse_too_many(what, text)
    if not value.number:
        raise SettingsError(f"{what} is {text!r}; it must be above 0.")
    return value


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_short = len(text) <= _MAX_URL_CHARACTERS and not re.search(r"\s", text)
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and (is_short and "@" not in parts.netloc)
    )


def _check_arns(flag: str, arns: tuple[str, ...]) -> None:
    for arn in arns:
        if not _ARN.fullmatch(arn):
            raise SettingsError(
                f"{flag} is {arn!r}; it must be an ARN such as "
                "arn:aws:sns:eu-west-1:123456789012:alerts."
            )


def _check_variables(
    environment: tuple[tuple[str, str], ...], secrets: tuple[tuple[str, str], ...]
) -> None:
    """ECS refuses a container that has a variable twice."""
    _check_unique("--environment", [name for name, _ in environment], remedy="say which one")
    _check_unique("--secret", [name for name, _ in secrets], remedy="say which one")
    for name, _ in secrets:
        if name in dict(environment):
            raise SettingsError(f"--environment and --secret both give {name}; say which one.")


def _check_services(services: tuple[tuple[str, str], ...]) -> None:
    _check_unique("--scale", [queue for queue, _ in services], remedy="one service reads it")
    of_service: dict[str, str] = {}
    for queue, service in services:
        other = of_service.setdefault(service, queue)
        if other != queue:
            raise SettingsError(
                f"--scale gives the service {service} to {other} and {queue}: scale it by one "
                "queue, or the idle one would stop workers that the other needs."
            )


def _check_unique(
    flag: str, names: list[str], *, remedy: str = "join its limits with commas"
) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{flag} {name} is given twice; {remedy}.")
