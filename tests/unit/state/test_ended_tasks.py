"""What consumers of tasks get: values of those that ended, of all or of those that are chosen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from event_monitor import events as ev
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink, EndedTask, OrphanedTask, Snapshot, TaskCounts
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.making import W1, beat, task

DETAILS = ("message", "traceback", "args", "kwargs", "result")
TRACEBACK = 'Traceback (most recent call last):\n  File "/app/shop.py", line 3, in pay\n    x\nE\n'


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def detailed(what: str, uuid: str = "u1", **fields: Any) -> ev.DetailedTaskEvent:
    """Return a task event with what is decoded only if asked for."""
    usual = task(what, uuid)
    names = usual.__struct_fields__
    return ev.DetailedTaskEvent(**{name: getattr(usual, name) for name in names}, **fields)


def related(what: str, *, root: str | None, parent: str | None = None) -> ev.RelatedTaskEvent:
    """Return a task event as it is decoded for a history."""
    usual = task(what)
    known = {name: getattr(usual, name) for name in usual.__struct_fields__}
    return ev.RelatedTaskEvent(**known, root_id=root, parent_id=parent)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


def watched(clock: FakeClock, **options: Any) -> tuple[State, list[EndedTask]]:
    """Return a state, and what its consumer has got."""
    ended: list[EndedTask] = []
    settings = Settings(history=True, **options.pop("settings", {}))
    return State(settings, clock=clock, task_consumers=(ended.extend,), **options), ended


def test_a_run_that_is_retried_is_handed_over_as_it_was(clock: FakeClock) -> None:
    """Though the next one has begun in the same batch."""
    state, ended = watched(clock)
    failed: Any = {"exception": raw("ValueError(1)"), "traceback": raw(TRACEBACK)}
    state.observe(
        [
            task("received", at=1_000.0),
            task("started", at=1_001.0),
            task("retried", at=1_002.0, **failed),
            task("received", at=1_003.0, retries=1),
            task("started", at=1_004.0),
            task("succeeded", at=1_005.0, runtime=0.5),
        ]
    )
    first, last = ended
    assert (first.how, first.name, first.started, first.retries) == (
        "retried",
        "proj.add",
        1_001.0,
        1,
    )
    assert (first.exception, first.place) == ("ValueError", "/app/shop.py:3 in pay")
    assert (last.how, last.started, last.retries, last.runtime) == ("succeeded", 1_004.0, 1, 0.5)
    assert (last.received, last.exception, last.place) == (1_000.0, None, None)


def test_only_what_is_chosen_is_handed_over_and_all_is_counted(clock: FakeClock) -> None:
    """Failures and what was retried are not chosen among."""
    asked: list[tuple[str, str, float | None]] = []

    def weigh(uuid: str, name: str, runtime: float | None) -> float:
        asked.append((uuid, name, runtime))
        return 7.0 if uuid == "u3" else 0.0

    state, ended = watched(clock, weigh=weigh)
    for uuid in ("u1", "u2", "u3", "u4"):
        state.observe([task("received", uuid), task("started", uuid)])
    state.observe(
        [
            task("succeeded", "u1", runtime=0.1),
            task("failed", "u2"),
            task("succeeded", "u3", runtime=0.3),
            task("retried", "u4"),
            task("received", "u4", retries=1),
            task("started", "u4"),
            task("succeeded", "u4", runtime=0.4),
        ]
    )
    assert [(one.id, one.how, one.weight) for one in ended] == [
        ("u2", "failed", 1.0),
        ("u3", "succeeded", 7.0),
        ("u4", "retried", 1.0),
        ("u4", "succeeded", 1.0),
    ]
    assert asked == [("u1", "proj.add", 0.1), ("u3", "proj.add", 0.3)]
    counts = dict(state.freeze_while(state.expose).develop().window.tasks)["proj.add"]
    assert (counts.succeeded, counts.failed, counts.retried) == (3, 1, 1)


@pytest.mark.parametrize("sent", [True, False], ids=["with task-sent", "without"])
def test_choosing_changes_no_count(clock: FakeClock, sent: bool) -> None:
    """The same window with and without consumers."""

    def counts(state: State) -> TaskCounts:
        events = [task("sent")] if sent else []
        events += [task("received"), task("started"), task("succeeded", runtime=0.1)]
        events += [task("succeeded", runtime=0.1), task("succeeded", "u9", runtime=0.1)]
        state.observe(events)
        snapshot: Snapshot = state.freeze_while(state.expose).develop()
        return dict(snapshot.window.tasks)["proj.add"]

    without = State(clock=clock)
    chosen, _ = watched(clock, weigh=lambda *_: 0.0)
    everything, ended = watched(clock)
    assert counts(without) == counts(chosen) == counts(everything)
    assert [one.id for one in ended] == ["u1", "u9"]


def test_details_are_handed_over_only_by_name(clock: FakeClock) -> None:
    """As they came; args and kwargs are those of the last delivery."""
    args, result = raw("(1,)"), raw("42")
    for wanted in ((), ("args",), DETAILS):
        state, ended = watched(clock, settings={"history_details": wanted})
        for uuid in ("u1", "u2"):  # of a name that is new, and of one that is known
            received = detailed("received", uuid, args=args, kwargs=raw("{}"))
            state.observe([received, task("started", uuid)])
            state.observe([detailed("succeeded", uuid, result=result)])
        everything = {"args": b'"(1,)"', "kwargs": b'"{}"', "result": b'"42"'}
        assert [dict(one.details) for one in ended] == 2 * [
            {name: text for name, text in everything.items() if name in wanted}
        ]


def test_messages_and_tracebacks_are_details_too(clock: FakeClock) -> None:
    """Without args nothing else has to be decoded."""
    state, ended = watched(clock, settings={"history_details": ("message", "traceback")})
    failed: Any = {"exception": raw("ValueError(1)"), "traceback": raw(TRACEBACK)}
    state.observe([task("received"), task("started"), task("failed", **failed)])
    assert dict(ended[0].details) == {
        "message": b'"ValueError(1)"',
        "traceback": msgspec.json.encode(TRACEBACK),
    }


def test_what_is_too_long_to_be_celerys_is_left_out(clock: FakeClock) -> None:
    """It would fill the memory."""
    state, ended = watched(clock, settings={"history_details": DETAILS})
    long = raw("x" * 20_000)
    state.observe([detailed("received", args=long), detailed("succeeded", result=long)])
    assert ended[0].details == ()
    assert ended[0].worker == W1


@pytest.mark.parametrize("first", ["sent", "received"])
@pytest.mark.parametrize(
    ("root", "parent", "known"),
    [
        ("u0", "u0", ("u0", "u0")),
        ("u0", "ua", ("u0", "ua")),
        ("u0", None, ("u0", None)),
        ("u1", None, (None, None)),
        (None, None, (None, None)),
    ],
)
def test_a_task_is_handed_over_with_those_that_it_descends_from(
    clock: FakeClock, first: str, root: str | None, parent: str | None, known: object
) -> None:
    """Each run that ends; that the first task is its own root goes without saying."""
    state, ended = watched(clock)
    state.observe([related(first, root=root, parent=parent), task("started"), task("retried")])
    state.observe([task("started"), task("succeeded")])
    assert [(one.how, (one.root, one.parent)) for one in ended] == [
        ("retried", known),
        ("succeeded", known),
    ]


def test_an_orphaned_task_has_them_too(clock: FakeClock) -> None:
    """They are in the snapshot that tells of its worker's death."""
    state, _ = watched(clock)
    state.change_link(BrokerLink.LISTENING)
    state.observe([beat(), related("received", root="u0", parent="ua"), task("started")])
    clock.advance(1_000)
    (loss,) = state.freeze_while(state.expose).develop().losses
    assert loss.orphans == (OrphanedTask("u1", "proj.add", "u0", "ua"),)


