"""Link: one question is asked twice at the most, and its failure is one short line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from event_monitor.probes.link import GONE, Link


class LostError(Exception):
    """What the transport raises when the connection is of no use any more."""


def source(clones: list[Any]) -> Any:
    """A connection whose clones are connected at once, and collected."""

    def clone(**_changes: object) -> Any:
        made = SimpleNamespace(
            transport_cls="fake",
            transport_options={},
            alt=(),
            transport=SimpleNamespace(driver_type="fake"),
            connection_errors=(LostError,),
            channel_errors=(),
            connected=True,
            clone=clone,
            ensure_connection=lambda _errback, **_options: None,
            as_uri=lambda: "fake://:**@host//",
            userid=None,
            password="secret",
            release=lambda: None,
        )
        clones.append(made)
        return made

    return clone()


def test_questions_share_a_connection() -> None:
    clones: list[Any] = []
    link = Link(source(clones), timeout_seconds=1.0)

    first, second = (link.ask(lambda connection: connection) for _ in range(2))

    assert first is second is clones[-1]


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    """Without a failure: the question is asked again."""
    clones: list[Any] = []
    link = Link(source(clones), timeout_seconds=1.0)
    closed: object = link.ask(lambda connection: connection)

    def question(connection: object) -> str:
        if connection is closed:
            raise LostError
        return "answer"

    assert link.ask(question) == "answer"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LostError("of\n  two lines."), "of two lines"),
        (TimeoutError(), "TimeoutError"),
        (LostError("x" * 10_000), "x" * 300),
    ],
    ids=["two lines", "no text", "long"],
)
def test_a_failure_is_one_short_line_without_the_password(error: Exception, reason: str) -> None:
    link = Link(source([]), timeout_seconds=1.0)

    def question(_connection: object) -> None:
        raise error

    with pytest.raises(GONE) as caught:
        link.ask(question)
    assert str(caught.value) == f"the queues of fake://:**@host// cannot be read: {reason}"


def test_a_mistake_of_ours_is_not_taken_for_a_failure_of_the_broker() -> None:
    link = Link(source([]), timeout_seconds=1.0)

    with pytest.raises(ZeroDivisionError):
        link.ask(lambda _connection: 1 / 0)


def test_bytes_that_the_driver_does_not_expect_are_a_failure_of_the_broker() -> None:
    """While it connects, it raises anything then."""
    made = source([])

    def confused(_errback: object, **_options: object) -> None:
        raise TypeError("unhashable type: 'list'")

    made.clone = lambda **_changes: made
    made.ensure_connection = confused
    with pytest.raises(GONE, match="cannot be read: TypeError: unhashable type: 'list'"):
        Link(made, timeout_seconds=1.0).ask(lambda connection: connection)
