"""The reader: filters, pages, series; also for another user, and whatever names there are."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_monitor.distribution import Distribution
from event_monitor.errors import UnavailableError
from event_monitor.history import FILE_NAME, HOUR, MINUTE, Reader, Recorder, RunFilter, Span
from event_monitor.history.batch import Batch, Row
from event_monitor.history.store import Store
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, TaskCounts, Window
from event_monitor.survey import QueueDepth, Survey
from event_monitor.testing import FakeClock

from ...support.making import W2
from ...support.users import NOBODY, acting_as, public_folder, require_root
from .conftest import OpenHistory
from .making import NOW, PLACE, ended, shot

Read = Callable[[], Reader]
GROUP = "games"  # of Debian; nobody is in it


def ids(reader: Reader, **wanted: object) -> list[str]:
    return [run.id for run in reader.runs(RunFilter(**wanted)).runs]  # type: ignore[arg-type]


def test_runs_are_filtered(open_history: OpenHistory, read: Read, clock: FakeClock) -> None:
    """By each of their facts, and by all together."""
    history = open_history(history_details=("message",))
    history.on_tasks([ended("u1", "failed", details=(("message", b"\"ValueError('Zoll')\""),))])
    history.flush()
    clock.advance(60)
    history.on_tasks(
        [
            ended("u2", "failed", worker=W2, exception="KeyError"),
            ended("u3", "revoked", name="shop.mail", queue="mail"),
            ended("u4", "retried", place="/app/mail.py:1 in send"),
        ]
    )
    history.flush()
    reader = read()

    assert ids(reader) == ["u4", "u3", "u2", "u1"]
    assert ids(reader, states=("failed",)) == ["u2", "u1"]
    assert ids(reader, states=("failed", "revoked")) == ["u3", "u2", "u1"]
    assert ids(reader, name="shop.mail") == ["u3"]
    assert ids(reader, worker=W2) == ["u2"]
    assert ids(reader, queue="mail") == ["u3"]
    assert ids(reader, exception="ValueError") == ["u4", "u1"]
    assert ids(reader, place=PLACE) == ["u2", "u1"]
    assert ids(reader, text="ZOLL") == ["u1"]
    assert ids(reader, text="mail") == ["u4", "u3"]
    assert ids(reader, text="%") == []
    assert ids(reader, since=NOW + 1) == ["u4", "u3", "u2"]
    assert ids(reader, until=NOW + 1) == ["u1"]
    assert ids(reader, since=NOW + 100) == []
    assert ids(reader, until=NOW - 100) == []
    assert ids(reader, states=("failed",), text="shop.py", since=NOW + 1) == ["u2"]


def test_a_family_is_all_that_descend_from_one(open_history: OpenHistory, read: Read) -> None:
    """Oldest first, each run, and no more than are asked for."""
    history = open_history()
    history.on_tasks(
        [
            ended("child", "retried", root="root", parent="root"),
            ended("other", "failed"),
            ended("root", "succeeded"),
            ended("child", "failed", root="root", parent="root"),
            ended("grandchild", "revoked", root="root", parent="child"),
            ended("in-a-group", "failed", root="root"),
        ]
    )
    history.flush()
    reader = read()

    family = ["child", "root", "child", "grandchild", "in-a-group"]
    assert [run.id for run in reader.family("root")] == family
    assert [run.id for run in reader.family("root", limit=3)] == family[:3]
    assert [run.id for run in reader.family("other")] == ["other"]
    assert reader.family("nobody") == ()
    assert [run.id for run in reader.children("root")] == ["child", "child"]
    assert [run.id for run in reader.children("root", limit=1)] == ["child"]
    (grandchild,) = reader.children("child")
    assert (grandchild.id, grandchild.root, grandchild.parent) == ("grandchild", "root", "child")
    (root,) = reader.task("root")
    assert (root.root, root.parent) == (None, None)


def test_a_file_of_an_earlier_version_goes_on(
    open_history: OpenHistory, read: Read, tmp_path: Path
) -> None:
    """Nothing in it is lost; until its monitor starts, it is said what to do."""
    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.flush()
    history.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.executescript(
            "DROP INDEX run_root; DROP INDEX run_parent; DROP INDEX failure_last_at; "
            "ALTER TABLE run DROP COLUMN root; "
            "ALTER TABLE run DROP COLUMN parent; "
            "ALTER TABLE task_point DROP COLUMN runtime_p99; PRAGMA user_version = 1;"
        )
    with pytest.raises(UnavailableError, match=r"an earlier version .* when it starts"):
        read()

    history = open_history()
    history.on_tasks([ended("u2", "failed", root="u1", parent="u1")])
    history.flush()
    assert [run.id for run in read().family("u1")] == ["u1", "u2"]
    assert [path.name for path in tmp_path.glob("*.corrupt-*")] == []


def test_pages_have_each_run_once(open_history: OpenHistory, read: Read) -> None:
    """Also while others are written and deleted."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(95)])
    history.flush()
    reader = read()

    seen, before = [], None
    for turned in range(20):
        page = reader.runs(before=before, limit=10)
        seen += [run.id for run in page.runs]
        before = page.next
        if before is None:
            break
        history.on_tasks([ended(f"late-{turned}", "failed")])
        history.flush()
    assert seen == [f"u{number}" for number in reversed(range(95))]


