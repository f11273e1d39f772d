"""Celery's guide: what is written after its chapter on monitoring works on our classes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pprint import pformat
from typing import Any

import click
import pytest
from celery import Celery
from celery.events.state import State as CeleryState

from event_monitor import Camera, CloudWatchCam, Settings, Snapshot, State
from event_monitor.service import Service
from event_monitor.snapshot import BrokerLink
from event_monitor.testing import FakeClock, MemorySink

from ..support.making import W1, task
from ..support.waiting import wait_until

SETTINGS = Settings(sink="console", probe_queues=False, probe_workers=False)
TRACEBACK = "Traceback (most recent call last):\n  File ...\nValueError: 7\n"
SENT: list[dict[str, Any]] = [
    {"type": "worker-online", "freq": 2.0, "active": 0, "processed": 0, "sw_ver": "5.7.0"},
    {"type": "task-received", "uuid": "u1", "name": "shop.pay", "args": "(1,)", "kwargs": "{}"},
    {"type": "task-started", "uuid": "u1"},
    {"type": "task-failed", "uuid": "u1", "exception": "ValueError(7)", "traceback": TRACEBACK},
    {"type": "task-received", "uuid": "u2", "name": "shop.mail"},
]


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("guide-test", broker="memory://localhost", set_as_current=False)
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    yield app
    app.connection_for_write().transport.Channel.queues.clear()  # the memory broker is global
    app.close()


class Shown:
    """What an ``on_shutter`` printed, taken apart."""

    def __init__(self, state: Any) -> None:
        self.counts = (state.event_count, state.task_count)
        self.workers = {name: worker.alive for name, worker in state.workers.items()}
        self.alive = [worker.hostname for worker in state.alive_workers()]
        self.tasks = {uuid: (task.name, task.state) for uuid, task in state.tasks.items()}
        self.by_type = {name: len(tasks) for name, tasks in state.tasks_by_type.items()}
        self.newest_first = [uuid for uuid, _ in state.tasks_by_time()]
        self.text = pformat(state.workers) + pformat(state.tasks)


ALL = ((5, 2), {W1: True}, {"u1": ("shop.pay", "FAILURE"), "u2": ("shop.mail", "RECEIVED")})


def received_by(app: Celery, handlers: Mapping[str, Callable[[Any], object]]) -> None:
    """Hand what was sent to Celery's own receiver, as its ``capture`` does."""
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers=handlers)
        for fields in SENT:
            event = {"hostname": W1, "pid": 7, "timestamp": 1_000.0, "utcoffset": 0, **fields}
            receiver.process(*receiver.event_from_message(event))


@contextmanager
def sending(app: Celery, camera: CloudWatchCam) -> Iterator[None]:
    """Send it all, and a mark, as soon as the camera listens."""

    def send() -> None:
        wait_until(lambda: camera.state.link is BrokerLink.LISTENING, 30, "it listens")
        with app.events.default_dispatcher(hostname=W1) as dispatcher:
            for fields in SENT:
                dispatcher.send(**fields)
            dispatcher.send("end-of-test")

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


class Counted:
    """What the snapshots of a camera add up to."""

    def __init__(self) -> None:
        self.received = self.failed = 0

    def add(self, snapshot: Snapshot) -> None:
        """Add one."""
        self.received += sum(counts.received for _, counts in snapshot.window.tasks)
        self.failed += sum(counts.failed for _, counts in snapshot.window.tasks)


