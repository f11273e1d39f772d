"""Settings: one frozen value, validated once.

``--help``, the table in ``reference.md`` and ``event-monitor settings`` are generated from the
fields below.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar, cast

from ..catalog import CATALOG
from ..errors import SettingsError
from .list_parsers import (
    DIMENSION_PAIRS,
    GLOBS,
    GROUPS,
    LIMITS,
    LINKS,
    NAMES,
    PATTERNS,
    SCHEDULES,
    metric_names,
    words,
)
from .objectives import OBJECTIVES, Objective, objectives_of
from .only import Only
from .parsers import FILE, FLAG, NAMESPACE, PATH, QUEUE, REGION, URL, Parser, choice, number, whole
from .sinks import SINK
from .sources import Parsers, Source, parse, read
from .surroundings import check_surroundings
from .web import ADDRESS, AUTH, HOSTS, NETWORKS, PREFIX, check_web

__all__ = ["Settings", "interval_of"]

_DAY = 86_400.0
_WEEK = 7 * _DAY
_YEAR = 366 * _DAY
_SHORTEST_SURVEY_SECONDS = 5.0  # each costs every worker a reply: more often is not worth it
_LONGEST_DURABLE_INTERVAL = 600  # seconds; RabbitMQ's consumer_timeout is 30 minutes


Value = TypeVar("Value")


def _setting(default: Value, parser: Parser[Value], help_text: str) -> Value:
    """Return the dataclass field of a setting; typed as its value, as ``field`` itself is."""
    return field(default=default, metadata={"parser": parser, "help": help_text})


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
        60.0,
        number(1, 3_600, unit="seconds"),
        "Seconds between two shots, aligned to the wall clock.",
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
    console_zeros: bool = _setting(
        False, FLAG, "Whether the sink `console` prints the series whose value is 0, too."
    )
    on_ambiguous_send: str = _setting(
        "retry",
        choice("retry", "drop"),
        "After a send that may have been applied: `retry` may count twice, `drop` may lose.",
    )
    leader: str = _setting(
        "auto",
        choice("auto", "off"),
        "Of several monitors that would publish the same, `auto` lets one publish and the others "
        "stand by (Redis, RabbitMQ); with `off` each publishes.",
    )
    standby: bool = _setting(
        False, FLAG, "Publish MonitorStandby: an alarm tells when no monitor stands by."
    )
    # which service
    only_tasks: tuple[str, ...] = _setting(
        (),
        GLOBS,
        "Globs of task names: only these are counted and shown. `!celery.*` is all but those.",
    )
    only_queues: tuple[str, ...] = _setting(
        (),
        GLOBS,
        "The same of queues: also limits tasks to these, and workers to those that read one.",
    )
    only_workers: tuple[str, ...] = _setting(
        (), GLOBS, "The same of whole nodenames of workers; also limits tasks to theirs."
    )
    # which series
    include_tasks: tuple[str, ...] = _setting(
        (), GLOBS, "Globs of task names that get series of their own; empty means all."
    )
    exclude_tasks: tuple[str, ...] = _setting(
        (), GLOBS, "Globs of task names without series of their own; totals still count them."
    )
    may_fail: tuple[str, ...] = _setting(
        (),
        GLOBS,
        "Globs of task names that may fail: TaskNamesFailing leaves them out, and so does the "
        "warning of `status` and page that too many fail.",
    )
    groups: tuple[tuple[str, tuple[str, ...]], ...] = _setting(
        (),
        GROUPS,
        "Task names published together as one TaskName, such as `billing=billing.*|invoice.*`.",
    )
    by_task: tuple[str, ...] = _setting(
        tuple(spec.name for spec in CATALOG if spec.by_task),
        metric_names("TaskName"),
        "Metrics also published per TaskName.",
    )
    by_worker: tuple[str, ...] = _setting(
        (),
        metric_names("WorkerName"),
        "Metrics also published per WorkerName; each new hostname is a billed metric.",
    )
    by_queue: tuple[str, ...] = _setting(
        tuple(spec.name for spec in CATALOG if spec.by_queue),
        metric_names("QueueName"),
        "Metrics also published per QueueName.",
    )
    by_exception: bool = _setting(
        False, FLAG, "Publish TasksFailed and TasksRetried also per ExceptionType."
    )
    by_task_and_exception: bool = _setting(
        False, FLAG, "The same per TaskName and ExceptionType together."
    )
    by_schedule: bool = _setting(False, FLAG, "Publish ScheduleOverdue also per ScheduleName.")
    time_total: bool = _setting(
        False, FLAG, "Publish TaskTotalTime, which costs some percent of the CPU per event."
    )
    without: tuple[str, ...] = _setting((), metric_names(), "Metrics not published at all.")
    series_budget: int = _setting(
        1_200,
        whole(100, 100_000),
        "Most series published; task names beyond it are folded into `other`.",
    )
    idle_series_seconds: float = _setting(
        86_400.0,
        number(60, _WEEK, unit="seconds"),
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
        number(1, 86_400, unit="seconds"),
        "Silence after which a worker is lost. Solo pools are silent while a task runs.",
    )
    worker_grace_beats: float = _setting(
        5.0,
        number(2, 1_000, unit="heartbeats"),
        "The same in the worker's own heartbeats; the longer of the two counts.",
    )
    worker_drain_seconds: float = _setting(
        3_600.0,
        number(1, _WEEK, unit="seconds"),
        "How long the tasks of a worker that said goodbye may go on before they are orphaned.",
    )
    worker_forget_seconds: float = _setting(
        3_600.0, number(60, _WEEK, unit="seconds"), "When a lost or offline worker is forgotten."
    )
    enable_events: bool = _setting(
        False, FLAG, "Turn task events on in workers that were started without -E."
    )
    worker_stalled_seconds: float = _setting(
        300.0,
        number(10, 86_400, unit="seconds"),
        "When a worker is stalled that beats but does nothing while work waits in its queues.",
    )
    long_run_seconds: float = _setting(
        3_600.0,
        number(0, _WEEK, unit="seconds"),
        "When `status` warns of a task that runs, if no history knows how long its like do; 0 "
        "never warns.",
    )
    # periodic tasks
    schedules: tuple[tuple[str, str], ...] = _setting(
        (),
        SCHEDULES,
        "Periodic tasks to expect besides those of the app's `beat_schedule`, by the task's name, "
        "such as `shop.poll=60,shop.nightly=0 3 * * *`; `off` expects one of these no more.",
    )
    schedule_grace_seconds: float = _setting(
        0.0,
        number(0, _WEEK, unit="seconds"),
        "How late a periodic task may be, if that is more than two intervals and more than a tenth "
        "of its period (of which half an hour counts at most).",
    )
    # service levels
    slo: tuple[str, ...] = _setting(
        (),
        OBJECTIVES,
        "Service levels of tasks and queues (globs), such as `pay: 99 % start in 30 s` and "
        "`queue mail: 99.5 % succeed`.",
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
        5.0, number(0.1, 60, unit="seconds"), "How long such a question may take."
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
        _WEEK, number(60, 30 * 86_400, unit="seconds"), "When it is deleted, if nobody reads it."
    )
    management_url: str = _setting(
        "", URL, "RabbitMQ's management API, such as http://user:password@host:15672."
    )
    state_dir: str = _setting(
        "",
        PATH,
        "Directory of the spool of unsent metrics, and of the history; empty keeps them in memory.",
    )
    state_group: str = _setting(
        "",
        QUEUE,
        "Group of this machine whose members may read the history in `state_dir`.",
    )
    spool_megabytes: int = _setting(
        256, whole(1, 100_000), "Most unsent data kept; beyond it the oldest is dropped."
    )
    drain_seconds: float = _setting(
        20.0,
        number(0, 600, unit="seconds"),
        "How long a stop waits for the last metrics to be sent.",
    )
    # what is shown
    http: str = _setting(
        "",
        ADDRESS,
        "Where to serve the page, `/metrics`, `/health` and `/api/v1`; empty serves nothing.",
    )
    http_page: bool = _setting(
        True,
        FLAG,
        "Serve more than `/metrics` and `/health`; without it any address needs no `http_auth`.",
    )
    http_auth: str = _setting(
        "",
        AUTH,
        "What a request has to bring; needed where other machines can reach the page.",
    )
    http_proxies: tuple[str, ...] = _setting(
        (), NETWORKS, "From where the header of `http_auth = header:NAME` is believed."
    )
    http_hosts: tuple[str, ...] = _setting(
        (),
        HOSTS,
        "Names by which the page is called, besides localhost and any IP address.",
    )
    http_prefix: str = _setting("", PREFIX, "Path before all others, as a proxy passes it on.")
    http_hostname_label: str = _setting(
        "generic",
        choice("generic", "host", "node"),
        "What `hostname` is on counts and times in `/metrics`: the same for all, the part of the "
        "worker's nodename after the @, or all of it. Each worker takes lines of its own then.",
    )
    http_links: tuple[tuple[str, str], ...] = _setting(
        (),
        LINKS,
        "Links on the page of a task, to Sentry, logs or traces; `{id}`, `{name}`, `{worker}`, "
        "`{queue}` and `{exception}` stand for the task's.",
    )
    # history
    history: bool = _setting(
        False,
        FLAG,
        "Keep a history of tasks, failures and incidents in `state_dir`, for "
        "`event-monitor history`; without one in memory.",
    )
    history_succeeded: float = _setting(
        _DAY, number(0, _YEAR, unit="seconds"), "How long it keeps tasks that succeeded: a sample."
    )
    history_failed: float = _setting(
        3 * _DAY,
        number(0, _YEAR, unit="seconds"),
        "How long it keeps tasks that failed, were rejected or orphaned, and groups of failures.",
    )
    history_other: float = _setting(
        5 * _DAY,
        number(0, _YEAR, unit="seconds"),
        "How long it keeps tasks that were retried or revoked, and incidents that are over.",
    )
    history_megabytes: int = _setting(
        256,
        whole(1, 100_000),
        "Most that it keeps; beyond it the oldest that succeeded go first. 16 at most in memory.",
    )
    history_details: tuple[str, ...] = _setting(
        (),
        words("message", "traceback", "args", "kwargs", "result"),
        "What it keeps of a task besides names, times, exception class and place; `args`, `kwargs` "
        "and `result` cost some CPU per event.",
    )
    history_redact: tuple[str, ...] = _setting(
        (),
        PATTERNS,
        "What these match in such details is masked: the group, if the pattern has one. URLs' "
        "passwords and what is called a password, secret, token or key always are.",
    )

    @property
    def decodes_details(self) -> bool:
        """Return whether the history asks for what is usually not decoded."""
        return self.history and not {"args", "kwargs", "result"}.isdisjoint(self.history_details)

    @property
    def counts_by_host(self) -> bool:
        """Return whether what is shown of tasks is told apart by worker."""
        return bool(self.http) and self.http_hostname_label != "generic"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Return the service levels."""
        return objectives_of(self.slo)

    @property
    def only(self) -> Only:
        """Return what belongs to the service that is watched."""
        return Only(tasks=self.only_tasks, queues=self.only_queues, workers=self.only_workers)

    @property
    def survey_seconds(self) -> float:
        """Return how often the broker and the workers are asked."""
        return max(self.interval, _SHORTEST_SURVEY_SECONDS, self.probe_seconds)

    @classmethod
    def load(
        cls,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        conf: Mapping[str, object] | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> Settings:
        """Merge the sources, validate once.

        ``flags`` holds only what was given; ``conf`` is ``conf_of(app)``; ``environ`` is the
        process's own unless given; ``defaults`` are in the place of our own. Raises
        ``SettingsError`` naming key, value and what is allowed.
        """
        return cls.load_with_sources(flags=flags, environ=environ, conf=conf, defaults=defaults)[0]

    @classmethod
    def load_with_sources(
        cls,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        conf: Mapping[str, object] | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> tuple[Settings, dict[str, Source]]:
        """Do as ``load``, and return besides where each setting came from."""
        values, sources = read(_PARSERS, flags=flags, environ=environ, conf=conf, defaults=defaults)
        settings = cls(**values)  # type: ignore[arg-type]  # each is of its own parser's type
        _check_together(settings)
        check_web(settings)
        check_surroundings(settings, os.environ if environ is None else environ)
        return settings, sources


_PARSERS: Parsers = {field.name: field.metadata["parser"] for field in fields(Settings)}


def _check_together(settings: Settings) -> None:
    """Raise ``SettingsError`` for settings that are right each by itself and wrong together."""
    if settings.durable_queue and not settings.state_dir:
        raise SettingsError(
            f"durable_queue is {settings.durable_queue!r} but state_dir is not set; "
            "what was counted must be on disk before it is acknowledged: set both."
        )
    if settings.durable_queue and settings.interval > _LONGEST_DURABLE_INTERVAL:
        raise SettingsError(
            f"interval is {settings.interval:g} with a durable_queue; it must be at most "
            f"{_LONGEST_DURABLE_INTERVAL}, since RabbitMQ disconnects a consumer that does not "
            "acknowledge for half an hour."
        )


def interval_of(raw: object, *, where: str) -> float:
    """Return a frequency given elsewhere as the setting ``interval`` would be.

    Raises ``SettingsError``, with ``where`` as the place of the mistake.
    """
    return cast("float", parse(_PARSERS, "interval", raw=raw, where=where))
