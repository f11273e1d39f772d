"""The console and memory sinks."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.settings import Settings
from event_monitor.sinks import Outcome, Sink, SinkFinding
from event_monitor.sinks.console import ConsoleSink, render
from event_monitor.testing import MemorySink

from ...contracts.sink import NOW, SinkContract, Taken, count


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def windows_and_names(text: str) -> list[tuple[str, float]]:
    """(metric name, timestamp) of each row that was printed."""
    rows: list[tuple[str, float]] = []
    timestamp = 0.0
    for line in text.splitlines():
        if line.startswith("Window of "):
            timestamp = datetime.strptime(line, "Window of %Y-%m-%d %H:%M:%S %z").timestamp()
        elif line and not line.startswith("METRIC "):
            rows.append((line.split()[0], timestamp))
    return rows


class TestConsoleContract(SinkContract):
    @pytest.fixture
    def sink(self, stream: io.StringIO) -> Sink:
        return ConsoleSink(stream=stream)

    @pytest.fixture
    def broken_sink(self) -> Sink:
        closed = io.StringIO()
        closed.close()
        return ConsoleSink(stream=closed)

    @pytest.fixture
    def taken(self, stream: io.StringIO) -> Taken:
        return lambda: windows_and_names(stream.getvalue())


class TestMemoryContract(SinkContract):
    @pytest.fixture
    def sink(self) -> MemorySink:
        return MemorySink()

    @pytest.fixture
    def broken_sink(self) -> Sink:
        sink = MemorySink()
        sink.fail(1)
        return sink

    @pytest.fixture
    def taken(self, sink: MemorySink) -> Taken:
        return lambda: [(metric.name, metric.timestamp) for metric in sink.metrics]


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_window_is_a_table_of_local_time_with_totals_first() -> None:
    """Windows in order of time; in each, what has fewer dimensions comes first."""
    # Given
    metrics = (
        count("TasksSucceeded", 2.0, TaskName="proj.add"),
        count("TasksSucceeded", 12_345.0),
        Metric("OldestRunningTaskAge", "Seconds", NOW, 1.5),
        Metric("TaskRuntime", "Seconds", NOW - 60, Distribution((0.25, 1.0), (3, 1))),
    )

    # When
    text = render(metrics)

    # Then
    assert text == (
        "Window of 2023-11-15 07:12:20 +0900\n"
        "METRIC       DIMENSIONS  VALUE\n"
        "TaskRuntime  -           4 × mean 438 ms, p50 250 ms, p95 1 s, max 1 s\n"
        "\n"
        "Window of 2023-11-15 07:13:20 +0900\n"
        "METRIC                DIMENSIONS         VALUE\n"
        "TasksSucceeded        -                  12,345\n"
        "OldestRunningTaskAge  -                  1.5 s\n"
        "TasksSucceeded        TaskName=proj.add  2\n"
        "\n"
    )


def test_zeros_are_counted_and_shown_to_who_asks(stream: io.StringIO) -> None:
    """Of a hundred series most say that nothing happened."""
    metrics = (count("TasksFailed", 0.0), count("TasksSent", 1.0), count("TasksSucceeded", 0.0))
    ConsoleSink(Settings(), stream=stream).send(metrics)
    shown = stream.getvalue()
    assert "TasksSent" in shown
    assert "TasksFailed" not in shown
    assert shown.endswith("and 2 of value 0\n\n")

    ConsoleSink(Settings(console_zeros=True), stream=stream).send(metrics)
    assert "TasksFailed" in stream.getvalue()
    assert stream.getvalue().count("of value 0") == 1


def test_what_belongs_to_one_series_stands_together() -> None:
    """And numbers are in units that people read."""
    text = render(
        (
            count("TasksSent", 1.0, TaskName="b"),
            count("TasksSent", 2.0, TaskName="a"),
            Metric("WorkerMemory", "Bytes", NOW, 212_400_000.0, (("TaskName", "a"),)),
            Metric("WorkerUtilization", "Percent", NOW, 12.5, (("TaskName", "b"),)),
        )
    )
    assert [line.split(maxsplit=2) for line in text.splitlines()[2:-1]] == [
        ["TasksSent", "TaskName=a", "2"],
        ["WorkerMemory", "TaskName=a", "212 MB"],
        ["TasksSent", "TaskName=b", "1"],
        ["WorkerUtilization", "TaskName=b", "12.5 %"],
    ]


def test_a_task_name_cannot_write_to_the_terminal() -> None:
    """Escape sequences in a name are shown, not sent."""
    text = render((count("TasksSent", 1.0, TaskName="a\x1b[2J\nb"),))

    assert "\x1b" not in text
    assert r"TaskName=a\x1b[2J\nb" in text


def test_a_check_says_that_nothing_goes_to_cloudwatch() -> None:
    """So that nobody takes "Ready" for a proof of permission."""
    assert list(ConsoleSink().check()) == [
        SinkFinding("cloudwatch", "skipped", "metrics go to the console")
    ]


def test_nothing_to_print_prints_nothing() -> None:
    """No metrics, no table."""
    assert render(()) == ""


def test_a_closed_stream_drops_what_it_does_not_take() -> None:
    """`--dry-run | head` must not make the publisher try for ever."""
    stream = io.StringIO()
    stream.close()

    outcome = ConsoleSink(stream=stream).send((count(), count()))

    assert outcome == Outcome(
        dropped=2, failures=1, error="Printing the metrics failed: I/O operation on closed file."
    )


def test_the_memory_sink_fails_as_often_as_told() -> None:
    """A failed send keeps everything, then sends work again."""
    # Given
    sink = MemorySink()
    sink.fail(1, ambiguous=True)

    # When
    first = sink.send((count(),))
    second = sink.send(first.unsent)

    # Then
    assert first == Outcome(
        unsent=(count(),), failures=1, ambiguous=1, error="The memory sink was told to fail."
    )
    assert second == Outcome()
    assert sink.sends == ((count(),),)
    assert sink.attempts == 2


def test_the_memory_sink_sums_one_series() -> None:
    """Reading back matches the dimensions exactly."""
    sink = MemorySink()
    sink.send((count("A", 2.0), count("A", 3.0, TaskName="t")))
    sink.send((Metric("A", "Count", NOW, Distribution((2.0,), (4,))),))

    assert sink.sum("A") == 10.0
    assert sink.sum("A", TaskName="t") == 3.0
    assert sink.sum("B") == 0.0


@pytest.mark.parametrize("name", ["stdout", "__stdout__"])
def test_without_standard_output_what_cannot_be_printed_is_dropped_and_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was started with it closed; something may stand in for it by now."""
    monkeypatch.setattr(sys, name, None)
    outcome = ConsoleSink().send((count(),))
    assert (outcome.dropped, outcome.failures) == (1, 1)
    assert outcome.error == "Printing the metrics failed: standard output is closed."
