"""Scaling: policies for an ECS service of workers, by BacklogPerWorker. Pure.

Tracking a target is the usual way; steps are the alternative, for who wants to see what happens
when. Both scale in as well as out. No data never scales in. From zero workers a ratio says little,
so one more policy starts the first worker when a message waits and nobody is online.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..settings import Settings
from .model import Alarm, Comparison, Scaling, Step, name_of
from .options import Choices
from .series import period_of, queue_split, series_of

__all__ = ["scaling_of"]

_IDLE_SHARE = 0.5  # of the wanted backlog; below it there is a worker too many
_IN_PERIODS = 15  # as many as target tracking waits; a lull is no reason to stop workers
_MANY = 4  # times the wanted backlog: add more workers at once

_NO_DATA = "No data changes nothing: who scales in blindly stops workers that are needed."


def scaling_of(settings: Settings, choices: Choices) -> tuple[Scaling, ...]:
    """The policies; ``SettingsError`` if the settings do not publish what they need."""
    return (*_wake(settings, choices), *_policies(settings, choices))


def _policies(settings: Settings, choices: Choices) -> Iterator[Scaling]:
    series = series_of("BacklogPerWorker", settings, id="m0", split=_split(choices))
    wanted = choices.backlog
    if choices.scale_by == "target":
        yield Scaling(
            key="target",
            name=name_of(choices.prefix, "backlog", choices.scale_queue),
            comment=f"Keep about {wanted:.10g} messages per pool process.",
            cooldown_seconds=choices.out_cooldown_seconds,
            in_cooldown_seconds=choices.in_cooldown_seconds,
            series=series,
            target=wanted,
        )
        return
    # Bounds of steps are counted from the alarm's threshold.
    far = wanted * (_MANY - 1)
    yield Scaling(
        key="out",
        name=name_of(choices.prefix, "scale-out", choices.scale_queue),
        comment="One worker more; three if there is much more to do.",
        cooldown_seconds=choices.out_cooldown_seconds,
        alarm=_alarm("scale-out", ">", wanted, (2, 3), settings, choices),
        steps=(Step(0.0, far, 1), Step(far, None, 3)),
    )
    yield Scaling(
        key="in",
        name=name_of(choices.prefix, "scale-in", choices.scale_queue),
        comment="One worker fewer.",
        cooldown_seconds=choices.in_cooldown_seconds,
        alarm=_alarm(
            "scale-in", "<", wanted * _IDLE_SHARE, (_IN_PERIODS, _IN_PERIODS), settings, choices
        ),
        steps=(Step(None, 0.0, -1),),
    )


def _wake(settings: Settings, choices: Choices) -> Iterator[Scaling]:
    if choices.workers_from:
        return
    waiting = series_of("QueueLength", settings, id="m0", split=_split(choices))
    online = series_of("WorkersOnline", settings, id="m1")
    # Workers of other services would hide that this queue has none; its consumers tell.
    if choices.scale_queue:
        online = series_of("QueueConsumers", settings, id="m1", split=_split(choices))
    yield Scaling(
        key="wake",
        name=name_of(choices.prefix, "wake", choices.scale_queue),
        comment="From zero to one: a ratio says little while there is nobody to share the work.",
        # It adds, and never sets, a number: when a whole fleet dies it must not shrink to one.
        # And it waits until the worker it started had time to say that it is there.
        cooldown_seconds=choices.in_cooldown_seconds,
        alarm=Alarm(
            name=name_of(choices.prefix, "wake", choices.scale_queue),
            description=f"Messages wait and nobody is there to take them. {_NO_DATA}",
            series=(waiting, online),
            expression="IF(m1<1, m0, 0)",
            comparison=">",
            threshold=0.0,
            datapoints=1,
            periods=2,
            period_seconds=period_of(settings),
            missing="notBreaching",
            of_cluster=False,
        ),
        steps=(Step(0.0, None, 1),),
    )


def _alarm(
    kind: str,
    comparison: Comparison,
    threshold: float,
    of: tuple[int, int],
    settings: Settings,
    choices: Choices,
) -> Alarm:
    word = "above" if comparison == ">" else "below"
    return Alarm(
        name=name_of(choices.prefix, kind, choices.scale_queue),
        description=f"The backlog per pool process is {word} {threshold:.10g}. {_NO_DATA}",
        series=(series_of("BacklogPerWorker", settings, id="m0", split=_split(choices)),),
        comparison=comparison,
        threshold=threshold,
        datapoints=of[0],
        periods=of[1],
        period_seconds=period_of(settings),
        missing="notBreaching",
        of_cluster=False,
    )


def _split(choices: Choices) -> tuple[str, str] | None:
    return queue_split(choices.scale_queue) if choices.scale_queue else None