def test_a_camera_that_prints_workers_and_tasks_sees_them_and_counts_beside(app: Celery) -> None:
    """A Polaroid with ``clear_after``: the next shutter begins with no event."""
    # Given
    counted = Counted()

    class DumpCam(Camera):
        clear_after = True
        shown: list[Shown] = []  # noqa: RUF012

        def on_shutter(self, state: CeleryState) -> None:
            super().on_shutter(state)
            if state.event_count:
                self.shown.append(Shown(state))

        def on_snapshot(self, snapshot: Snapshot) -> None:
            counted.add(snapshot)

    # When
    state = app.events.State()
    with DumpCam(state, freq=3_600, app=app, settings=SETTINGS, consumers=()) as camera:
        received_by(app, {"*": state.event})
        camera.capture()
        camera.capture()

    # Then
    (shown,) = camera.shown
    assert (shown.counts, shown.workers, shown.tasks) == ALL
    assert (shown.alive, shown.by_type) == ([W1], {"shop.pay": 1, "shop.mail": 1})
    assert sorted(shown.newest_first) == ["u1", "u2"]
    assert "ONLINE" in shown.text
    assert list(state.tasks) == ["u2"]  # what goes on is kept, as Celery does
    assert (counted.received, counted.failed) == (2, 1)


@pytest.mark.parametrize("receiver_first", [True, False], ids=["Celery's receiver", "ours"])
def test_handlers_of_ones_own_beside_our_camera_find_the_task_that_failed(
    app: Celery, receiver_first: bool
) -> None:
    """Its name, id, exception and traceback; each event is counted once, whoever hands it on."""
    # Given
    counted, failures, fields = Counted(), [], []

    class Cam(CloudWatchCam):
        def on_snapshot(self, snapshot: Snapshot) -> None:
            counted.add(snapshot)

    state = app.events.State()

    def announce_failed_tasks(event: dict[str, Any]) -> None:
        state.event(event)
        task = state.tasks.get(event["uuid"])
        failures.append((task.name, task.uuid, task.traceback, task.info()))
        fields.append({key: event.get(key) for key in ("type", "hostname", "exception", "nothing")})

    def on_the_mark(_event: dict[str, Any]) -> None:
        receiver.should_stop = True

    handlers = {
        "task-failed": announce_failed_tasks,
        "end-of-test": on_the_mark,
        "*": state.event,
    }

    # When, in a command of one's own
    with click.Context(click.Command("monitor")), app.connection() as connection:
        if receiver_first:
            with Cam(state, freq=3_600, app=app, settings=SETTINGS):
                received_by(app, handlers)
        else:
            camera = Cam(state, freq=3_600, app=app, settings=SETTINGS)
            receiver = app.events.Receiver(connection, handlers=handlers)
            with camera, sending(app, camera):
                receiver.capture(limit=None, timeout=None, wakeup=True)

    # Then
    info = {"args": "(1,)", "kwargs": "{}", "exception": "ValueError(7)"}
    assert failures == [("shop.pay", "u1", TRACEBACK, info)]
    assert fields == [
        {"type": "task-failed", "hostname": W1, "exception": "ValueError(7)", "nothing": None}
    ]
    assert (counted.received, counted.failed) == (2, 1)
    assert [worker.hostname for worker in state.alive_workers()] == [W1]


