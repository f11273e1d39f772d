"""Packing: as many events as fit into a message, in their order."""

from __future__ import annotations

import json
from typing import Any

from event_monitor import events as ev
from event_monitor.errors import InvalidEvent
from event_monitor.over_sqs.packing import Packing
from event_monitor.over_sqs.wire import MAX_BODY_BYTES, Header, encode


def fail(error: InvalidEvent) -> None:
    """Take no event that the monitor would not take."""
    raise error


def event(type_: str, uuid: str = "u", **fields: Any) -> dict[str, Any]:
    """Return an event as Celery makes it."""
    return {"hostname": "w", "uuid": uuid, "timestamp": 1.0, "type": type_, **fields}


def test_task_events_that_follow_each_other_are_one_list() -> None:
    """A heartbeat between them has a line of its own: lists of tasks alone are decoded fast."""
    # Given
    packing = Packing()
    order = ["task-received", "task-started", "worker-heartbeat", "task-succeeded", "shop-bought"]

    # When
    refused = packing.add([event(type_) for type_ in order])
    lines, count = packing.take()

    # Then
    assert (refused, count, len(packing)) == (0, 5, 0)
    values = [json.loads(line) for line in lines]
    assert [
        [one["type"] for one in value] if isinstance(value, list) else value["type"]
        for value in values
    ] == [["task-received", "task-started"], "worker-heartbeat", ["task-succeeded"], "shop-bought"]
    decoded = ev.decode(lines, on_invalid=fail)
    assert [one.type for one in decoded] == order


def test_a_message_is_as_long_as_it_may_be() -> None:
    """And holds more than 300 usual events, which is what makes it cheap."""
    # Given
    packing = Packing()
    uuid = "2ad5fb88-1051-4f8a-815a-0f65fecc2ad9"
    packing.add(
        event("task-succeeded", uuid, hostname="celery@ip-10-0-0-1", pid=12345, runtime=0.123456789)
        for _ in range(1_000)
    )

    # When
    lengths, counts = [], []
    while len(packing):
        lines, count = packing.take()
        header = Header(sender="0123456789ab", seq=2**63 - 1, dropped=2**63 - 1)
        lengths.append(len(encode(header, lines)))
        counts.append(count)

    # Then
    assert sum(counts) == 1_000
    assert max(lengths) <= MAX_BODY_BYTES
    assert counts[0] > 300


def test_hostile_names_make_more_messages_and_no_longer_ones() -> None:
    """One character may be twelve on the wire."""
    packing = Packing()
    packing.add(event("task-received", name="\U0001f600" * 1_024) for _ in range(20))
    while len(packing):
        lines, _ = packing.take()
        assert len(encode(Header(sender="0123456789ab", seq=0, dropped=0), lines)) <= MAX_BODY_BYTES


def test_what_no_message_can_hold_is_refused() -> None:
    """Longer than a message, or nothing that JSON knows; the others go on."""
    packing = Packing()
    refused = packing.add(
        [
            event("task-started", "u" * 70_000),
            event("task-started", pid=object()),
            event("task-started"),
        ]
    )
    assert (refused, packing.take().events) == (2, 1)
