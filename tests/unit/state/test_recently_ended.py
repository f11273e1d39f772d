"""RecentlyEnded: a bounded memory of what ended, and how."""

from __future__ import annotations

import tracemalloc

from event_monitor.state.recently_ended import Ended, RecentlyEnded


def test_an_ending_is_found_whenever_it_is_looked_for() -> None:
    """Right after it was noted, and after others were noted and looked for."""
    endings = RecentlyEnded()
    for number in range(500):
        endings.note(f"u{number}", f"name-{number}", "task-succeeded")
        assert endings.find(f"u{number // 2}") == Ended(
            f"name-{number // 2}", "task-succeeded", False
        )
    assert endings.find("u500") is None


def test_the_last_ending_counts() -> None:
    """A task may be delivered again, and end otherwise; whichever page its endings are on."""
    endings = RecentlyEnded()
    for number in range(30_000):
        if number % 7_000 == 0:
            endings.note("again", "job", f"task-{number}")
        if number % 3_000 == 0:
            assert endings.find("again") == Ended("job", f"task-{number // 7_000 * 7_000}", False)
        endings.note(f"u{number}", "job", "task-succeeded")


def test_what_is_forgotten_was_never_there() -> None:
    """Until it ends again."""
    endings = RecentlyEnded()
    endings.note("u", "job", "task-failed")
    endings.forget("u")
    assert endings.find("u") is None
    endings.note("u", "job", "task-succeeded")
    assert endings.find("u") == Ended("job", "task-succeeded", False)


def test_the_last_ten_thousand_are_remembered_and_older_ones_forgotten() -> None:
    """In little memory, however many there were."""
    tracemalloc.start()
    endings = RecentlyEnded()
    for number in range(100_000):
        endings.note(f"u{number}", "job", "task-succeeded")
    assert all(endings.find(f"u{number}") for number in range(90_000, 100_000))
    assert not any(endings.find(f"u{number}") for number in range(79_000))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4_000_000
