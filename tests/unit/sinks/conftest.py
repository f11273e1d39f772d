"""Fixtures: a strict CloudWatch, and sinks that publish to it with the credentials of a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from event_monitor.settings import Settings
from event_monitor.sinks.cloudwatch import CloudWatchSink
from event_monitor.testing import FakeClock, StrictCloudWatch

from ...contracts.sink import NOW


class MakeSink(Protocol):
    """``make_sink(namespace="Shop")``: a sink that publishes to ``cloudwatch``."""

    def __call__(
        self,
        *,
        read_seconds: float = 30.0,
        deadline_seconds: float = 60.0,
        credentials_seconds: float = 60.0,
        own_clock: FakeClock | None = None,
        **settings: Any,
    ) -> CloudWatchSink: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall=NOW)


@pytest.fixture
def cloudwatch(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictCloudWatch]:
    with StrictCloudWatch(clock=clock) as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.endpoint_url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        yield cloudwatch


@pytest.fixture
def make_sink(cloudwatch: StrictCloudWatch, clock: FakeClock) -> Iterator[MakeSink]:
    assert cloudwatch.endpoint_url  # the environment leads there
    made: list[CloudWatchSink] = []

    def make(
        *,
        read_seconds: float = 30.0,
        deadline_seconds: float = 60.0,
        credentials_seconds: float = 60.0,
        own_clock: FakeClock | None = None,
        **settings: Any,
    ) -> CloudWatchSink:
        made.append(
            CloudWatchSink(
                Settings(**settings),
                clock=own_clock or clock,
                read_seconds=read_seconds,
                deadline_seconds=deadline_seconds,
                credentials_seconds=credentials_seconds,
            )
        )
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def sink(make_sink: MakeSink) -> CloudWatchSink:
    return make_sink()