def test_relatives_change_no_count(clock: FakeClock) -> None:
    """The same window, whatever tasks descend from."""
    windows = []
    for decoded in (related("received", root="u0", parent="ua"), task("received")):
        state, _ = watched(clock)
        state.observe([decoded, task("started"), task("succeeded", runtime=0.1)])
        windows.append(state.freeze_while(state.expose).develop().window.tasks)
    assert windows[0] == windows[1]


def test_only_a_detailed_decoder_reads_arguments() -> None:
    """The usual one skips them."""
    body = (
        b'[{"type": "task-received", "uuid": "u1", "hostname": "w", "timestamp": 1.0, '
        b'"name": "n", "args": "(1,)", "kwargs": "{}"}, '
        b'{"type": "task-succeeded", "uuid": "u1", "hostname": "w", "timestamp": 1.0, '
        b'"result": "42"}]'
    )

    def refuse(error: Exception) -> None:
        raise error

    usual = ev.decode([body], on_invalid=refuse)
    received, succeeded = ev.decode([body], on_invalid=refuse, task_event=ev.DetailedTaskEvent)
    assert [type(event) for event in usual] == [ev.TaskEvent] * 2
    assert isinstance(received, ev.DetailedTaskEvent)
    assert isinstance(succeeded, ev.DetailedTaskEvent)
    assert (bytes(received.args), bytes(succeeded.result)) == (b'"(1,)"', b'"42"')
    (alone,) = ev.decode(
        [body[1:].partition(b"}, ")[0] + b"}"], on_invalid=refuse, task_event=ev.DetailedTaskEvent
    )
    assert isinstance(alone, ev.DetailedTaskEvent)


