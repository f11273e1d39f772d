"""Cells: windows add up to counters that only grow, whatever a look falls between."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from event_monitor.snapshot import OTHER, ExceptionCounts, TaskCounts, total
from event_monitor.web.cells import BOUNDS, Cell, Cells, Room, Shown

from .making import Tasks, live, times, window

ADD = "proj.add"


def cells(**room: int) -> Cells:
    return Cells(default_queue="celery", room=Room(**room) if room else None)


def sent(look: tuple[tuple[Cell, Shown], ...]) -> list[int]:
    return [shown.counts[0] for _, shown in look]


def test_a_look_adds_the_open_window_to_those_that_are_closed() -> None:
    """So that a scrape between two shots shows what is now."""
    made = cells()
    assert sent(made.look(live({ADD: TaskCounts(sent=1)}))) == [1]
    made.add(window({ADD: TaskCounts(sent=2)}))
    assert sent(made.look(live({ADD: TaskCounts(sent=1)}, opened_at=60))) == [3]


def test_a_window_that_was_closed_after_the_look_is_not_added_twice() -> None:
    """A look may be a second old."""
    made = cells()
    made.add(window({ADD: TaskCounts(sent=2)}))
    assert sent(made.look(live({ADD: TaskCounts(sent=2)}))) == [2]


def test_nothing_falls_while_a_closed_window_is_on_its_way() -> None:
    """The next one is open already, and the snapshot still asks the broker."""
    made = cells()
    made.look(live({ADD: TaskCounts(sent=5)}))
    assert sent(made.look(live({ADD: TaskCounts(sent=1)}, opened_at=60))) == [5]
    made.add(window({ADD: TaskCounts(sent=6)}))
    assert sent(made.look(live({ADD: TaskCounts(sent=1)}, opened_at=60))) == [7]


def test_rejections_count_when_their_window_is_closed() -> None:
    """Until then one may turn out to be a failure."""
    made = cells()
    ((_, shown),) = made.look(live({ADD: TaskCounts(rejected=1)}))
    assert shown.counts[-1] == 0
    made.add(window({ADD: TaskCounts(failed=1)}))
    ((_, shown),) = made.look(live(opened_at=60))
    assert (shown.counts[-1], dict(shown.failed)) == (0, {"": 1})


def test_times_are_counted_by_the_bounds_they_do_not_exceed() -> None:
    """Count and sum are exact."""
    made = cells()
    made.add(window({ADD: TaskCounts(succeeded=3, runtime=times(0.005, 0.3, 9_999.0))}))
    ((_, shown),) = made.look(live({ADD: TaskCounts(runtime=times(0.3))}, opened_at=60))

    counts = dict(zip((*BOUNDS, "+Inf"), shown.runtime.counts, strict=True))
    assert (counts[0.005], counts[0.25], counts[0.5], counts[3_600.0]) == (1, 1, 3, 3)
    assert (counts["+Inf"], shown.runtime.sum) == (4, 0.005 + 0.3 + 9_999.0 + 0.3)


def test_a_bucket_never_falls_though_a_value_is_known_less_exactly_later() -> None:
    """A closed window has midpoints where the open one had values."""
    made = cells()
    made.look(live({ADD: TaskCounts(runtime=times(0.0249))}))
    made.add(window({ADD: TaskCounts(runtime=times(0.0251))}))
    ((_, shown),) = made.look(live(opened_at=60))
    assert shown.runtime.counts == (0, 0, *[1] * (len(BOUNDS) - 1))


def test_each_queue_of_a_name_has_its_own_cell_and_an_unknown_one_is_the_default() -> None:
    """As dashboards split them."""
    made = cells()
    made.add(window({(ADD, "mail"): TaskCounts(sent=1), (ADD, "celery"): TaskCounts(sent=2)}))
    look = made.look(live({ADD: TaskCounts(sent=3)}, opened_at=60))
    assert [(cell.name, cell.queue, shown.counts[0]) for cell, shown in look] == [
        (ADD, "mail", 1),
        (ADD, "celery", 5),
    ]


def test_failures_are_counted_by_what_was_raised() -> None:
    """In the open window, too; those of which nothing is known have no class."""
    made = cells()
    first = ExceptionCounts(ADD, "mail", "ValueError", failed=2, retried=5)
    of_mail: Tasks = {(ADD, "mail"): TaskCounts(failed=3, retried=5)}
    made.add(window(of_mail, exceptions=(first,)))
    second = (ExceptionCounts(ADD, "mail", "KeyError", failed=1), replace(first, failed=0))
    ((_, shown),) = made.look(
        live({(ADD, "mail"): TaskCounts(failed=1)}, opened_at=60, exceptions=second)
    )
    assert dict(shown.failed) == {"": 1, "ValueError": 2, "KeyError": 1}


def test_names_without_room_count_as_other() -> None:
    """Those that came first keep their place."""
    made = cells(counts=16, times=96)
    many = {f"t{number}": TaskCounts(sent=1, failed=1) for number in range(10)}
    made.add(window(many))
    look = made.look(live(many, opened_at=60))

    assert [(cell.name, cell.queue, shown.counts[0]) for cell, shown in look] == [
        ("t0", "celery", 2),
        ("t1", "celery", 2),
        (OTHER, OTHER, 16),
    ]
    assert len(made.folded) == 8


def test_times_without_room_are_those_of_other() -> None:
    """Counts have more room than times, which take six times as many lines."""
    made = cells(counts=100, times=48)
    made.add(window({f"t{number}": TaskCounts(runtime=times(1.0)) for number in range(3)}))
    look = made.look(live({"t1": TaskCounts(runtime=times(2.0))}, opened_at=60))

    assert [(cell.name, cell.has_times, shown.runtime.sum) for cell, shown in look] == [
        ("t0", True, 1.0),
        (OTHER, True, 4.0),
        ("t1", False, 0.0),
        ("t2", False, 0.0),
    ]


NAMES = st.sampled_from(["a", "b", "c"])
COUNTS = st.builds(
    TaskCounts,
    sent=st.integers(0, 5),
    succeeded=st.integers(0, 5),
    failed=st.integers(0, 5),
    rejected=st.integers(0, 2),
    runtime=st.lists(st.floats(0, 5_000), max_size=4).map(lambda values: times(*values)),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.dictionaries(NAMES, COUNTS), st.booleans(), st.booleans())))
def test_what_is_shown_only_grows_and_ends_at_the_sum(
    windows: list[tuple[dict[str, TaskCounts], bool, bool]],
) -> None:
    """Looks before, while and after a window is closed."""
    made = cells()
    before: dict[Cell, Shown] = {}

    def look(tasks: dict[str, TaskCounts], opened_at: float) -> dict[Cell, Shown]:
        shown = dict(made.look(live(tasks, opened_at=opened_at)))
        for cell, was in before.items():
            now = shown[cell]
            assert all(a >= b for a, b in zip(now.counts, was.counts, strict=True))
            assert all(a >= b for a, b in zip(now.runtime.counts, was.runtime.counts, strict=True))
            assert dict(now.failed)[""] >= dict(was.failed)[""]
        before.update(shown)
        return shown

    for number, (tasks, early, late) in enumerate(windows):
        opened_at = number * 60.0
        look({name: replace(counts, sent=0) for name, counts in tasks.items()}, opened_at)
        if early:
            look(tasks, opened_at)
            look({}, opened_at + 60)
        made.add(window(tasks, opened_at=opened_at))
        if late:
            look(tasks, opened_at)
    shown = look({}, len(windows) * 60.0)
    whole = total(counts for tasks, _, _ in windows for counts in tasks.values())
    assert sum(s.counts[0] for s in shown.values()) == whole.sent
    assert sum(s.counts[-1] for s in shown.values()) == whole.rejected
    assert sum(dict(s.failed)[""] for s in shown.values()) == whole.failed
    assert sum(s.runtime.counts[-1] for s in shown.values()) == whole.runtime.count
