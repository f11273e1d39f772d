"""Checkpoint: what was written is read again, and what cannot be read stops nothing."""

from __future__ import annotations

import msgspec
import pytest

from event_monitor.receiver.checkpoint import Checkpoint
from event_monitor.receiver.sender_order import Position
from event_monitor.snapshot import TaskInFlight


def test_what_was_encoded_is_decoded() -> None:
    """Every field, None included."""
    checkpoint = Checkpoint(b"12345678", (TaskInFlight("u1", None, pid=7, eta=1.5),))

    assert Checkpoint.decode(checkpoint.encode()) == checkpoint


def test_the_first_start_has_an_empty_checkpoint() -> None:
    """None is what a new spool has."""
    assert Checkpoint.decode(None) == Checkpoint()


@pytest.mark.parametrize(
    "data", [b"", b"\x81\xa7digests", b"\x93\x01\x02\x03", b"\x81\xa7digests\x07"]
)
def test_what_cannot_be_read_is_an_error_and_an_empty_checkpoint(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The monitor starts; some events may count twice, and it says so."""
    assert Checkpoint.decode(data) == Checkpoint()

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("the checkpoint cannot be read: ")


def test_any_version_reads_the_checkpoint_of_any_other() -> None:
    """What one does not know it leaves out, and what is not there is empty."""

    class Before(msgspec.Struct, rename={"in_flight": "flights"}):
        digests: bytes = b""
        in_flight: tuple[TaskInFlight, ...] = ()

    tasks = (TaskInFlight("u1", "proj.add"),)
    written = Checkpoint(b"12345678", tasks, {"0123456789ab": Position(7, 2)})

    assert Checkpoint.decode(written.encode()) == written
    before = msgspec.msgpack.decode(written.encode(), type=Before)
    assert (before.digests, before.in_flight) == (written.digests, tasks)
    assert Checkpoint.decode(msgspec.msgpack.encode(before)) == Checkpoint(b"12345678", tasks)
