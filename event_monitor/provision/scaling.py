"""Scaling: policies for ECS services of workers. Pure.

Out goes by the backlog per pool process: by a target that is tracked, or by steps. In goes by steps
alone, and on evidence that workers have nothing to do: a fleet that is busy has no backlog either.
No data never scales in. From zero workers a ratio says little, so two more policies start the first
worker when a message waits, and stop the last one when nothing is left, unacknowledged or running.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from ..errors import SettingsError
from ..settings import Settings, text_of
from .model import (
    Alarm,
    Comparison,
    ScaledService,
    ScalingPolicy,
    ScalingStep,
    Series,
    resource_name,
)
from .options import ProvisionOptions
from .series import (
    encoded_dimensions,
    is_published,
    period_seconds_of,
    published_series,
    queue_split,
)
from .task_definition import MAX_STOP_SECONDS, watched_queues

__all__ = [
    "ADJUSTMENT_TYPE",
    "AGGREGATION",
    "SCALABLE_DIMENSION",
    "SERVICE_ADVICE",
    "SERVICE_NAMESPACE",
    "build_scaling",
    "scaling_notes",
]

# What is scaled, and how a step changes it, as Application Auto Scaling names it.
SERVICE_NAMESPACE = "ecs"
SCALABLE_DIMENSION = "ecs:service:DesiredCount"
ADJUSTMENT_TYPE = "ChangeInCapacity"
AGGREGATION = "Maximum"

#: What the workers' services need, which are not written here.
SERVICE_ADVICE = (
    f"Give the workers' container a stopTimeout of {MAX_STOP_SECONDS} seconds, the most there is "
    "on Fargate: a worker that is stopped ends what it runs. Tasks that may run longer need ECS "
    "task protection while they run."
)

_TRACKED_SECONDS = 60  # the period in which target tracking looks for data
_BUSY_PERCENT = 50.0  # of the pool processes; with fewer busy there is a worker too many
_NOTHING = 0.001  # below it nothing is busy: one of 100,000 pool processes is this much percent
_IDLE_SECONDS = 900  # as long as target tracking waits; a lull is no reason to stop workers
_MANY = 4  # times the wanted backlog: add more workers at once

# What a service is scaled by, and what is asked for besides if it may go to zero.
_NEEDED = ("QueueLength", "BacklogPerWorker", "WorkerUtilization")
_NEEDED_FROM_ZERO = ("QueueConsumers", "QueueUnacked")

_NO_DATA_STARTS = "No data starts nothing: how much waits is unknown then."
_NO_DATA_STOPS = "No data stops nothing: scaling in blindly would stop workers that are needed."


def build_scaling(settings: Settings, options: ProvisionOptions) -> tuple[ScaledService, ...]:
    """Return the services; ``SettingsError`` if the settings do not publish what they need."""
    services = options.services or ((options.scale_queue, ""),)
    fleets = [
        (_Fleet(settings=settings, options=options, queue=queue), service)
        for queue, service in services
    ]
    return tuple(
        ScaledService(queue=fleet.label, service=service, policies=tuple(fleet.policies()))
        for fleet, service in fleets
    )


def scaling_notes(
    settings: Settings, options: ProvisionOptions, *, has_monitor: bool
) -> tuple[str, ...]:
    """Return a sentence for each thing that the monitor needs for scaling to work.

    ``has_monitor``: the monitor's own service is written too, and has the queues.
    """
    notes = []
    queues = watched_queues(settings, options)
    if queues != settings.queues and not has_monitor:
        notes.append(
            f"Run the monitor with --queues {shlex.quote(text_of(queues))}: it forgets a queue "
            "that it knows from workers alone."
        )
    if not options.workers_from and not settings.management_url:
        notes.append(
            "On RabbitMQ the last worker is stopped only with management_url: QueueUnacked is "
            "unknown without it."
        )
    return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fleet:
    """The workers of one service, scaled by one queue, or by all together if that is empty."""

    settings: Settings
    options: ProvisionOptions
    queue: str

    @property
    def label(self) -> str:
        """Return the queue as it is written in its dimension, and in names: encoded."""
        return encoded_dimensions((queue_split(self.queue),))[0][1] if self.queue else ""

    def policies(self) -> Iterator[ScalingPolicy]:
        self._check_by_queue()
        yield self._track() if self.options.scale_by == "target" else self._out()
        yield self._in()
        if not self.options.workers_from:
            yield self._wake()
            yield self._sleep()

    def _check_by_queue(self) -> None:
        """Raise ``SettingsError`` that names all at once that the queue has to publish."""
        needed = _NEEDED if self.options.workers_from else _NEEDED + _NEEDED_FROM_ZERO
        missing = tuple(
            metric
            for metric in needed
            if is_published(metric, self.settings)
            and not is_published(metric, self.settings, split="QueueName")
        )
        if self.queue and missing:
            raise SettingsError(
                f"`by_queue` has no {' and no '.join(missing)}, which scaling by a queue needs: "
                f"add --by-queue {text_of((*self.settings.by_queue, *missing))}, here and to the "
                "monitor."
            )

    def _track(self) -> ScalingPolicy:
        if self.settings.interval > _TRACKED_SECONDS:
            raise SettingsError(
                f"a target cannot be tracked with an interval of {self.settings.interval:g} "
                f"seconds, since that needs data each minute: shorten it to {_TRACKED_SECONDS}, "
                "or take --scale-by step."
            )
        return ScalingPolicy(
            key="target",
            name=self._name("backlog"),
            comment=(
                f"Add workers until there are about {self.options.backlog:.10g} messages per pool "
                "process. It removes none: a busy fleet has no backlog either."
            ),
            cooldown_seconds=self.options.out_cooldown_seconds,
            series=self._series("BacklogPerWorker"),
            target=self.options.backlog,
        )

    def _out(self) -> ScalingPolicy:
        wanted = self.options.backlog
        far_above = wanted * (_MANY - 1)  # bounds of steps are counted from the alarm's threshold
        alarm = self._alarm(
            key="scale-out",
            description=f"The backlog per pool process is above {wanted:.10g}.",
            series=(self._series("BacklogPerWorker"),),
            comparison=">",
            threshold=wanted,
            datapoints=2,
            periods=3,
        )
        return ScalingPolicy(
            key="out",
            name=alarm.name,
            comment="Add one worker; three if the backlog is several times the target.",
            cooldown_seconds=self.options.out_cooldown_seconds,
            alarm=alarm,
            steps=(
                ScalingStep(low=0.0, high=far_above, change=1),
                ScalingStep(low=far_above, change=3),
            ),
        )

    def _in(self) -> ScalingPolicy:
        """Return what removes a worker; if the service may go to zero, the last one is spared."""
        series = [self._series("QueueLength"), self._series("WorkerUtilization", number=1)]
        expression = "IF(m0<1, m1, 100)"  # while something waits they count as busy
        if not self.options.workers_from:
            series.append(self._workers(number=2))
            expression += "+IF(m2>1, 0, 100)"
        alarm = self._idle_alarm(
            key="scale-in",
            description=f"Nothing waits, and less than {_BUSY_PERCENT:g} % of the pool are busy.",
            series=tuple(series),
            expression=expression,
            threshold=_BUSY_PERCENT,
        )
        return self._remove_one(
            "in", alarm, "Remove a worker when nothing waits and fewer than half are busy."
        )

    def _sleep(self) -> ScalingPolicy:
        """Return what removes the last worker, once nothing is left that could need it."""
        alarm = self._idle_alarm(
            key="sleep",
            description="Nothing waits, nothing is unacknowledged and nothing runs.",
            series=(
                self._series("QueueLength"),
                self._series("QueueUnacked", number=1),
                self._series("WorkerUtilization", number=2),
            ),
            expression="m0+m1+m2",  # a sum of which a part is missing is missing
            threshold=_NOTHING,
        )
        return self._remove_one(
            "sleep", alarm, "From one to zero: the last worker goes when it has nothing left."
        )

    def _wake(self) -> ScalingPolicy:
        alarm = self._alarm(
            key="wake",
            description="Messages wait and no worker is there to take them.",
            series=(self._series("QueueLength"), self._workers(number=1)),
            expression="IF(m1<1, m0, 0)",
            comparison=">",
            threshold=0.0,
            datapoints=1,
            periods=2,
        )
        return ScalingPolicy(
            key="wake",
            name=alarm.name,
            comment="From zero to one: a backlog per worker means little while there is no worker.",
            # It adds a worker instead of setting their number: when a whole fleet dies it must not
            # shrink to one. The longer cooldown gives the worker it started time to come online.
            cooldown_seconds=self.options.in_cooldown_seconds,
            alarm=alarm,
            steps=(ScalingStep(low=0.0, change=1),),
        )

    def _remove_one(self, key: str, alarm: Alarm, comment: str) -> ScalingPolicy:
        # In two periods the data show that the worker is gone; sooner, the next one would be
        # stopped on what was known before.
        cooldown_seconds = max(self.options.in_cooldown_seconds, 2 * alarm.period_seconds)
        return ScalingPolicy(
            key=key,
            name=alarm.name,
            comment=comment,
            cooldown_seconds=cooldown_seconds,
            alarm=alarm,
            steps=(ScalingStep(high=0.0, change=-1),),
        )

    def _idle_alarm(
        self,
        *,
        key: str,
        description: str,
        series: tuple[Series, ...],
        expression: str,
        threshold: float,
    ) -> Alarm:
        periods = ceil(_IDLE_SECONDS / period_seconds_of(self.settings))
        return self._alarm(
            key=key,
            description=description,
            series=series,
            expression=expression,
            comparison="<",
            threshold=threshold,
            datapoints=periods,
            periods=periods,
        )

    def _alarm(
        self,
        *,
        key: str,
        description: str,
        series: tuple[Series, ...],
        comparison: Comparison,
        threshold: float,
        datapoints: int,
        periods: int,
        expression: str = "",
    ) -> Alarm:
        starts = comparison == ">"  # workers; else it stops them
        return Alarm(
            name=self._name(key),
            description=f"{description} {_NO_DATA_STARTS if starts else _NO_DATA_STOPS}",
            series=series,
            expression=expression,
            comparison=comparison,
            threshold=threshold,
            datapoints=datapoints,
            periods=periods,
            period_seconds=period_seconds_of(self.settings),
            missing="notBreaching",
            cluster_wide=False,
        )

    def _workers(self, *, number: int) -> Series:
        # Workers of other services would hide that this queue has none; its consumers do not.
        return self._series("QueueConsumers" if self.queue else "WorkersOnline", number=number)

    def _series(self, metric: str, *, number: int = 0) -> Series:
        split = queue_split(self.queue) if self.queue else None
        return published_series(metric, self.settings, id=f"m{number}", split=split)

    def _name(self, key: str) -> str:
        return resource_name(self.options.prefix, key, self.label)
