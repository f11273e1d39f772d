"""Publishing: messages are acknowledged when their counts are on disk, and not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from event_monitor.publisher import Publisher, Spool
from event_monitor.publisher.snapshot_consumer import SnapshotPublisher
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken, BrokerLink, Snapshot, Window
from event_monitor.testing import MemorySink

from .test_failing_disk import FillableDisk

TOKEN = AckToken("session", 7, (b"12345678",))


def snapshot(*tokens: AckToken) -> Snapshot:
    return Snapshot(window=Window(0.0, 60.0), ack_tokens=tokens)


def test_what_a_disk_did_not_take_is_acknowledged_when_it_has(tmp_path: Path) -> None:
    """Even if nothing new has come since: else the broker would send nothing any more."""
    # Given a disk that is full for one window
    disk, acknowledged = FillableDisk(), list[AckToken]()
    spool = Spool(str(tmp_path), open_store=disk.open_store)
    spool.open()

    def acknowledge(token: AckToken) -> bool:
        acknowledged.append(token)
        return True

    publishing = SnapshotPublisher(
        Publisher(MemorySink(), spool),
        Settings(),
        checkpoint=lambda _snapshot: b"checkpoint",
        acknowledge=acknowledge,
    )
    disk.is_full = True
    publishing(snapshot(TOKEN))
    assert acknowledged == []

    # When it works again, and nothing has come meanwhile
    disk.is_full = False
    publishing(snapshot())
    publishing(snapshot())

    # Then all of it is on disk, and acknowledged once
    assert acknowledged == [TOKEN]
    assert spool.checkpoint() == b"checkpoint"
    spool.close()


def test_without_messages_to_acknowledge_no_checkpoint_is_made(tmp_path: Path) -> None:
    """A broker that keeps nothing needs none."""
    spool = Spool(str(tmp_path))
    spool.open()
    SnapshotPublisher(Publisher(MemorySink(), spool), Settings())(snapshot())
    assert len(spool) > 0
    assert spool.checkpoint() is None
    spool.close()


def test_without_a_disk_messages_are_acknowledged_when_the_sink_has_all() -> None:
    """As in a container: the queue keeps the messages until then."""
    # Given
    spool, acknowledged = Spool(), list[AckToken]()
    spool.open()

    def acknowledge(token: AckToken) -> bool:
        acknowledged.append(token)
        return True

    publishing = SnapshotPublisher(
        Publisher(MemorySink(), spool), Settings(), acknowledge=acknowledge
    )

    # When the sink has the first of two windows
    publishing(snapshot(TOKEN))
    publishing.note_accepted()
    publishing(snapshot(replace(TOKEN, tag=8)))
    publishing.note_accepted()
    assert acknowledged == []

    # And when it has both
    while batch := spool.oldest():
        spool.acknowledge(batch.id)
        publishing.note_accepted()
    publishing.note_accepted()

    # Then they are acknowledged, once
    assert acknowledged == [replace(TOKEN, tag=8)]
    spool.close()


def test_what_the_sink_got_and_no_disk_has_is_known_to_come_again(tmp_path: Path) -> None:
    """The broker sends its messages again, and nothing would tell that they were counted."""
    # Given a disk that is full
    disk = FillableDisk()
    spool = Spool(str(tmp_path), open_store=disk.open_store)
    spool.open()
    publishing = SnapshotPublisher(
        Publisher(MemorySink(), spool),
        Settings(),
        checkpoint=lambda _snapshot: b"checkpoint",
        acknowledge=lambda _token: True,
    )
    assert not publishing.comes_again
    disk.is_full = True
    publishing(snapshot(TOKEN))

    # When, then
    assert publishing.comes_again
    disk.is_full = False
    publishing(snapshot())
    assert not publishing.comes_again
    spool.close()


def test_what_could_not_be_acknowledged_but_is_on_disk_does_no_harm(tmp_path: Path) -> None:
    """It comes again, and is recognised."""
    spool = Spool(str(tmp_path))
    spool.open()
    publishing = SnapshotPublisher(
        Publisher(MemorySink(), spool),
        Settings(),
        checkpoint=lambda _snapshot: b"checkpoint",
        acknowledge=lambda _token: False,
    )
    publishing(snapshot(TOKEN))

    assert not publishing.comes_again
    spool.close()


class FullDisk:
    """A publishing to a disk that is full, with what it has acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.disk, self.acknowledged = FillableDisk(), list[AckToken]()
        self.disk.is_full = True
        self.spool = Spool(str(directory), open_store=self.disk.open_store)
        self.spool.open()
        self.publishing = SnapshotPublisher(
            Publisher(MemorySink(), self.spool),
            Settings(),
            checkpoint=lambda _snapshot: b"checkpoint",
            acknowledge=self.acknowledge,
        )

    def acknowledge(self, token: AckToken) -> bool:
        self.acknowledged.append(token)
        return True

    def send_one(self) -> None:
        batch = self.spool.oldest()
        assert batch is not None
        self.spool.acknowledge(batch.id)
        self.publishing.note_accepted()


