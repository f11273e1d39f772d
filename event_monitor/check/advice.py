"""Advice: configuration that works and is risky, by what app, workers and broker tell. Pure.

One row for each. What is not known gives no advice, and advice never makes the check fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..survey import WorkerAnswer
from ..text import printable
from .configuration import Configuration
from .finding import Finding, Status, listed
from .held import HeldTask
from .server import RedisMemory

__all__ = ["Known", "advise"]

_LONG = 300.0  # seconds for which a task keeps those behind it waiting before it is worth a word
_LONGEST_GRACE = 120.0  # seconds that ECS on Fargate gives a container to stop, at most
_NEARLY_FULL = 0.8  # of maxmemory
_MOST_VERSIONS = 5  # in one line of the report

_CELERY = "https://docs.celeryq.dev/en/stable/"
_REDIS = "https://redis.io/docs/latest/"
_RABBITMQ = "https://www.rabbitmq.com/docs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What advice is given by; workers by nodename.

    ``driver``: kombu's name of the kind of broker. ``app``: of an app that was given;
    ``configurations``: as the workers answered. ``versions``: of Celery. ``memory``, ``alarms``:
    the broker's, None if unknown. ``sent_came``: whether a task-sent event was received.
    """

    driver: str
    app: Configuration = field(default_factory=Configuration)
    configurations: Mapping[str, Configuration] = field(default_factory=dict)
    workers: Mapping[str, WorkerAnswer] = field(default_factory=dict)
    tasks: Sequence[HeldTask] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    memory: RedisMemory | None = None
    alarms: Sequence[str] | None = None
    sent_came: bool = False


def advise(known: Known) -> Iterator[Finding]:
    """Yield a finding for each piece of advice that there is a reason to give."""
    for row in _ADVICE:
        reason = row.reason(known)
        if reason is not None:
            yield Finding(row.name, row.status, reason, f"{row.remedy}\n{row.url}")


# -- reasons: why, as one sentence, or None --------------------------------------------------------


def _redelivery(known: Known) -> str | None:
    timeouts = _values(known, lambda configuration: configuration.visibility_timeout)
    if known.driver != "redis" or not timeouts:
        return None
    timeout = min(timeouts)  # whoever has the shortest gives back the messages of all
    late = [task for task in known.tasks if _unacknowledged(task) > timeout]
    if not late:
        return None
    task = max(late, key=_unacknowledged)
    seconds = f"{_unacknowledged(task):,.0f} s"
    does = f"waits {seconds} for its eta" if task.running is None else f"has run for {seconds}"
    more = f" (and {len(late) - 1:,} more)" if len(late) > 1 else ""
    return (
        f"{printable(str(task))} {does} unacknowledged{more}, and the visibility timeout is "
        f"{timeout:,.0f} s: after it Redis delivers the task again, which then runs more than once"
    )


def _unacknowledged(task: HeldTask) -> float:
    """Return for how many seconds a task is unacknowledged at least; 0 where nothing tells."""
    if task.running is None:
        return task.until_eta or 0.0
    return task.running if task.acknowledged is False else 0.0


def _prefetch(known: Known) -> str | None:
    held = {
        hostname: answer.reserved
        for hostname, answer in known.workers.items()
        if answer.reserved and _reserves_more(answer) and _all_are_long(known.tasks, answer)
    }
    if not held:
        return None
    return (
        f"{sum(held.values()):,} tasks are reserved by {listed(sorted(held))}, whose processes all "
        f"have run one task for more than {_LONG / 60:.0f} minutes: no other worker can take them"
    )


def _reserves_more(answer: WorkerAnswer) -> bool:
    """Return whether it may hold more than one task per process; one with an eta counts extra."""
    if answer.prefetch_count is None or answer.pool_processes is None:
        return False
    own = answer.prefetch_count - (answer.scheduled or 0)
    return answer.prefetch_count == 0 or own > answer.pool_processes


def _all_are_long(tasks: Sequence[HeldTask], answer: WorkerAnswer) -> bool:
    long = [task for task in tasks if task.worker == answer.hostname and _is_longer(task, _LONG)]
    return bool(answer.pool_processes) and len(long) >= (answer.pool_processes or 0)


def _is_longer(task: HeldTask, seconds: float) -> bool:
    return task.running is not None and task.running > seconds


def _shared_database(known: Known) -> str | None:
    if not any(_values(known, lambda configuration: configuration.shares_database)):
        return None
    return (
        "results are kept in the broker's own Redis database: whoever clears them with FLUSHDB "
        "deletes the queues, too"
    )


def _endless_results(known: Known) -> str | None:
    expire = _values(known, lambda configuration: configuration.results_expire)
    if all(expire):
        return None
    return "result_expires is off: results are kept for ever, until whatever holds them is full"


def _eviction(known: Known) -> str | None:
    memory = known.memory
    if memory is None or not memory.limit or not memory.policy.startswith("allkeys-"):
        return None
    return (
        f"maxmemory-policy is {printable(memory.policy)}: at {memory.limit:,} bytes Redis deletes "
        "keys of any kind, and a queue is one key with all its tasks"
    )


def _nearly_full(known: Known) -> str | None:
    memory = known.memory
    if memory is None or not memory.limit or memory.used <= _NEARLY_FULL * memory.limit:
        return None
    return (
        f"Redis uses {memory.used / memory.limit:.0%} of its maxmemory: when it is full it refuses "
        "new tasks, or evicts keys"
    )


