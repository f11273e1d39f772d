"""Unacknowledged messages on Redis: to which queue a routing key leads."""

from __future__ import annotations

import pytest

from event_monitor.probes.unacked_redis import _topic_matches


@pytest.mark.parametrize(
    ("binding", "routing_key", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("*.b", "a.b", True),
        ("a.*", "a", False),
        ("a.#", "a.b.c", True),
        ("#", "anything.at.all", True),
        ("#.c", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b", False),
        ("*.*.*", "a.b", False),
        ("(a+)+$", "a" * 200 + "!", False),
        ("*." * 120 + "x", "a." * 120 + "y", False),
    ],
)
def test_a_topic_is_matched_word_by_word(binding: str, routing_key: str, matches: bool) -> None:
    """In time that does not explode: whoever may write to Redis may write any binding."""
    assert _topic_matches(binding, routing_key=routing_key) is matches
