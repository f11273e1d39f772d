"""Camera: one snapshot per interval, on the wall clock's boundaries, and none lost."""

from __future__ import annotations

import logging
import threading
from typing import Literal

import pytest
from celery import Celery
from celery.events.state import State as CeleryState

from event_monitor.camera import Camera
from event_monitor.leader.open_window import Label
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ..support.making import W1, beat, online, task


@pytest.fixture
def app() -> Celery:
    return Celery("camera-test", broker="memory://", set_as_current=False)


class Album:
    """Collects snapshots; can wait for the next."""

    def __init__(self) -> None:
        self.shots: list[Snapshot] = []
        self._taken = threading.Condition()

    def __call__(self, snapshot: Snapshot) -> None:
        with self._taken:
            self.shots.append(snapshot)
            self._taken.notify_all()

    def wait_for(self, count: int) -> None:
        with self._taken:
            assert self._taken.wait_for(lambda: len(self.shots) >= count, timeout=30)


def sent(album: Album) -> int:
    return sum(counts.sent for shot in album.shots for _, counts in shot.window.tasks)


def test_every_event_is_in_exactly_one_shot(app: Celery) -> None:
    """Events go on arriving in one thread while another takes shots."""
    # Given a camera that shoots as fast as it can
    state, album = State(), Album()
    camera = Camera(state, app=app, settings=Settings(), consumers=(album,))
    done = threading.Event()

    def shoot() -> None:
        while not done.is_set():
            camera.capture()

    shooter = threading.Thread(target=shoot)
    shooter.start()

    # When 20,000 events arrive meanwhile
    for n in range(2_000):
        state.observe([task("sent", f"u{n}-{m}") for m in range(10)])
    done.set()
    shooter.join()
    camera.capture()

    # Then the shots add up to them
    assert sent(album) == 20_000
    assert len(album.shots) > 1


def test_a_last_shot_is_taken_on_cancel_and_only_once(app: Celery) -> None:
    """The window cut short by a stop is published too."""
    state, album = State(), Album()
    camera = Camera(state, freq=3_600, app=app, settings=Settings(), consumers=(album,))
    with camera:
        state.observe([task("sent")])
    camera.cancel()
    assert sent(album) == 1
    assert len(album.shots) == 1


def test_a_shot_skipped_by_maxrate_leaves_its_counts_to_the_next(app: Celery) -> None:
    """maxrate spares shots, not counts; the last shot is taken whatever it says."""
    state, album = State(), Album()
    camera = Camera(
        state, freq=3_600, maxrate="1/h", app=app, settings=Settings(), consumers=(album,)
    )
    with camera:
        assert camera.capture() is not None
        state.observe([task("sent")])
        assert camera.capture() is None
        state.observe([task("sent", "u2")])
    assert [shot.window.tasks and shot.window.tasks[0][1].sent for shot in album.shots] == [(), 2]