def test_what_code_of_ones_own_raises_is_logged_and_stops_nothing(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers, ``on_shutter``, ``on_snapshot``: each is told with its name, and called again."""
    # Given
    counted, calls = Counted(), []

    class Cam(CloudWatchCam):
        def on_shutter(self, state: CeleryState) -> None:
            calls.append(Shown(state).counts)
            raise LookupError("the database is away")

        def on_snapshot(self, snapshot: Snapshot) -> None:
            counted.add(snapshot)
            raise OSError("the disk is full")

    def fails(event: dict[str, Any]) -> None:
        calls.append(event["uuid"])
        raise RuntimeError("as planned")

    state = app.events.State()
    camera = Cam(state, freq=3_600, app=app, settings=SETTINGS)

    def on_the_mark(_event: dict[str, Any]) -> None:
        receiver.should_stop = True
        camera.capture()

    # When
    with app.connection() as connection:
        handlers = {"task-received": fails, "end-of-test": on_the_mark, "*": state.event}
        receiver = app.events.Receiver(connection, handlers=handlers)
        with caplog.at_level(logging.ERROR), camera, sending(app, camera):
            receiver.capture()

    # Then
    assert (counted.received, counted.failed) == (2, 1)
    assert calls == ["u1", "u2", (3, 0), (3, 0)]  # what `fails` is for did not reach the state
    told = [record.getMessage() for record in caplog.records]
    name = f"{__name__}.{test_what_code_of_ones_own_raises_is_logged_and_stops_nothing.__name__}"
    rest = "; the monitor goes on, and it is called again"
    assert told == [
        f"{name}.<locals>.fails failed (RuntimeError: as planned){rest}",
        f"{name}.<locals>.Cam.on_shutter failed (LookupError: the database is away){rest}",
        f"{name}.<locals>.Cam.on_snapshot failed (OSError: the disk is full){rest}",
    ]


def test_a_camera_may_clean_up_now_and_then(app: Celery) -> None:
    """Celery's other hook; its faults are told as well."""
    cleaned = threading.Event()

    class Cam(CloudWatchCam):
        def on_cleanup(self) -> None:
            cleaned.set()

    settings = replace(SETTINGS, interval=1)
    with Cam(app.events.State(), app=app, settings=settings, cleanup_freq=0.1):
        assert cleaned.wait(30)


@pytest.mark.parametrize("name", ["tasks", "workers", "task_count", "tasks_by_type"])
def test_our_own_state_says_what_to_do_instead(name: str) -> None:
    """Emptiness would be taken for a quiet cluster."""
    state = State()
    with pytest.raises(AttributeError, match=rf"no `{name}`.*app\.events\.State\(\).*on_shutter"):
        getattr(state, name)
    with pytest.raises(AttributeError, match="no `workers`"):
        list(state.alive_workers())
    state.observe([task("sent")])
    assert (state.event_count, str(state)) == (1, "<State: 1 events>")


def test_nothing_is_kept_where_nobody_reads_it(app: Celery) -> None:
    """Under ``celery events`` without an ``on_shutter``, no handler costs the receiver anything."""
    state = app.events.State()
    service = Service(SETTINGS, app, state=state, sink=MemorySink())
    receiver = service.pipeline.receiver_class()(
        app.connection_for_read(), app=app, handlers={"*": state.event}
    )
    assert receiver.handlers == {}
    state.event({"type": "task-sent", "uuid": "u", "hostname": "h", "timestamp": 1.0})
    assert (len(state.tasks), service.camera.state.event_count) == (0, 1)


def test_what_is_hostile_neither_breaks_celerys_state_nor_grows_it() -> None:
    """Fields that would overwrite its methods, texts without end, a clock that is ahead."""
    # Given
    clock = FakeClock()
    ours, state = State(clock=clock), CeleryState()
    ours.adopt(state)
    fields = {"uuid": "u", "hostname": W1, "timestamp": clock.wall() + 86_400, "pid": 7}
    evil = {"event": 1, "info": 2, "alive": True, "heartbeats": [9e9], "clock": "x", "freq": "x"}

    # When
    for type_ in ("task-received", "task-failed", "worker-heartbeat", "task-odd", "odd-event"):
        state.event(
            {
                **fields,
                "type": type_,
                "name": "t",
                "exception": "x" * 1_000_000,
                "args": [1],
                "parent_id": {},
                **evil,
            }
        )
    state.event({**fields, "type": "worker-heartbeat", "alive": True, "event": 1})

    # Then
    task = state.tasks.get("u")
    assert (task.name, task.state, len(task.exception), task.args) == ("t", "FAILURE", 16_384, None)
    assert task.info().keys() == {"exception"}
    assert state.workers[W1].heartbeats[-1] == clock.wall()
    assert state.event_count == 5


def test_names_without_end_are_forgotten() -> None:
    """Celery's indexes of names have no limit."""
    ours, state = State(), CeleryState(max_tasks_in_memory=10)
    ours.adopt(state)
    for n in range(10_100):
        state.event(
            {
                "type": "task-received",
                "uuid": f"u{n}",
                "name": f"n{n}",
                "hostname": W1,
                "timestamp": 1.0,
            }
        )
    assert len(state.tasks_by_type) == len(state.task_types()) < 10_001
