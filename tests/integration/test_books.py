"""Books: what broker and workers lose is missing, and named; what they do not is not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection

from event_monitor.broker.protocols import Channel

from ..support.cloudwatch import CloudWatch
from ..support.commands import command
from ..support.verdicts import SOON, Verdicts, lines_with
from ..support.waiting import wait_until
from ..support.witness import Witness

STEADY, DOOMED, QUEUE = "steady@host1", "doomed@host1", "celery"


def messages_ready(channel: Channel) -> int:
    """How many messages wait in the queue: on Redis an empty queue is one that does not exist."""
    try:
        return int(channel.queue_declare(queue=QUEUE, passive=True).message_count)
    except ChannelError:
        return 0


def send(client: Celery, connection: Connection, *, expires: float | None = None) -> str:
    """Send a task over this connection; return its id."""
    task = client.tasks["proj.succeed"]
    return str(task.apply_async(queue=QUEUE, expires=expires, connection=connection).id)


def wait_for_length(channel: Channel, length: int) -> None:
    """Wait until so many messages are ready."""
    wait_until(lambda: messages_ready(channel) == length, SOON, f"{length} messages wait")


def evict(redis: Any) -> None:
    """Let the server run out of memory, and take the queue first: it is the next to expire."""
    redis.expire(QUEUE, 3_600)
    redis.set("filler", b"x" * 4_000_000, ex=7_200)
    redis.config_set("maxmemory-policy", "volatile-ttl")
    redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 2_000_000)
    wait_until(lambda: not redis.exists(QUEUE), SOON, "the queue is evicted")
    redis.config_set("maxmemory", 0)
    redis.delete("filler")


@pytest.mark.timeout(300)  # three looks take their time
def test_tasks_that_broker_or_workers_lose_are_missing(
    verdicts: Verdicts, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Purged, expired in RabbitMQ or evicted by Redis, acknowledged by a dying worker."""
    # Given a queue of which all tasks have come
    monitor = verdicts.monitor(by_task="TasksMissing")
    for name in (STEADY, DOOMED):
        verdicts.worker(name, queues=(QUEUE,))
    for _ in range(3):
        verdicts.send("succeed", to=QUEUE)
        verdicts.send("doom", "live", to=QUEUE)
    wait_until(lambda: len(witness.events(type="task-succeeded")) >= 6, SOON, "all have ended")
    wait_until(lambda: cloudwatch.count("TasksMissing") > 0, SOON, "none is missing")

    # When nobody reads it, and it is emptied; and when a worker dies of what it takes from it
    command(client, "cancel_consumer", STEADY, DOOMED, queue=QUEUE)
    # RabbitMQ tells a queue's length before it has put into it what was published just now.
    with client.connection_for_write(transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        lost = [send(client, connection) for _ in range(2)]
        wait_for_length(channel, 2)  # what a worker on Redis took meanwhile comes back
        channel.queue_purge(QUEUE)
        lost += [send(client, connection, expires=0.5) for _ in range(3)]
        if connection.transport.driver_type == "redis":
            wait_for_length(channel, 3)
            evict(channel.client)
        else:
            wait_for_length(channel, 0)
    command(client, "add_consumer", DOOMED, queue=QUEUE)
    lost.append(verdicts.send("doom", "die", to=QUEUE))

    # Then
    verdicts.wait_for_sum("TasksMissing", len(lost))
    command(client, "add_consumer", STEADY, queue=QUEUE)
    verdicts.send("succeed", to=QUEUE)
    verdicts.wait_for_sum("TasksSucceeded", 7)
    assert monitor.stop() == 0
    assert cloudwatch.by_task("TasksMissing") == {"proj.succeed": 5, "proj.doom": 1}
    named = re.findall(r"\[([0-9a-f-]{36})\]", "".join(lines_with(monitor, "tasks are missing")))
    assert sorted(named) == sorted(lost)
    assert lines_with(monitor, "came after all") == []
