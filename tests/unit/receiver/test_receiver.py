"""Receiver: raw messages in, typed events out; nothing hostile gets further."""

from __future__ import annotations

import bz2
import logging
import socketserver
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from celery import Celery
from kombu import Producer

from event_monitor import events as ev
from event_monitor.broker.own_events import is_own_event
from event_monitor.receiver import Receiver, receiver
from event_monitor.receiver.subscription import Reading, Subscription
from event_monitor.receiver.transports import subscription_to
from event_monitor.snapshot import AckToken
from event_monitor.testing import FakeClock

from ...support.making import W1, task
from ...support.waiting import wait_until

STARTED = {"type": "task-started", "uuid": "u1", "hostname": W1, "timestamp": 1_000.0, "pid": 7}
MARK = {"type": "end-of-test"}


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("receiver-test", broker="memory://localhost", set_as_current=False)
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    yield app
    app.connection_for_write().transport.Channel.queues.clear()  # the memory broker is global


class Received:
    """A receiver in a thread, and what it received, until the mark."""

    def __init__(self, app: Celery, receiver_class: type[Receiver] = Receiver) -> None:
        self.app = app
        self.events: list[ev.Event] = []
        self.invalid: list[str] = []
        self.connections = 0
        self.receiver = receiver_class(app.connection_for_read(), app=app)
        self.receiver.on_events = self._on_events
        self.receiver.on_invalid = lambda error: self.invalid.append(error.kind)
        self.receiver.on_connection = self._on_connection
        self._listening = threading.Event()
        self._marked = threading.Event()
        self._thread = threading.Thread(target=self.receiver.capture)

    def _on_connection(self, connected: bool) -> None:
        self.connections += connected
        if connected:
            self._listening.set()

    def _on_events(self, events: Sequence[ev.Event], _token: AckToken | None) -> None:
        self.events += events
        if any(isinstance(one, ev.CustomEvent) and one.type == MARK["type"] for one in events):
            self._marked.set()

    def __enter__(self) -> Received:
        self._thread.start()
        assert self._listening.wait(30)
        return self

    def send(self, body: Any, **options: Any) -> None:
        with self.app.connection_for_write() as connection:
            Producer(connection.channel(), exchange=self.receiver.exchange).publish(
                body, routing_key="task.multi", **options
            )

    def __exit__(self, *exc_info: object) -> None:
        self.send(MARK)
        marked = self._marked.wait(30)
        self.receiver.stop()
        self._thread.join(30)
        assert marked
        assert not self._thread.is_alive()
        self.events = [one for one in self.events if not isinstance(one, ev.CustomEvent)]


def test_single_events_and_lists_arrive_typed_and_in_order(app: Celery) -> None:
    """As producers and workers send them."""
    with Received(app) as received:
        received.send(STARTED)
        received.send([STARTED, {**STARTED, "type": "task-retried"}])
    assert received.events == [task("started"), task("started"), task("retried")]
    assert received.invalid == []


def test_an_event_of_our_own_is_told_between_those_before_and_after_it(app: Celery) -> None:
    """So that a window can end there."""
    own = {"type": ev.OWN_EVENT, "monitors": "m", "sender": "s", "what": "cut", "window": "w"}
    with Received(app) as received:
        told: list[tuple[int, str]] = []
        received.receiver.on_own = lambda event: told.append((len(received.events), event.window))
        received.send([STARTED, STARTED])
        received.send(own)
        received.send([STARTED])
    assert told == [(3, "w")]
    assert len(received.events) == 3


def test_events_sent_by_celery_itself_arrive(app: Celery) -> None:
    """Through its own dispatcher."""
    with Received(app) as received, app.events.default_dispatcher(hostname=W1) as dispatcher:
        dispatcher.send("task-started", uuid="u1", timestamp=1_000.0)
    assert [event.type for event in received.events] == ["task-started"]


JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
PICKLE = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
YAML = {"content_type": "application/x-yaml", "content_encoding": "utf-8"}


