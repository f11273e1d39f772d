"""Queues: what check says of those it could read."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest
from celery import Celery

from event_monitor.broker.protocols import Errors
from event_monitor.check import Finding, queues
from event_monitor.check.rights import Needs
from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth


class Probe:
    """A broker with these queues."""

    gone: Errors = (ConnectionError,)
    refusal: Exception | None = None

    def __init__(self, depths: Iterable[QueueDepth], *, age_hint: str) -> None:
        self.age_hint = age_hint
        self.asked: list[str] = []
        self._depths = tuple(depths)

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        self.asked += names
        return self._depths

    def close(self) -> None:
        """Do nothing."""


def found(*depths: QueueDepth, age_hint: str = "call stamp_tasks") -> list[Finding]:
    probe = Probe(depths, age_hint=age_hint)
    app = Celery("proj", broker="memory://", set_as_current=False)
    return list(
        queues.examine_queues(app, Settings(), Needs(), make_queue_probe=lambda *_, **__: probe)
    )


def test_where_messages_have_no_age_the_way_to_one_is_told() -> None:
    """Of those that wait only; an empty queue proves nothing."""
    findings = found(
        QueueDepth("celery", ready=3),
        QueueDepth("empty", ready=0),
        QueueDepth("known", ready=2, oldest_seconds=1.0),
    )

    assert findings[1:] == [
        Finding(
            "queues",
            "note",
            "nothing tells how old the messages in celery are",
            "For OldestMessageAge: call stamp_tasks.",
        )
    ]


@pytest.mark.parametrize(
    ("depth", "hint"),
    [
        (QueueDepth("celery", ready=0), "call stamp_tasks"),
        (QueueDepth("celery", ready=3, oldest_seconds=1.0), "call stamp_tasks"),
        (QueueDepth("celery", ready=3), ""),
    ],
    ids=["nothing waits", "its age is known", "nothing can be done"],
)
def test_else_nothing_is_said(depth: QueueDepth, hint: str) -> None:
    assert [finding.status for finding in found(depth, age_hint=hint)] == ["ok"]


def test_only_the_services_own_queues_are_read() -> None:
    """Whoever else reads from this broker."""
    probe = Probe([], age_hint="")
    app = Celery("proj", broker="memory://", set_as_current=False)

    list(
        queues.examine_queues(
            app,
            Settings(only_queues=("shop*",)),
            Needs(),
            consumed=("shop", "mail"),
            make_queue_probe=lambda *_, **__: probe,
        )
    )

    assert probe.asked == ["shop"]
