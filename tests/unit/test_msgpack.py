"""MessagePack: a value it cannot hold costs only itself."""

from __future__ import annotations

import pytest

from event_monitor.msgpack import encodable
from event_monitor.snapshot import TaskInFlight

GOOD = TaskInFlight("u1", "proj.add", pid=2**64 - 1, sent_at=float("inf"))


@pytest.mark.parametrize(
    "bad",
    [
        TaskInFlight("u2", "\ud800"),
        TaskInFlight("u2", "proj.add", pid=2**64),
        TaskInFlight("u2", "proj.add", worker=object()),  # type: ignore[arg-type]
    ],
    ids=["lone surrogate", "integer beyond 64 bits", "no value of MessagePack"],
)
def test_what_cannot_be_encoded_is_left_out(bad: TaskInFlight) -> None:
    """The others keep their order."""
    last = TaskInFlight("u3", None)

    assert encodable((GOOD, bad, last)) == (GOOD, last)


def test_what_can_be_encoded_is_returned_as_it_is() -> None:
    """The same tuple: this is asked of every batch."""
    tasks = (GOOD, TaskInFlight("u2", "café"))

    assert encodable(tasks) is tasks
    assert encodable(()) == ()
