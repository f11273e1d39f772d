"""Examples: settings and options that use everything, with hostile names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from event_monitor.catalog import CATALOG
from event_monitor.provision.options import ProvisionOptions, QueueLimits, TaskLimits
from event_monitor.provision.quantities import TooMany
from event_monitor.settings import Settings

HOSTILE = "a\"b\\c ${d} %{if} 'é\n"
EVERYTHING = Settings(
    dimensions=(("Environment", "prod"), ("Cost center", "${x} %{y}")),
    queue_length_limits=(("*", (10.0, 100.0)),),
    by_queue=(
        *("QueueLength", "OldestMessageAge", "BacklogPerWorker"),
        *("WorkerUtilization", "QueueConsumers", "QueueUnacked"),
    ),
)
OPTIONS = ProvisionOptions(
    topics=("arn:aws:sns:eu-west-1:123456789012:alerts",),
    pages=("arn:aws:sns:eu-west-1:123456789012:pager",),
    queues=(QueueLimits("celery", 100, 60), QueueLimits(HOSTILE, 100, 60)),
    tasks=(
        TaskLimits("shop.pay", 30.5, TooMany(10), TooMany(3, 900)),
        TaskLimits(HOSTILE, 1, TooMany(1)),
    ),
    sqs_queues=("arn:aws:sqs:eu-west-1:123456789012:celery",),
    event_queue="celeryev",
    workers_from=0,
    scale_queue="celery",
)
STEPS = replace(OPTIONS, scale_by="step")
SETTINGS = [
    EVERYTHING,
    Settings(),
    Settings(probe_queues=False, by_task=("TasksFailed",)),
    Settings(probe_workers=False, by_queue=()),
    Settings(without=("MonitorHeartbeat", "TaskRuntime", "TasksSucceeded"), by_task=()),
    Settings(without=tuple(metric.name for metric in CATALOG)),
]


def read_back(value: object) -> Any:
    """Return the value as whoever reads its JSON gets it."""
    return json.loads(json.dumps(value))