@pytest.mark.parametrize(
    ("body", "options", "kind"),
    [
        pytest.param(b"\x80\x04\x95", PICKLE, "content type", id="pickle"),
        pytest.param(b"{}", YAML, "content type", id="yaml"),
        pytest.param(b"not json", JSON, "not JSON", id="no json"),
        pytest.param(b"", JSON, "not JSON", id="empty"),
        pytest.param({"no": "type"}, {}, "not an event", id="no event"),
        pytest.param({**STARTED, "timestamp": "x"}, {}, "wrong field", id="wrong field"),
    ],
)
def test_what_is_no_event_is_counted_and_the_next_event_still_arrives(
    app: Celery, body: Any, options: dict[str, str], kind: str
) -> None:
    """One bad message does nothing to the rest."""
    with Received(app) as received:
        received.send(body, **options)
        received.send(STARTED)
    assert (received.events, received.invalid) == ([task("started")], [kind])


def test_a_compressed_message_is_refused_unread(app: Celery) -> None:
    """Kombu would decompress it before anybody could refuse: one megabyte becomes gigabytes."""
    bomb = bz2.compress(b"[" + b" " * 50_000_000 + b"]")
    with Received(app) as received:
        received.send(
            bomb,
            headers={"compression": "application/x-bz2"},
            **JSON,
        )
        received.send(STARTED)
    assert (received.events, received.invalid) == ([task("started")], ["compressed message"])


def test_a_broken_envelope_is_counted_and_the_next_event_still_arrives(app: Celery) -> None:
    """What kombu itself cannot open."""
    with Received(app) as received:
        received.send(STARTED)
        with app.connection_for_write() as connection:
            channel = connection.channel()
            for queue in [name for name in channel.queues if name.startswith("celeryev.")]:
                channel._put(queue, {"body": "x"})
        received.send(STARTED)
    assert (len(received.events), received.invalid) == (2, ["broken message"])


def test_a_failure_while_counting_is_no_broken_message(app: Celery) -> None:
    """A mistake of ours must stop the process, not be counted as bad input."""

    receiver = Receiver(app.connection_for_read(), app=app)

    def fail(_events: Sequence[ev.Event], _token: AckToken | None) -> None:
        raise ZeroDivisionError

    def send(connected: bool) -> None:
        if connected:
            with app.events.default_dispatcher() as dispatcher:
                dispatcher.send("task-started", uuid="u1")

    receiver.on_events = fail
    receiver.on_connection = send
    with pytest.raises(ZeroDivisionError):
        receiver.capture()


def test_making_a_receiver_connects_to_nothing() -> None:
    """`celery events` makes one before anything else; a broker that is down must not end it."""
    app = Celery("nowhere", broker="redis://127.0.0.1:1", set_as_current=False)
    Receiver(app.connection_for_read(), app=app)


def test_a_broker_that_is_away_is_tried_again_until_told_to_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a warning that names it, without its password."""
    app = Celery("nowhere", broker="redis://:secret@127.0.0.1:1", set_as_current=False)
    receiver = Receiver(app.connection_for_read(), app=app)
    told: list[bool] = []

    def on_connection(yes: bool) -> None:
        told.append(yes)
        if len(told) == 2:
            receiver.stop()

    receiver.on_connection = on_connection
    with caplog.at_level(logging.WARNING):
        receiver.capture()
    assert told == [False, False]
    assert "broker redis://:**@127.0.0.1:1// is away" in caplog.text
    assert "secret" not in caplog.text


class _Refuse(socketserver.BaseRequestHandler):
    """A Redis that wants a password before anything else."""

    def handle(self) -> None:
        while self.request.recv(4_096):
            self.request.sendall(b"-NOAUTH Authentication required.\r\n")


def test_a_broker_that_refuses_us_is_one_error_with_what_to_do_every_five_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It needs a person, and is tried again quietly meanwhile."""
    # Given
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refuse) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{server.server_address[1]}/0"
        app = Celery("refused", broker=url, set_as_current=False)
        clock = FakeClock()
        receiver = type("OnClock", (Receiver,), {"time_source": clock})(
            app.connection_for_read(), app=app
        )
        began_at = clock.monotonic()
        tries: list[float] = []

        def on_connection(_yes: bool) -> None:
            tries.append(clock.monotonic() - began_at)
            if tries[-1] > 550:
                receiver.stop()

        # When it is tried for more than nine minutes
        receiver.on_connection = on_connection
        with caplog.at_level(logging.INFO):
            receiver.capture()
        server.shutdown()

    # Then
    assert len(tries) > 15
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "ERROR",
            f"broker {url} refuses us: Authentication required. The server wants a password, and "
            "the URL has none: redis://:password@host. It is tried again.",
        )
    ] * 2


