"""Books: what broker and workers lose is missing, and named; what they do not is not."""

from __future__ import annotations

import re
from itertools import chain

from celery import Celery

from event_monitor.broker.protocols import Channel

from ..support.cloudwatch import CloudWatch
from ..support.verdicts import SOON, Verdicts, lines_with
from ..support.waiting import wait_until
from ..support.witness import Witness

STEADY, DOOMED = "steady@host1", "doomed@host1"
PURGED, DROPPED = "celery", "elsewhere"


def wait_for_length(channel: Channel, queue: str, length: int) -> None:
    """Wait until so many messages are ready in a queue."""
    wait_until(
        lambda: channel.queue_declare(queue=queue, passive=True).message_count == length,
        SOON,
        f"{length} messages wait in {queue}",
    )


def test_tasks_that_broker_or_workers_lose_are_missing(
    verdicts: Verdicts, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Purged, deleted with their list, expired in RabbitMQ, or acknowledged by a dying worker."""
    # Given queues whose tasks have all come
    monitor = verdicts.monitor(by_task="TasksMissing")
    verdicts.worker(STEADY, queues=(PURGED, DROPPED))
    verdicts.worker(DOOMED)
    for queue in (PURGED, DROPPED, DOOMED):
        for _ in range(2):
            verdicts.send("succeed", to=queue)
    verdicts.send("doom", "live", to=DOOMED)
    wait_until(lambda: len(witness.events(type="task-succeeded")) >= 7, SOON, "all have ended")
    wait_until(lambda: cloudwatch.count("TasksMissing") > 0, SOON, "none is missing")

    # When
    for queue in (PURGED, DROPPED):
        client.control.cancel_consumer(queue, destination=[STEADY], reply=True, timeout=5)
    lost = {
        "purged": [verdicts.send("succeed", to=PURGED) for _ in range(2)],
        "dropped": [verdicts.send("succeed", to=DROPPED, expires=0.5) for _ in range(3)],
        "acknowledged": [verdicts.send("doom", "die", to=DOOMED)],
    }
    with client.connection_for_write() as connection:
        channel = connection.default_channel
        # What a worker on Redis took while it ceased to read comes back.
        wait_for_length(channel, PURGED, 2)
        channel.queue_purge(PURGED)
        if connection.transport.driver_type == "redis":
            wait_for_length(channel, DROPPED, 3)
            channel.client.delete(DROPPED)
    verdicts.wait_for_sum("TasksMissing", 6)
    for queue in (PURGED, DROPPED):
        client.control.add_consumer(queue, destination=[STEADY], reply=True, timeout=5)
        verdicts.send("succeed", to=queue)
    verdicts.wait_for_sum("TasksSucceeded", 9)
    assert monitor.stop() == 0

    # Then
    assert cloudwatch.by_task("TasksMissing") == {"proj.succeed": 5, "proj.doom": 1}
    named = re.findall(r"\[([0-9a-f-]{36})\]", "".join(lines_with(monitor, "tasks are missing")))
    assert sorted(named) == sorted(chain(*lost.values()))
    assert lines_with(monitor, "came after all") == []