def test_what_no_disk_has_is_acknowledged_when_the_sink_has_all_of_it(tmp_path: Path) -> None:
    """Else its messages would come again after a restart, and count twice."""
    # Given two windows in memory
    later = replace(TOKEN, tag=9)
    full = FullDisk(tmp_path)
    full.publishing(snapshot(TOKEN))
    full.publishing(snapshot(later))

    # When the first is sent
    full.send_one()

    # Then nothing is acknowledged: one token acknowledges all before it
    assert full.acknowledged == []
    assert full.publishing.comes_again

    # When the other is, too
    full.send_one()

    # Then both are, once, also when the disk works again
    assert not full.publishing.comes_again
    full.disk.is_full = False
    full.publishing(snapshot())
    full.send_one()
    assert full.acknowledged == [later]
    assert full.spool.checkpoint() == b"checkpoint"
    full.spool.close()


class HastySink:
    """A publisher of which all has arrived before ``publish`` returns."""

    is_all_safe = True

    def __init__(self) -> None:
        self.on_accepted: Callable[[], None] = lambda: None

    def publish(self, _metrics: object, **_options: object) -> bool:
        """Tell that it has arrived."""
        self.on_accepted()
        return False


@pytest.mark.parametrize("has_disk", [True, False])
def test_what_arrives_at_once_is_acknowledged(*, has_disk: bool) -> None:
    """The last window has no later one that would do it."""
    acknowledged: list[AckToken] = []

    def acknowledge(token: AckToken) -> bool:
        acknowledged.append(token)
        return True

    publisher = HastySink()
    publishing = SnapshotPublisher(
        cast("Publisher", publisher),
        Settings(),
        checkpoint=(lambda _snapshot: b"checkpoint") if has_disk else None,
        acknowledge=acknowledge,
    )
    publisher.on_accepted = publishing.note_accepted

    publishing(snapshot(TOKEN))

    assert acknowledged == [TOKEN]


def test_a_window_of_a_standby_is_published_if_nobody_else_gets_its_messages() -> None:
    """As over SQS, which keeps them out of sight for a while."""
    spool = Spool()
    spool.open()
    publishing = SnapshotPublisher(
        Publisher(MemorySink(), spool), Settings(), is_ours=lambda one: one.ack_tokens == (TOKEN,)
    )
    for tokens in ((TOKEN,), (replace(TOKEN, tag=8),), ()):
        before = len(spool)
        publishing(replace(snapshot(*tokens), link=BrokerLink.STANDBY))
        assert (len(spool) > before) is (tokens == (TOKEN,))


def test_a_window_that_is_another_monitor_s_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Not without a word: nobody may have it."""
    discarded: list[Snapshot] = []
    sink = MemorySink()
    publishing = SnapshotPublisher(Publisher(sink, Spool()), Settings(), discard=discarded.append)
    theirs = replace(
        snapshot(TOKEN), link=BrokerLink.STANDBY, window=Window(0.0, 60.0, events_received=12)
    )

    publishing(theirs)
    publishing(replace(theirs, ack_tokens=()))  # as every window of one that stands by

    assert discarded == [theirs]
    assert [record.args for record in caplog.records] == [(12,)]