def test_a_lack_of_descriptors_is_waited_for_like_a_broker(
    app: Celery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the moment of a reconnect there may be none left; it tries again."""
    attempts: list[int] = []

    def short_of_descriptors(*arguments: Any, **options: Any) -> Subscription:
        attempts.append(len(attempts))
        if len(attempts) == 2:
            raise OSError(24, "Too many open files")
        made = subscription_to(*arguments, **options)
        if len(attempts) == 1:
            monkeypatch.setattr(made, "read", lost)
        return made

    def lost(_seconds: float) -> Reading:
        raise ConnectionResetError("as planned")

    monkeypatch.setattr(receiver, "subscription_to", short_of_descriptors)
    with Received(app) as received:
        wait_until(lambda: received.connections == 2, 30, "it connects again")
    assert "Too many open files" in caplog.text


@pytest.mark.parametrize("step", ["open", "read"])
def test_a_server_that_sends_what_no_driver_can_read_is_a_broker_that_is_away(
    step: str, app: Celery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """py-amqp and redis-py raise anything then; it ends no process that was connected once."""
    attempts: list[int] = []

    def subscription(*arguments: Any, **options: Any) -> Subscription:
        attempts.append(len(attempts))
        made = subscription_to(*arguments, **options)
        if len(attempts) == 1:
            monkeypatch.setattr(made, "read", lost)
        if len(attempts) == 2:
            monkeypatch.setattr(made, step, confused)
        return made

    def lost(_seconds: float) -> Reading:
        raise ConnectionResetError("as planned")

    def confused(*_seconds: float) -> Reading:
        raise KeyError(91)  # as py-amqp does for a channel that is not open

    monkeypatch.setattr(receiver, "subscription_to", subscription)
    with Received(app) as received:
        wait_until(lambda: len(attempts) == 3, 30, "it connects again")
        wait_until(lambda: received.connections == (2 if step == "open" else 3), 30, "it listens")
    assert "sends what cannot be read: KeyError: 91" in caplog.text


def test_without_on_events_the_handlers_are_called(app: Celery) -> None:
    """Celery's way to use a receiver."""
    seen: list[Any] = []
    receiver = Receiver(
        app.connection_for_read(),
        app=app,
        handlers={"task-started": seen.append, "*": lambda _event: receiver.stop()},
    )
    receiver.on_connection = lambda yes: send() if yes else None

    def send() -> None:
        with app.events.default_dispatcher(hostname=W1) as dispatcher:
            dispatcher.send("task-started", uuid="u1", timestamp=1_000.0)
            dispatcher.send("end-of-test")

    receiver.capture()
    assert [event["uuid"] for event in seen] == ["u1"]


def test_events_of_our_own_are_not_handed_to_handlers(app: Celery) -> None:
    """Where nothing comes they prove that the subscription works; nobody asked for them."""
    seen: list[str] = []
    own: list[str] = []
    receiver = Receiver(
        app.connection_for_read(), app=app, handlers={"*": lambda event: seen.append(event["type"])}
    )
    receiver.echo_seconds = 0.05

    def on_events(events: Sequence[ev.Event], _token: AckToken | None) -> None:
        own.extend(event.type for event in events if is_own_event(event))
        if len(own) == 2:
            receiver.stop()

    receiver.on_events = on_events

    receiver.capture(wakeup=False)

    assert (own[:2], seen) == ([ev.OWN_EVENT] * 2, [])


def test_a_limit_and_a_timeout_end_the_capture(app: Celery) -> None:
    """As in Celery's receiver."""
    receiver = Receiver(app.connection_for_read(), app=app)
    with pytest.raises(TimeoutError):
        receiver.capture(timeout=0.1, wakeup=False)

    def send(_yes: bool) -> None:
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send("task-started", uuid="u1")

    receiver.on_connection = send
    receiver.capture(limit=1, wakeup=False)