def test_a_page_that_is_exactly_full_is_the_last_if_nothing_is_before(
    open_history: OpenHistory, read: Read
) -> None:
    """No empty page follows."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(10)])
    history.flush()
    assert read().runs(limit=10).next is None


def test_a_search_looks_at_a_bounded_number_of_runs(tmp_path: Path) -> None:
    """A page says where to go on, though it has nothing; the last one has what was searched for."""
    path = tmp_path / FILE_NAME
    store = Store.open(str(path), Settings(), max_bytes=100_000_000)
    rows = [Row(NOW, ended(f"u{number}", "failed"), "failed") for number in range(20_100)]
    store.write(Batch(rows=rows), now=NOW)
    store.close()

    with Reader.open(path) as reader:
        page = reader.runs(RunFilter(text="u42"), limit=300)
        assert (len(page.runs), page.next) == (110, 101)
        page = reader.runs(RunFilter(text="u42"), before=page.next, limit=300)
        assert ([run.id for run in page.runs], page.next) == (["u42"], None)


def test_series_have_each_minute_and_hour(open_history: OpenHistory, read: Read) -> None:
    """Of each task name, and of all; several windows of a minute are one point."""
    # Given two windows in one minute, and one in the next
    minute = NOW // 60 * 60
    fast, slow = Distribution((1.0,), (19,)), Distribution((9.0,), (2,))
    history = open_history()
    for at, tasks in (
        (minute + 20, {"shop.pay": TaskCounts(succeeded=19, runtime=fast, queue_time=fast)}),
        (minute + 40, {"shop.pay": TaskCounts(succeeded=2, runtime=slow)}),
        (minute + 80, {"shop.mail": TaskCounts(sent=3, failed=2), "shop.pay": TaskCounts()}),
    ):
        history.on_snapshot(shot(at=at, seconds=20, tasks=tasks))
        history.flush()

    # When
    def points(span: Span, name: str | None = "") -> list[tuple[object, ...]]:
        found = read().task_points(span, name=name, since=minute, until=minute + 3_600)
        return [(p.at - minute, p.name, p.succeeded, p.failed, p.runtime_p95) for p in found]

    # Then
    assert points(MINUTE) == [(0, "", 21, 0, 9.0), (60, "", 0, 2, None)]
    assert points(MINUTE, None) == [(0, "shop.pay", 21, 0, 9.0), (60, "shop.mail", 0, 2, None)]
    hour = int(minute // 3_600 * 3_600 - minute)
    assert points(HOUR) == [(hour, "", 21, 2, 9.0)]
    (first, _) = read().task_points(MINUTE, since=minute, until=minute + 120)
    assert (first.runtime_sum, first.runtime_p50, first.runtime_max) == (37.0, 1.0, 9.0)
    assert (first.runtime_p95, first.runtime_p99) == (9.0, 9.0)
    assert (first.wait_p50, first.wait_max) == (1.0, 1.0)


def test_series_of_tasks_are_by_queue_too(open_history: OpenHistory, read: Read) -> None:
    """Those of all names from one queue, and each queue by itself."""
    minute = NOW // 60 * 60
    counts = TaskCounts(succeeded=3)
    by_queue = (("mail", TaskCounts(succeeded=1)), ("celery", TaskCounts(succeeded=2)))
    window = Window(
        opened_at=minute, closed_at=minute + 60, tasks=(("shop.pay", counts),), by_queue=by_queue
    )
    history = open_history()
    history.on_snapshot(Snapshot(window))
    history.flush()

    asked: Any = {"since": minute, "until": minute + 60}
    (mail,) = read().task_points(MINUTE, queue="mail", **asked)
    assert (mail.name, mail.queue, mail.succeeded) == ("", "mail", 1)
    each = read().task_points(MINUTE, queue=None, **asked)
    assert {point.queue: point.succeeded for point in each} == {"mail": 1, "celery": 2}
    names = read().task_points(MINUTE, name=None, **asked)
    assert [(point.name, point.succeeded) for point in names] == [("shop.pay", 3)]
    assert [point.succeeded for point in read().task_points(MINUTE, **asked)] == [3]


def test_series_of_queues_have_the_last_and_the_worst(
    open_history: OpenHistory, read: Read
) -> None:
    """What is unknown stays so, and does not hide what was known."""
    minute = NOW // 60 * 60
    history = open_history()
    for at, ready, oldest in ((10, 5, 2.0), (20, 50, None), (30, 7, 1.0), (40, None, None)):
        depth = QueueDepth("celery", ready=ready, oldest_seconds=oldest, consumers=2)
        history.on_snapshot(shot(at=minute + at, seconds=10, survey=Survey(queues=(depth,))))
        history.flush()

    (point,) = read().queue_points(MINUTE, since=minute, until=minute + 60)
    assert (point.name, point.at, point.consumers) == ("celery", minute, 2)
    assert (point.ready, point.oldest) == (None, None)
    assert (point.ready_max, point.oldest_max) == (50, 2.0)
    assert (
        read().queue_points(HOUR, name="celery", since=minute, until=minute + 1)[0].ready_max == 50
    )


names = st.text(alphabet=st.characters(codec=None), max_size=50)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(id_=st.text(min_size=1), name=names, worker=names, place=names, queue=names)
def test_hostile_names_are_read_back(
    id_: str, name: str, worker: str, place: str, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the broker had; only lone surrogates and NULs are replaced."""
    history = Recorder(Settings(history=True), clock=FakeClock())
    history.on_tasks(
        [ended(id_, "failed", name=name, worker=worker, place=place, queue=queue, retries=2**80)]
    )
    depth = QueueDepth(queue, ready=2**80)
    tasks = {name: TaskCounts(failed=1)}
    history.on_snapshot(shot(survey=Survey(queues=(depth,)), tasks=tasks))
    history.flush()

    def stored(text: str) -> str:
        return text.encode("utf-8", "replace").decode().replace("\0", "�")

    reader = history.reader()
    (run,) = reader.runs(RunFilter(name=stored(name), text=stored(place))).runs
    assert (run.id, run.name, run.worker) == (stored(id_), stored(name), stored(worker))
    assert reader.queue_points(MINUTE, since=0, until=2 * NOW)[0].name == stored(queue)
    assert caplog.records == []
    history.close()


