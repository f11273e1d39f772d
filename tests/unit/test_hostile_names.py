"""Hostile names: whatever tasks, workers and exceptions are called, CloudWatch takes the data."""

from __future__ import annotations

import json

import pytest

from event_monitor import events as ev
from event_monitor.metrics import metrics_from
from event_monitor.settings import Settings
from event_monitor.sinks import Outcome
from event_monitor.sinks.cloudwatch import CloudWatchSink
from event_monitor.state import State
from event_monitor.testing import FakeClock, StrictCloudWatch

NAMES = {
    "spaces": "send the mail",
    "quotes": "it's \"quoted\" \\ 'twice'",
    "unicode": "отправить письмо 🚀",
    "long": "x" * 300,
    "too long": "x" * 1_024,
    "long unicode": "ж" * 1_024,
    "control": "line\nbreak\x00\x7f",
    "colon": ":colon",
    "blank": "   ",
    "empty": "",
    "none": None,
    "half a character": "\ud800",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_invalid_datum_reaches_the_endpoint(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the bytes of the events to a CloudWatch that refuses what the real one refuses."""
    # Given a task and a worker of that name, published by name
    clock = FakeClock()
    settings = Settings(by_worker=("TasksSucceeded", "WorkersOnline"), by_exception=True)
    state = State(settings, clock=clock)
    base = {"hostname": name or "celery@h", "timestamp": clock.wall(), "pid": 1, "clock": 1}
    stream = [
        {**base, "type": "worker-online", "freq": 2.0, "active": 0, "processed": 0},
        {**base, "type": "task-received", "uuid": "u", "name": name},
        {**base, "type": "task-started", "uuid": "u"},
        {**base, "type": "task-succeeded", "uuid": "u", "runtime": 1.5},
        {**base, "type": "task-failed", "uuid": "v", "exception": name},
        {**base, "type": name or "x"},
    ]
    state.observe(ev.decode([json.dumps(stream).encode()], on_invalid=state.refuse))
    metrics = metrics_from(state.freeze_while(state.expose).develop(), settings)

    # When they are sent
    with StrictCloudWatch(clock=clock) as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.endpoint_url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        sink = CloudWatchSink(settings, clock=clock)
        outcome = sink.send(metrics)
        sink.close()

    # Then the one request is accepted whole
    assert outcome == Outcome()
    assert (len(cloudwatch.requests), len(cloudwatch.data)) == (1, len(metrics))


def test_different_names_stay_different_series() -> None:
    """Escaping and cutting must not throw two tasks together."""
    from event_monitor.sinks.cloudwatch_limits import dimension_value

    names = ["ж" * 1_024, "ж" * 1_023 + "я", "a\nb", "a\tb", "x" * 2_000, "x" * 1_999 + "y"]
    assert len({dimension_value(name) for name in names}) == len(names)