@pytest.mark.parametrize(
    "text",
    [
        *("ValueError('x')", "ValueError()", "shop.errors.NoSuchOrder(17)", "KeyError('(')"),
        *("<3 problems>", "ExceptionWithTraceback()", "ValueError", "ÄrgerError('x')"),
        *('OddError("a\\nb")', "no class(1)", "(", "", "17(1)", "a..b(1)", "x" * 300 + "(1)"),
    ],
)
@pytest.mark.parametrize("traceback", [TRACEBACK, "", "no traceback\n"])
def test_the_exception_is_what_it_is_counted_under(
    clock: FakeClock, text: str, traceback: str
) -> None:
    """However its repr begins."""
    state, ended = watched(clock)
    for uuid in ("u1", "u2"):
        state.observe([task("failed", uuid, exception=raw(text), traceback=raw(traceback))])
    expected = ev.exception_type(task("failed", exception=raw(text), traceback=raw(traceback)))
    assert [one.exception for one in ended] == [expected] * 2


def test_of_failures_alone_only_so_many_a_second_are_handed_over(clock: FakeClock) -> None:
    """Whatever else ends is not; all is counted."""
    state, ended = watched(clock, failures_per_second=3)

    def end(what: str, first: int, last: int) -> None:
        for number in range(first, last):
            uuid = f"u{number}"
            fails: Any = {"exception": raw("ValueError(1)")} if what == "failed" else {}
            state.observe(
                [task("received", uuid), task("started", uuid), task(what, uuid, **fails)]
            )

    end("succeeded", 0, 5)
    end("failed", 5, 7)
    end("retried", 7, 9)
    end("failed", 9, 14)
    assert [task.id for task in ended] == ["u5", "u6", "u9"]
    clock.advance(1)
    end("failed", 14, 15)
    assert [task.id for task in ended] == ["u5", "u6", "u9", "u14"]
    counts = dict(state.freeze_while(state.expose).develop().window.tasks)["proj.add"]
    assert (counts.succeeded, counts.failed, counts.retried) == (5, 8, 2)


def test_what_descends_from_none_counts_with_a_history_as_without_one(clock: FakeClock) -> None:
    """Also where it is delivered again, retried, or has an eta."""
    with_history, _ = watched(clock)
    without = State(Settings(), clock=clock)
    plain: list[ev.Event] = [
        beat(),
        task("received", "u0", at=1_000.0),
        task("received", "u1", at=1_001.0),
        task("received", "u1", at=1_002.0),
        task("received", "u2", at=1_003.0, retries=1),
        task("received", "u3", at=1_004.0, eta="1970-01-01T00:20:00+00:00"),
        *(task("started", f"u{number}", at=1_010.0) for number in range(4)),
        *(task("succeeded", f"u{number}", at=1_011.0, runtime=0.5) for number in range(4)),
    ]
    decoded: list[ev.Event] = []
    for event in plain:
        if isinstance(event, ev.TaskEvent) and event.type == "task-received":
            known = {name: getattr(event, name) for name in event.__struct_fields__}
            decoded.append(ev.RelatedTaskEvent(**known, root_id=event.uuid))
        else:
            decoded.append(event)

    with_history.observe(decoded)
    without.observe(plain)

    windows = [
        state.freeze_while(state.expose).develop().window for state in (with_history, without)
    ]
    assert windows[0].tasks == windows[1].tasks
    counts = dict(windows[0].tasks)["proj.add"]
    assert (counts.received, counts.started, counts.succeeded) == (5, 4, 4)