# -- who may read it -----------------------------------------------------------------------------


def test_no_history_is_said_in_one_sentence(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(UnavailableError, match=r"there is no history in .*state_dir"):
        Reader.open(tmp_path / FILE_NAME)


def test_an_empty_file_is_no_history(tmp_path: Path) -> None:
    """Such as one that a full disk left."""
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(UnavailableError, match="is damaged \\(it is empty\\)"):
        Reader.open(tmp_path / FILE_NAME)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    """Whoever asks for the history would hang."""
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(UnavailableError, match="is no file"):
        Reader.open(tmp_path / FILE_NAME)


def test_another_user_is_told_whose_it_is() -> None:
    """The history is closed to all but its user, and root."""
    require_root()
    with public_folder() as folder:
        history = Recorder(Settings(history=True, state_dir=str(folder)))
        history.flush()
        try:
            with acting_as(NOBODY), pytest.raises(UnavailableError, match="belongs to root: run"):
                Reader.open(folder / FILE_NAME)
        finally:
            history.close()


@pytest.mark.parametrize("runs", [True, False], ids=["while it runs", "after its end"])
def test_members_of_the_group_may_read_it(runs: bool) -> None:
    """Whether the monitor runs or not; and they may change nothing."""
    require_root()
    with public_folder() as folder:
        home = folder / "state"
        home.mkdir()
        history = Recorder(Settings(history=True, state_dir=str(home), state_group=GROUP))
        history.flush()
        history.on_tasks([ended("u1", "failed")])
        history.flush()
        if not runs:
            history.close()
        group = home.stat().st_gid
        os.setegid(group)
        try:
            with acting_as(NOBODY):
                with Reader.open(home / FILE_NAME) as reader:
                    assert [run.id for run in reader.runs().runs] == ["u1"]
                assert not os.access(home, os.W_OK, effective_ids=True)
        finally:
            os.setegid(0)
            history.close()


def test_a_copy_of_the_file_can_be_read(open_history: OpenHistory, tmp_path: Path) -> None:
    """On a read-only disk, in a post-mortem."""
    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.flush()
    history.close()
    copy = tmp_path / "copy" / FILE_NAME
    copy.parent.mkdir()
    shutil.copy(tmp_path / FILE_NAME, copy)
    copy.chmod(0o400)
    copy.parent.chmod(0o500)
    with Reader.open(copy) as reader:
        assert [run.id for run in reader.runs().runs] == ["u1"]
    copy.parent.chmod(0o700)
