"""Settings: one frozen value, validated once. The only user of the environment.

Precedence: flags > ``EVENT_MONITOR_*`` > ``app.conf.event_monitor`` (a mapping) > defaults.
``--help``, the README's table and ``event-monitor settings`` are generated from the fields below.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..catalog import CATALOG
from ..errors import SettingsError
from .parsers import (
    DIMENSION_PAIRS,
    FILE,
    FLAG,
    GROUPS,
    LIMITS,
    NAMES,
    NAMESPACE,
    PATH,
    QUEUE,
    REGION,
    URL,
    Kind,
    NotAllowedError,
    choice,
    metric_names,
    number,
    suggest,
    text_of,
    whole,
)
from .sinks import SINK

__all__ = [
    "ENV_PREFIX",
    "Option",
    "Settings",
    "Source",
    "conf_of",
    "interval_of",
    "options",
    "use_broker",
]

log = logging.getLogger(__name__)

ENV_PREFIX = "EVENT_MONITOR_"
CLI_ONLY = frozenset({"APP", "BROKER", "LOG_LEVEL"})  # flags of the command line, not settings

Source = Literal["default", "app.conf", "environment", "flag"]

# Kubernetes sets these in every container for a service called event-monitor.
_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")

_WEEK = 7 * 86_400
_LONGEST_DURABLE_INTERVAL = 600  # seconds; RabbitMQ's consumer_timeout is 30 minutes


def _setting(default: Any, kind: Kind, help_text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a user can choose. Build it with ``Settings.load``; compare it with ``==``."""

    # what is published, and where
    namespace: str = _setting(
        "Celery",
        NAMESPACE,
        "CloudWatch namespace of every metric.",
    )
    dimensions: tuple[tuple[str, str], ...] = _setting(
        (),
        DIMENSION_PAIRS,
        "Static dimensions added to every metric, such as `Environment=prod`.",
    )
    interval: float = _setting(
        60.0, number(1, 3_600, "seconds"), "Seconds between two shots, aligned to the wall clock."
    )
    region: str = _setting(
        "", REGION, "AWS region; empty leaves it to boto3, then to the variable AWS_REGION."
    )
    high_resolution: bool = _setting(
        False, FLAG, "Store data by the second (CloudWatch keeps these for 3 hours only)."
    )
    sink: str = _setting(
        "cloudwatch",
        SINK,
        "Where metrics go; `--dry-run` is the console.",
    )
    emf_file: str = _setting(
        "",
        FILE,
        "File that the sink `emf` appends its lines to; empty means standard output.",
    )
    on_ambiguous_send: str = _setting(
        "retry",
        choice("retry", "drop"),
        "After a send that may have been applied: `retry` may count twice, `drop` may lose.",
    )
    # which series
    include_tasks: tuple[str, ...] = _setting(
        (), NAMES, "Globs of task names that get series of their own; empty means all."
    )
    exclude_tasks: tuple[str, ...] = _setting(
        (), NAMES, "Globs of task names without series of their own; totals still count them."
    )
    groups: tuple[tuple[str, tuple[str, ...]], ...] = _setting(
        (),
        GROUPS,
        "Task names published together as one TaskName, such as `billing=billing.*|invoice.*`.",
    )
    by_task: tuple[str, ...] = _setting(
        tuple(one.name for one in CATALOG if one.by_task),
        metric_names("TaskName"),
        "Metrics also published per TaskName.",
    )
    by_worker: tuple[str, ...] = _setting(
        (),
        metric_names("WorkerName"),
        "Metrics also published per WorkerName; each new hostname is a billed metric.",
    )
    by_queue: tuple[str, ...] = _setting(
        tuple(one.name for one in CATALOG if one.by_queue),
        metric_names("QueueName"),
        "Metrics also published per QueueName.",
    )
    by_exception: bool = _setting(False, FLAG, "Publish TasksFailed also per ExceptionType.")
    without: tuple[str, ...] = _setting((), metric_names(), "Metrics not published at all.")
    series_budget: int = _setting(
        1_200,
        whole(100, 100_000),
        "Most series published; task names beyond it are folded into `other`.",
    )
    idle_series_seconds: float = _setting(
        86_400.0,
        number(60, _WEEK, "seconds"),
        "How long a task name goes on being published as zeros after its last event.",
    )
    # memory
    max_tasks_in_flight: int = _setting(
        100_000, whole(100, 10_000_000), "Most unfinished tasks remembered, for names and times."
    )
    max_task_names: int = _setting(
        2_000, whole(10, 100_000), "Most task names told apart; the rest is counted as `other`."
    )
    max_workers: int = _setting(5_000, whole(10, 100_000), "Most workers remembered.")
    # workers
    worker_grace_seconds: float = _setting(
        60.0,
        number(1, 86_400, "seconds"),
        "Silence after which a worker is lost. Solo pools are silent while a task runs.",
    )
    worker_grace_beats: float = _setting(
        5.0,
        number(2, 1_000, "heartbeats"),
        "The same in the worker's own heartbeats; the longer of the two counts.",
    )
    worker_forget_seconds: float = _setting(
        3_600.0, number(60, _WEEK, "seconds"), "When a lost or offline worker is forgotten."
    )
    enable_events: bool = _setting(
        False, FLAG, "Turn task events on in workers that were started without -E."
    )
    worker_stalled_seconds: float = _setting(
        300.0,
        number(10, 86_400, "seconds"),
        "When a worker is stalled that beats but does nothing while work waits in its queues.",
    )
    # what is asked for, of broker and workers
    queues: tuple[str, ...] = _setting(
        (), NAMES, "Queues to watch besides those of the app and those that workers consume."
    )
    queue_length_limits: tuple[tuple[str, tuple[float, float]], ...] = _setting(
        (),
        LIMITS,
        "Lengths at which QueueStatus is 1 and 2, by glob of queue names, such as `*=100:1000`.",
    )
    queue_age_limits: tuple[tuple[str, tuple[float, float]], ...] = _setting(
        (), LIMITS, "The same for the age of the oldest message in seconds, such as `*=60:600`."
    )
    probe_queues: bool = _setting(
        True, FLAG, "Ask the broker for the depth and age of the queues once an interval."
    )
    probe_workers: bool = _setting(
        True, FLAG, "Ask the workers what they hold, and for their pools, once an interval."
    )
    probe_seconds: float = _setting(
        5.0, number(0.1, 60, "seconds"), "How long such a question may take."
    )
    # delivery
    durable_queue: str = _setting(
        "",
        QUEUE,
        "RabbitMQ: a queue of that name keeps events while no monitor runs. Needs `state_dir`.",
    )
    durable_prefetch: int = _setting(
        20_000, whole(100, 65_535), "Most messages of it that are not acknowledged yet."
    )
    durable_max_messages: int = _setting(
        1_000_000, whole(1_000, 1_000_000_000), "Most messages it keeps; the oldest go first."
    )
    durable_expire_seconds: float = _setting(
        _WEEK, number(60, 30 * 86_400, "seconds"), "When it is deleted, if nobody reads it."
    )
    management_url: str = _setting(
        "", URL, "RabbitMQ's management API, such as http://user:password@host:15672."
    )
    state_dir: str = _setting(
        "",
        PATH,
        "Directory of the spool of unsent metrics; empty keeps them in memory.",
    )
    spool_megabytes: int = _setting(
        256, whole(1, 100_000), "Most unsent data kept; beyond it the oldest is dropped."
    )
    drain_seconds: float = _setting(
        20.0, number(0, 600, "seconds"), "How long a stop waits for the last metrics to be sent."
    )

    @classmethod
    def load(
        cls,
        *,
        flags: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Merge the sources, validate once.

        ``flags`` holds only what was given; ``conf`` is ``conf_of(app)``; ``environ`` is the
        process's own unless given. Raises ``SettingsError`` naming key, value and what is allowed.
        """
        return cls.load_with_sources(flags=flags, environ=environ, conf=conf)[0]

    @classmethod
    def load_with_sources(
        cls,
        *,
        flags: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> tuple[Settings, dict[str, Source]]:
        """``load``, and where each setting came from."""
        chosen: dict[str, Any] = {}
        sources: dict[str, Source] = dict.fromkeys(_KINDS, "default")
        layers: tuple[tuple[Source, Iterator[tuple[str, Any]]], ...] = (
            ("environment", _region_from(os.environ if environ is None else environ)),
            ("app.conf", _from_conf({} if conf is None else conf)),
            ("environment", _from_environ(os.environ if environ is None else environ)),
            ("flag", _from_flags(flags or {})),
        )
        for source, layer in layers:
            for key, value in layer:
                chosen[key], sources[key] = value, source
        settings = cls(**chosen)
        _check_together(settings)
        return settings, sources


def _check_together(settings: Settings) -> None:
    """What no setting alone can say."""
    if settings.durable_queue and not settings.state_dir:
        raise SettingsError(
            f"durable_queue is {settings.durable_queue!r} but state_dir is not set; "
            "what was counted must be on disk before it is acknowledged: set both."
        )
    if settings.durable_queue and settings.interval > _LONGEST_DURABLE_INTERVAL:
        raise SettingsError(
            f"interval is {settings.interval:g} with a durable_queue; it must be at most "
            f"{_LONGEST_DURABLE_INTERVAL}, since RabbitMQ takes a consumer for dead that does not "
            "acknowledge for half an hour."
        )


def interval_of(raw: Any, *, where: str) -> float:
    """A frequency somebody chose elsewhere, as the setting ``interval``; ``SettingsError``."""
    return float(_parse("interval", raw, where=where))


def conf_of(app: Any) -> Mapping[str, Any]:
    """The settings a Celery app carries: ``app.conf.event_monitor``, or an empty mapping.

    With ``config_from_object(..., namespace="CELERY")``, as in Django, that is the variable
    ``CELERY_EVENT_MONITOR``; with a module of upper-case names it is ``EVENT_MONITOR``.
    """
    for key in ("event_monitor", "EVENT_MONITOR", "CELERY_EVENT_MONITOR"):
        found = app.conf.get(key)
        if found is not None:
            return found  # type: ignore[no-any-return]  # `load` refuses what is no mapping
    return {}


def use_broker(url: str) -> None:
    """Make every Celery app of this process use that broker, to read and to write.

    ``celery -b`` does it the same way. These variables win over any configuration.
    """
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ[variable] = url


@dataclass(frozen=True, slots=True)
class Option:
    """A setting as the command line and the documentation show it."""

    name: str
    flag: str
    environ: str
    placeholder: str
    allowed: str
    help: str
    default: Any

    @property
    def default_text(self) -> str:
        """The default as it would be written; empty when there is none."""
        return text_of(self.default)


def options() -> tuple[Option, ...]:
    """Every setting, in the order of the documentation."""
    return tuple(
        Option(
            name=one.name,
            flag="--" + one.name.replace("_", "-"),
            environ=ENV_PREFIX + one.name.upper(),
            placeholder=one.metadata["kind"].placeholder,
            allowed=one.metadata["kind"].allowed,
            help=one.metadata["help"],
            default=one.default,
        )
        for one in fields(Settings)
    )


_KINDS: dict[str, Kind] = {one.name: one.metadata["kind"] for one in fields(Settings)}


def _from_conf(conf: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if not isinstance(conf, Mapping):
        raise SettingsError(
            f"app.conf.event_monitor is {conf!r}; it must be a mapping of settings, "
            'such as {"namespace": "Celery"}.'
        )
    for key, raw in conf.items():
        if key not in _KINDS:
            raise SettingsError(
                f"app.conf.event_monitor has no setting {key!r}{suggest(str(key), _KINDS)}; "
                "`event-monitor settings` lists them."
            )
        yield key, _parse(key, raw, where=f"app.conf.event_monitor[{key!r}]")


def _region_from(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """boto3 reads AWS_DEFAULT_REGION only; ECS and the other SDKs set AWS_REGION."""
    if environ.get("AWS_REGION") and not environ.get("AWS_DEFAULT_REGION"):
        yield "region", _parse("region", environ["AWS_REGION"], where="AWS_REGION")


def _from_environ(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX):
            continue
        suffix, raw = variable[len(ENV_PREFIX) :], environ[variable].strip()
        if suffix.lower() in _KINDS and suffix.isupper():
            if raw:  # VARIABLE= in an env file or a template means: not set
                yield suffix.lower(), _parse(suffix.lower(), raw, where=variable)
        elif suffix not in CLI_ONLY and not _KUBERNETES.fullmatch(suffix):
            known = [ENV_PREFIX + name.upper() for name in _KINDS]
            log.warning("%s is no setting%s; ignored", variable, suggest(variable, known))


def _from_flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, raw in flags.items():
        if key not in _KINDS:
            raise SettingsError(f"there is no setting {key!r}{suggest(key, _KINDS)}.")
        yield key, _parse(key, raw, where="--" + key.replace("_", "-"))


def _parse(key: str, raw: Any, *, where: str) -> Any:
    try:
        return _KINDS[key].parse(raw)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        detail = f": {error}" if isinstance(error, NotAllowedError) else ""
        shown = "not shown, as it may hold a password" if _KINDS[key] is URL else repr(raw)
        raise SettingsError(
            f"{where} is {shown}; it must be {_KINDS[key].allowed}{detail}."
        ) from None
