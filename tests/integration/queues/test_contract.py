"""Contract: every kind of probe reports the same of the same queues, against the real server."""

from __future__ import annotations

import pytest

from ...support.waiting import wait_until
from .cluster import Make

KINDS = ("redis", "redis prefixed", "redis socket", "sentinel", "classic", "quorum", "sqs")


@pytest.mark.parametrize("kind", KINDS)
class TestContract:
    """What every kind of probe promises."""

    def test_reports_what_waits_in_each_queue_in_the_order_asked(
        self, kind: str, make: Make
    ) -> None:
        cluster = make(kind)
        cluster.publish("one", 1)
        cluster.publish("three", 3)
        cluster.publish("three.elsewhere", 2)

        depths = cluster.probe().read(("three", "one"))

        assert [(depth.name, depth.ready) for depth in depths] == [("three", 3), ("one", 1)]

    def test_messages_that_were_taken_are_not_ready(self, kind: str, make: Make) -> None:
        cluster = make(kind)
        cluster.publish("q", 5)
        cluster.take("q", 2)
        probe = cluster.probe()

        wait_until(lambda: probe.read(("q",))[0].ready == 3, 60, "three are ready")

    def test_knows_nothing_of_a_queue_that_is_not_there(self, kind: str, make: Make) -> None:
        """On Redis a queue that is empty and one that is not there are the same."""
        cluster = make(kind)
        cluster.publish("there", 1)

        missing, there, too = cluster.probe().read(("missing", "there", "missing, too"))

        assert there.ready == 1
        absent = (0, 0) if kind in ("redis", "redis prefixed", "redis socket", "sentinel") else None
        for depth in (missing, too):
            assert (depth.ready, depth.unacked) == (absent or (None, None))

    def test_asks_again_after_it_was_closed(self, kind: str, make: Make) -> None:
        cluster = make(kind)
        cluster.publish("q", 2)
        probe = cluster.probe()
        before = probe.read(("q",))
        probe.close()
        probe.close()

        assert [depth.ready for depth in (*before, *probe.read(("q",)))] == [2, 2]

    def test_no_names_no_depths(self, kind: str, make: Make) -> None:
        assert make(kind).probe().read(()) == ()
