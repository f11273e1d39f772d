"""Event queue: the SQS queues of ``send_events_over_sqs``, and the alarm on events that wait. Pure.

The second queue holds one message, the lease: whoever has it in flight is the monitor that reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import Alarm, Series, resource_name
from .options import ProvisionOptions

__all__ = ["LEASE_SUFFIX", "SqsQueue", "event_queue_alarm", "event_queues"]

LEASE_SUFFIX = "-lease.fifo"

_VISIBILITY_SECONDS = 180  # a message is deleted when the window it was counted in is safe
_RETENTION_SECONDS = 4 * 86_400  # how long the monitor may be away
_LONG_POLL_SECONDS = 20  # the longest, and the cheapest
_MAX_AGE_SECONDS = 600.0  # after a crash events wait for three minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsQueue:
    """A queue that is encrypted with keys of SQS. ``key`` is what it is called where it is defined.

    Where ``is_fifo`` is true its name ends in ``.fifo``. Times are seconds.
    """

    key: str
    name: str
    is_fifo: bool = False
    visibility_seconds: int = _VISIBILITY_SECONDS
    retention_seconds: int = _RETENTION_SECONDS
    wait_seconds: int = _LONG_POLL_SECONDS


def event_queues(options: ProvisionOptions) -> tuple[SqsQueue, ...]:
    """Return the queue of events and that of the lease; none if no queue carries events."""
    if not options.event_queue:
        return ()
    return (
        SqsQueue(key="events", name=options.event_queue),
        SqsQueue(key="lease", name=options.event_queue + LEASE_SUFFIX, is_fifo=True),
    )


def event_queue_alarm(options: ProvisionOptions) -> Alarm:
    """Return the alarm that events wait, as nobody reads them. SQS itself publishes their age."""
    return Alarm(
        name=resource_name(options.prefix, "events-waiting"),
        description=(
            f"Events have waited in the SQS queue {options.event_queue} for more than "
            f"{_MAX_AGE_SECONDS:.0f} seconds: the monitor is dead, or may not read them. They are "
            "kept for four days. Next: event-monitor healthcheck --monitor where it runs."
        ),
        series=(
            Series(
                id="m0",
                namespace="AWS/SQS",
                metric="ApproximateAgeOfOldestMessage",
                statistic="Maximum",
                dimensions=(("QueueName", options.event_queue),),
            ),
        ),
        comparison=">",
        threshold=_MAX_AGE_SECONDS,
        datapoints=3,
        periods=5,
        period_seconds=60,
        missing="notBreaching",  # an empty queue publishes nothing after some hours
        actions=tuple(dict.fromkeys((*options.topics, *options.pages))),
        pages=True,
    )