def _alarms(known: Known) -> str | None:
    if not known.alarms:
        return None
    return f"RabbitMQ's alarm is on for {listed(known.alarms)}: it blocks whoever publishes a task"


def _no_task_sent(known: Known) -> str | None:
    sends = [
        configuration.sends_sent
        for configuration in (known.app, *known.configurations.values())
        if configuration.sends_sent is not None
    ]
    if known.sent_came or not sends or any(sends):
        return None
    return (
        "task_send_sent_event is off: TaskQueueTime begins at receipt, not at publishing, "
        "TasksSent stays 0, and OldestMessageAge is known only with stamp_tasks"
    )


def _mixed_versions(known: Known) -> str | None:
    hostnames: dict[str, list[str]] = {}
    for hostname, version in sorted(known.versions.items()):
        if version:
            hostnames.setdefault(version, []).append(hostname)
    if len(hostnames) < 2:
        return None
    shown = sorted(hostnames.items())[:_MOST_VERSIONS]
    workers = "; ".join(f"{printable(version)} on {listed(names)}" for version, names in shown)
    return f"the workers' versions of Celery differ, and so may what they do: {workers}"


def _no_soft_shutdown(known: Known) -> str | None:
    lost = [
        task
        for task in known.tasks
        if task.acknowledged
        and _is_longer(task, _LONGEST_GRACE)
        and _soft_shutdown(known, task.worker) == 0
    ]
    if not lost:
        return None
    task = max(lost, key=lambda task: task.running or 0.0)
    return (
        f"{printable(str(task))} has run for {task.running:,.0f} s, is acknowledged already, and "
        "worker_soft_shutdown_timeout is 0: a deploy that cannot wait for it loses it"
    )


def _soft_shutdown(known: Known, worker: str) -> float | None:
    answered = known.configurations.get(worker, Configuration()).soft_shutdown
    return known.app.soft_shutdown if answered is None else answered


def _values(known: Known, get: Callable[[Configuration], float | None]) -> list[float]:
    """Return what the workers have, or the app where no worker tells; empty if nobody does."""
    answered = [get(configuration) for configuration in known.configurations.values()]
    values = [value for value in answered if value is not None]
    own = get(known.app)
    return values or ([] if own is None else [own])


# -- the table -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advice:
    """``reason`` finds why it is given; ``url`` is where the software's makers document it."""

    name: str
    status: Status
    reason: Callable[[Known], str | None]
    remedy: str
    url: str


_ADVICE = (
    _Advice(
        name="redelivery",
        status="warning",
        reason=_redelivery,
        remedy=(
            "Let a periodic task start what is far off, or set visibility_timeout in "
            "broker_transport_options above the longest eta and run time, for all workers."
        ),
        url=_CELERY + "getting-started/backends-and-brokers/redis.html#redis-caveats",
    ),
    _Advice(
        name="prefetch",
        status="warning",
        reason=_prefetch,
        remedy=(
            "Set worker_prefetch_multiplier = 1 for workers of long tasks; with task_acks_late as "
            "well, they hold none but those they run."
        ),
        url=_CELERY + "userguide/optimizing.html#reserve-one-task-at-a-time",
    ),
    _Advice(
        name="result database",
        status="note",
        reason=_shared_database,
        remedy="Give results another database: a result_backend that ends in another number.",
        url=_REDIS + "commands/select/",
    ),
    _Advice(
        name="result expiry",
        status="warning",
        reason=_endless_results,
        remedy="Set result_expires to some seconds, or ignore_result where nobody reads them.",
        url=_CELERY + "userguide/configuration.html#result-expires",
    ),
    _Advice(
        name="eviction",
        status="warning",
        reason=_eviction,
        remedy="Set maxmemory-policy to noeviction; volatile-* spares queues, too.",
        url=_REDIS + "develop/reference/eviction/",
    ),
    _Advice(
        name="broker memory",
        status="warning",
        reason=_nearly_full,
        remedy="Raise maxmemory, or find out what fills it: long queues, results, other keys.",
        url=_REDIS + "develop/reference/eviction/",
    ),
    _Advice(
        name="broker alarms",
        status="warning",
        reason=_alarms,
        remedy="Give the node memory or disk space, or drain its queues.",
        url=_RABBITMQ + "alarms",
    ),
    _Advice(
        name="queue times",
        status="note",
        reason=_no_task_sent,
        remedy="Set task_send_sent_event = True in the app, for its producers.",
        url=_CELERY + "userguide/configuration.html#task-send-sent-event",
    ),
    _Advice(
        name="versions",
        status="note",
        reason=_mixed_versions,
        remedy="Good for a rolling upgrade; else bring all to one version.",
        url=_CELERY + "history/index.html",
    ),
    _Advice(
        name="soft shutdown",
        status="note",
        reason=_no_soft_shutdown,
        remedy=(
            "Let the orchestrator wait longer than tasks run, or set worker_soft_shutdown_timeout "
            "below its limit and REMAP_SIGTERM=SIGQUIT; acks_late for tasks that may run twice."
        ),
        url=_CELERY + "userguide/workers.html#soft-shutdown",
    ),
)