def test_shots_fall_on_multiples_of_the_interval(app: Celery) -> None:
    """So that a window lies within one CloudWatch period."""
    album = Album()
    with Camera(State(), freq=2, app=app, settings=Settings(), consumers=(album,)):
        album.wait_for(4)
    starts = [shot.window.opened_at for shot in album.shots[1:4]]
    assert all(start % 2 < 1.6 for start in starts)
    assert len({start // 2 for start in starts}) == 3


@pytest.mark.parametrize(
    ("freq", "interval", "why"),
    [(1.0, 30.0, "the setting `interval`"), (2.0, 2.0, "-F"), (300, 300.0, "-F")],
)
def test_celerys_default_frequency_means_the_setting(
    app: Celery, caplog: pytest.LogCaptureFixture, freq: float, interval: float, why: str
) -> None:
    """`celery events` passes 1.0 when -F is absent, which nobody wants billed; the log says so."""
    with caplog.at_level(logging.INFO):
        camera = Camera(State(), freq=freq, app=app, settings=Settings(interval=30))
    assert camera.interval == interval
    assert f"one shot every {interval:g} s ({why})" in caplog.text


def test_a_state_made_by_celery_is_taken_over_even_with_its_receiver_already_made(
    app: Celery,
) -> None:
    """Celery's guide makes state and receiver before the camera."""
    celery_state, album = CeleryState(), Album()
    handler = celery_state.event
    with Camera(celery_state, freq=3_600, app=app, settings=Settings(), consumers=(album,)):
        handler({"type": "task-sent", "uuid": "u", "hostname": "h", "timestamp": 1.0, "name": "t"})
    assert sent(album) == 1


def test_a_subclass_gets_the_snapshots(app: Celery) -> None:
    """For a destination of one's own."""

    class Mine(Camera):
        def on_snapshot(self, snapshot: Snapshot) -> None:
            self.seen = snapshot

    camera = Mine(State(), freq=3_600, app=app, settings=Settings())
    camera.capture()
    assert camera.seen.window.events_received == 0


def test_a_lost_worker_and_its_unfinished_tasks_are_named_in_the_log(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """The first question is what was running there."""
    clock = FakeClock()
    state = State(Settings(), clock=clock)
    camera = Camera(state, freq=3_600, app=app, settings=Settings())
    state.observe([online(), beat(), task("received", "u9"), task("started", "u9")])
    clock.advance(61)
    camera.capture()
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert record.getMessage() == (
        f"worker {W1} is lost (silent for 61 s), unfinished tasks: 1: proj.add[u9]"
    )


def test_a_crash_in_on_snapshot_is_loud(app: Celery) -> None:
    """A camera that died silently would be the worst of all."""
    crashes: list[BaseException] = []
    died = threading.Event()

    def on_crash(error: BaseException) -> None:
        crashes.append(error)
        died.set()

    def broken(_snapshot: Snapshot) -> None:
        raise RuntimeError("boom")

    camera = Camera(
        State(), freq=0.1, app=app, settings=Settings(), consumers=(broken,), on_crash=on_crash
    )
    camera.install()
    assert died.wait(30)
    assert str(crashes[0]) == "boom"
    with pytest.raises(RuntimeError):
        camera.cancel()


def test_a_failing_on_snapshot_does_not_end_the_shots_of_a_library_user(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """As in Celery's own camera it is logged, and the next shot is taken."""
    album = Album()

    def fail_once(snapshot: Snapshot) -> None:
        album(snapshot)
        if len(album.shots) == 1:
            raise RuntimeError("boom")

    with Camera(State(), freq=0.1, app=app, settings=Settings(), consumers=(fail_once,)):
        album.wait_for(2)
    assert "a shot failed" in caplog.text


def test_a_clock_stepped_back_does_not_stop_the_shots(app: Celery) -> None:
    """The boundary waited for is an hour away then; the shot is taken at once instead."""

    class SteppedBack(FakeClock):
        readings = iter([1_000.0, -2_600.0])

        def wall(self) -> float:
            return next(self.readings)

    camera = Camera(State(), freq=60, app=app, settings=Settings(), clock=SteppedBack())
    assert camera.wait_for_boundary() is True


def test_peek_shows_what_runs_without_closing_the_window(app: Celery) -> None:
    """For who looks between two shots: the counts so far, and the oldest running tasks first."""
    # Given two tasks, one of which began a minute earlier
    clock = FakeClock()
    state = State(Settings(), clock=clock)
    camera = Camera(state, app=app, settings=Settings(), clock=clock, consumers=())
    state.observe([online(), task("received", "old"), task("started", "old")])
    clock.advance(60)
    state.observe([task("received", "new"), task("started", "new"), task("received", "held")])

    # When
    live = camera.peek()

    # Then
    assert [(task.id, task.name, task.worker) for task in live.running] == [
        ("old", "proj.add", W1),
        ("new", "proj.add", W1),
    ]
    assert [live.taken_at - task.since for task in live.running] == [60.0, 0.0]
    assert (live.running_count, live.tasks_in_flight) == (2, 3)
    assert dict(live.tasks)["proj.add"].started == 2
    assert dict(camera.cut().window.tasks)["proj.add"].started == 2


def test_peek_is_taken_at_most_once_a_second(app: Celery) -> None:
    """However many look."""
    clock = FakeClock()
    state = State(Settings(), clock=clock)
    camera = Camera(state, app=app, settings=Settings(), clock=clock, consumers=())
    first = camera.peek()
    state.observe([task("started")])
    clock.advance(0.9)
    assert camera.peek() is first
    clock.advance(0.1)
    assert camera.peek().running_count == 1


def test_peek_has_times_as_soon_as_they_are_asked_for(app: Celery) -> None:
    """One without them serves who asks for none; one with them serves everybody."""
    clock = FakeClock()
    settings = Settings(http="127.0.0.1:9808")
    state = State(settings, clock=clock)
    camera = Camera(state, app=app, settings=settings, clock=clock, consumers=())
    state.observe([task("received"), task("started"), task("succeeded", runtime=0.5)])
    counted = camera.peek(with_times=False)
    assert camera.peek(with_times=False) is counted
    assert counted.by_task_and_queue == ()

    timed = camera.peek()

    assert [counts.runtime.values for _, _, counts in timed.by_task_and_queue] == [(0.5,)]
    assert timed.tasks == counted.tasks
    assert camera.peek(with_times=False) is timed


def test_peek_names_the_two_hundred_oldest(app: Celery) -> None:
    """A frozen fleet is told by its number, and its oldest tasks by name."""
    clock = FakeClock()
    state = State(Settings(), clock=clock)
    camera = Camera(state, app=app, settings=Settings(), clock=clock, consumers=())
    for number in range(300):
        state.observe([task("started", f"u{number}")])
        clock.advance(1)
    live = camera.peek()
    assert live.running_count == 300
    assert [task.id for task in live.running] == [f"u{number}" for number in range(200)]


def test_a_camera_of_one_service_shows_its_workers_and_expects_its_periodic_tasks(
    app: Celery,
) -> None:
    """A periodic task of another service would be one that was never seen."""
    every_minute = {"schedule": 60.0}
    app.conf.beat_schedule = {
        name: {"task": name, **every_minute} for name in ("shop.poll", "mail.poll")
    }
    settings = Settings(only_tasks=("shop.*",), only_workers=(W1,))
    state = State(settings)
    camera = Camera(state, app=app, settings=settings, consumers=())
    state.observe([online(W1), online("other@h")])
    state.observe([task("received", name, name=name) for name in ("shop.poll", "mail.poll")])

    shot = camera.cut()

    assert [worker.hostname for worker in shot.workers] == [W1]
    assert [expected.name for expected in shot.scheduled] == ["shop.poll"]
    assert shot.window.events_received == 4


class Places:
    """Windows that end where events say, in the test's hands."""

    def __init__(self, *hows: Literal["clock", "marker", "wait"]) -> None:
        self.hows = list(hows)
        self.is_awaited = False
        self.given_up = threading.Event()
        self.asked = threading.Event()

    def turn(self, cut: str = "") -> Label:
        self.is_awaited = False
        return Label(window=cut)

    def at_boundary(self) -> Literal["clock", "marker", "wait"]:
        how = self.hows.pop(0) if self.hows else "wait"
        self.is_awaited = how == "marker"
        self.asked.set()
        return how

    def awaits_marker(self) -> bool:
        return self.is_awaited

    def give_up_marker(self) -> None:
        self.is_awaited = False
        self.given_up.set()


def sharing(app: Celery, state: State, album: Album, places: Places) -> Camera:
    settings = Settings(interval=1)
    return Camera(state, app=app, settings=settings, consumers=(album,), windows=places)


def test_a_window_ends_at_an_event_and_the_next_begins_there(app: Celery) -> None:
    """In the receiving thread; what comes of it, in the camera's."""
    state, album, places = State(), Album(), Places()
    camera = sharing(app, state, album, places)
    camera.install()
    state.observe([task("sent", name="proj.add")])
    camera.cut_at("here")
    state.observe([task("sent", name="proj.add")] * 2)
    album.wait_for(1)
    camera.cancel()

    assert [shot.window.tasks[0][1].sent for shot in album.shots] == [1, 2]
    assert [shot.shared_as for shot in album.shots] == ["here", ""]


def test_a_marker_that_comes_back_ends_the_window(app: Celery) -> None:
    """And the clock does not end it as well."""
    state, album, places = State(), Album(), Places("marker")
    camera = sharing(app, state, album, places)
    camera.install()
    assert places.asked.wait(30)
    camera.cut_at("marker")
    album.wait_for(1)
    camera.cancel()

    assert [shot.shared_as for shot in album.shots] == ["marker", ""]
    assert not places.given_up.is_set()


def test_a_marker_that_does_not_come_back_leaves_it_to_the_clock(app: Celery) -> None:
    """After two seconds."""
    album, places = Album(), Places("marker")
    camera = sharing(app, State(), album, places)
    camera.install()
    album.wait_for(1)
    camera.cancel()

    assert places.given_up.is_set()
    assert album.shots[0].shared_as == ""


def test_a_standby_waits_for_others_to_end_its_windows(app: Celery) -> None:
    """Its clock ends none."""
    album, places = Album(), Places("wait", "clock")
    camera = sharing(app, State(), album, places)
    camera.install()
    album.wait_for(1)
    camera.cancel()

    assert not places.hows


def test_what_wakes_the_camera_ends_no_window_before_its_time(app: Celery) -> None:
    """Another thread may have finished what it was woken for."""
    places = Places("clock")
    settings = Settings(interval=86_400 * 3)
    camera = Camera(State(), app=app, settings=settings, consumers=(), windows=places)
    camera.install()
    for _ in range(200):
        camera.cut_at("here")
        camera.cut()
    camera.cancel()

    assert not places.asked.is_set()
