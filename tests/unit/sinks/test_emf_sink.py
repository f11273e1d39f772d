"""The EMF sink: whole lines only, nothing lost and nothing doubled, whatever its reader does."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from event_monitor.distribution import Distribution
from event_monitor.errors import SettingsError
from event_monitor.metrics import Metric
from event_monitor.settings import Settings
from event_monitor.sinks import Outcome, Sink, SinkFinding
from event_monitor.sinks.emf import EmfSink
from event_monitor.testing import FakeClock

from ...contracts.sink import NOW, SinkContract, Taken, count

SHORT = 0.05  # seconds


def documents(text: str) -> list[dict[str, Any]]:
    """Every line of a finished output, each of which must be JSON."""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def values(text: str) -> list[tuple[str, float, object]]:
    """(name, timestamp, member) of each metric in the lines."""
    return [
        (metric["Name"], document["_aws"]["Timestamp"] / 1_000, document[metric["Name"]])
        for document in documents(text)
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]


def sink_to(path: Path, **settings: Any) -> EmfSink:
    return EmfSink(Settings(emf_file=str(path), **settings), clock=FakeClock(wall=NOW))


class TestEmfContract(SinkContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "metrics.emf"

    @pytest.fixture
    def sink(self, path: Path) -> Iterator[Sink]:
        sink = sink_to(path)
        yield sink
        sink.close()

    @pytest.fixture
    def broken_sink(self, tmp_path: Path) -> Sink:
        return sink_to(tmp_path)  # a directory

    @pytest.fixture
    def taken(self, path: Path) -> Taken:
        def read() -> list[tuple[str, float]]:
            text = path.read_text() if path.exists() else ""
            # A metric whose distribution needed two lines is one metric.
            found = dict.fromkeys(
                (metric["Name"], document["_aws"]["Timestamp"] / 1_000, document.get("TaskName"))
                for document in documents(text)
                for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            )
            return [(name, timestamp) for name, timestamp, _ in found]

        return read


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self.writing: IO[str] = os.fdopen(writing, "w")
        self.read = b""

    def fill(self) -> int:
        """Fill it to the brim with blank lines, as if the reader had been away; how many bytes."""
        descriptor = self.writing.fileno()
        os.set_blocking(descriptor, False)
        filled = 0
        try:
            while True:
                filled += os.write(descriptor, b"\n" * 4_096)
        except BlockingIOError:
            os.set_blocking(descriptor, True)
        return filled

    def take(self, most: int) -> None:
        """Read so many bytes."""
        self.read += os.read(self._reading, most)

    def hang_up(self) -> None:
        """Let the reader go away."""
        os.close(self._reading)

    def rest(self) -> str:
        """Close the writing end, read to the end, and return all that was read, blanks apart."""
        self.writing.close()
        while chunk := os.read(self._reading, 65_536):
            self.read += chunk
        os.close(self._reading)
        return self.read.decode().lstrip("\n")


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


MakeSink = Callable[[], EmfSink]


@pytest.fixture
def to_pipe(pipe: Pipe) -> EmfSink:
    clock = FakeClock(wall=NOW)
    return EmfSink(Settings(), clock=clock, stdout=pipe.writing, write_seconds=SHORT)


#: Three lines of more than a page each.
WIDE = tuple(count(f"Metric{number}", number, TaskName="x" * 900) for number in range(300))


# -- a reader that stalls --------------------------------------------------------------------------


def test_a_stalled_reader_costs_a_bounded_time_and_nothing_else(
    pipe: Pipe, to_pipe: EmfSink
) -> None:
    """What it does not take is unsent, with one sentence; later it arrives once."""
    # Given
    pipe.fill()

    # When
    stalled = to_pipe.send((count(value=5),))
    pipe.take(65_536)
    again = to_pipe.send(stalled.unsent)

    # Then
    assert stalled == Outcome(
        unsent=(count(value=5),),
        failures=1,
        error="Writing to standard output failed: its reader did not take everything in time.",
    )
    assert again == Outcome()
    assert values(pipe.rest()) == [("TasksSent", NOW, 5)]


@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_a_line_cut_off_is_finished_first_and_its_metrics_are_not_doubled(
    pipe: Pipe, to_pipe: EmfSink, room: int
) -> None:
    """Only some pages of a line fit; the reader comes back in between, or never for long."""
    # Given room for some pages
    pipe.fill()
    pipe.take(room * 4_096)

    # When it takes a bit more after each send
    unsent, sends = WIDE, 0
    while unsent:
        outcome = to_pipe.send(unsent)
        assert outcome.dropped == 0
        assert bool(outcome.unsent) == bool(outcome.error)
        unsent, sends = outcome.unsent, sends + 1
        pipe.take(4_096 * room)
        assert sends < 100

    # Then
    assert sends > 1
    assert values(pipe.rest()) == [(f"Metric{n}", NOW, n) for n in range(300)]


def test_a_distribution_is_not_doubled_by_a_reader_that_stalls(
    pipe: Pipe, to_pipe: EmfSink
) -> None:
    """Of one that needs two lines, only the half that is missing is sent again."""
    # Given room for one page only, and forty distributions that need 80 arrays
    full = Distribution(tuple(n / 7 for n in range(150)), tuple(range(1, 151)))
    metrics = tuple(Metric(f"Time{n}", "Seconds", NOW, full) for n in range(40))
    pipe.fill()
    pipe.take(4_096)

    # When
    unsent = metrics
    for _ in range(200):
        unsent = to_pipe.send(unsent).unsent
        if not unsent:
            break
        pipe.take(4_096)

    # Then each of them has every value once
    found: dict[str, list[tuple[float, int]]] = {}
    for name, _, member in values(pipe.rest()):
        assert isinstance(member, dict)
        found.setdefault(name, []).extend(zip(member["Values"], member["Counts"], strict=True))
    once = list(zip(full.values, full.counts, strict=True))
    assert unsent == ()
    assert found == {metric.name: once for metric in metrics}


def test_other_metrics_may_come_before_those_of_the_cut_line(pipe: Pipe, to_pipe: EmfSink) -> None:
    """The spool may hand out another batch; the first one comes later, and is not doubled."""
    # Given a line of which one page was taken
    pipe.fill()
    pipe.take(4_096)
    first = to_pipe.send(WIDE[:90])
    pipe.take(65_536)

    # When
    other = to_pipe.send((count("Other", 1.0),))
    again = to_pipe.send(first.unsent)

    # Then
    assert first.unsent == WIDE[:90]
    assert (other, again) == (Outcome(), Outcome())
    assert values(pipe.rest()) == [
        *((f"Metric{n}", NOW, n) for n in range(90)),
        ("Other", NOW, 1.0),
    ]


def test_the_same_metric_sent_anew_is_not_taken_for_a_finished_one(
    pipe: Pipe, to_pipe: EmfSink
) -> None:
    """Each finished metric is left out once, not for ever."""
    # Given a line that was cut off and finished
    pipe.fill()
    pipe.take(4_096)
    first = to_pipe.send(WIDE[:90])
    pipe.take(65_536)
    assert to_pipe.send(first.unsent) == Outcome()

    # When
    to_pipe.send(WIDE[:90])

    # Then
    assert values(pipe.rest()) == [(f"Metric{n}", NOW, n) for n in range(90)] * 2


def test_closing_ends_a_line_that_was_cut_off(pipe: Pipe, to_pipe: EmfSink) -> None:
    """Its metrics are unsent; the next process on the same pipe starts on a line of its own."""
    # Given
    pipe.fill()
    pipe.take(4_096)
    outcome = to_pipe.send(WIDE[:90])
    pipe.take(65_536)

    # When
    to_pipe.close()

    # Then
    successor = EmfSink(Settings(), clock=FakeClock(wall=NOW), stdout=pipe.writing)
    assert successor.send(outcome.unsent) == Outcome()
    cut, _, whole = pipe.rest().partition("\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)
    assert values(whole) == [(f"Metric{n}", NOW, n) for n in range(90)]


def test_a_reader_that_has_gone_is_said(pipe: Pipe, to_pipe: EmfSink) -> None:
    """Everything is kept."""
    pipe.hang_up()

    assert to_pipe.send((count(),)) == Outcome(
        unsent=(count(),),
        failures=1,
        error="Writing to standard output failed: Broken pipe.",
    )
    assert [finding.status for finding in to_pipe.check()] == ["failed"]
    pipe.writing.close()


def test_a_standard_output_closed_at_the_start_is_never_written_to() -> None:
    """Its number may belong to another file by now."""
    sink = EmfSink(Settings(), clock=FakeClock(wall=NOW), stdout=None)

    assert sink.send((count(),)) == Outcome(
        unsent=(count(),), failures=1, error="Writing to standard output failed: it is closed."
    )
    assert [finding.message for finding in sink.check()] == [
        "standard output cannot be written to: it is closed"
    ]


# -- a file ----------------------------------------------------------------------------------------


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """What is in it stays; a predecessor's unfinished line is ended."""
    path = tmp_path / "metrics.emf"
    path.write_text('{"a": 1}\n{"cut o')
    sink = sink_to(path)

    sink.send((count(),))
    sink.send((count(value=2),))
    sink.close()

    before, cut, rest = path.read_text().split("\n", 2)
    assert (before, cut) == ('{"a": 1}', '{"cut o')
    assert values(rest) == [("TasksSent", NOW, 1.0), ("TasksSent", NOW, 2)]


def test_a_rotated_file_is_made_again(tmp_path: Path) -> None:
    """As logrotate moves it; what is written later is in the new one."""
    path, moved = tmp_path / "metrics.emf", tmp_path / "metrics.emf.1"
    sink = sink_to(path)

    sink.send((count(value=1),))
    path.rename(moved)
    sink.send((count(value=2),))
    sink.close()

    assert values(moved.read_text()) == [("TasksSent", NOW, 1)]
    assert values(path.read_text()) == [("TasksSent", NOW, 2)]


def test_a_line_cut_off_by_a_full_disk_is_written_whole_once_the_file_was_emptied(
    tmp_path: Path,
) -> None:
    """Who makes room, or rotates with copytruncate, takes the beginning of the line away."""
    # Given a file that cannot grow beyond a few bytes of a line
    path = tmp_path / "metrics.emf"
    sink = sink_to(path)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        outcome = sink.send((count(value=1),))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert (path.stat().st_size, outcome.unsent) == (20, (count(value=1),))

    # When
    os.truncate(path, 0)
    again = sink.send((*outcome.unsent, count(value=2)))
    sink.close()

    # Then
    assert again == Outcome()
    assert values(path.read_text()) == [("TasksSent", NOW, 1), ("TasksSent", NOW, 2)]


def test_a_folder_that_comes_later_is_found(tmp_path: Path) -> None:
    """A volume that is not mounted yet does not end the monitor."""
    path = tmp_path / "later" / "metrics.emf"
    sink = sink_to(path)

    before = sink.send((count(),))
    path.parent.mkdir()
    after = sink.send(before.unsent)
    sink.close()

    assert (before.unsent, before.error) == (
        (count(),),
        f"Writing to {path} failed: No such file or directory.",
    )
    assert after == Outcome()
    assert values(path.read_text()) == [("TasksSent", NOW, 1.0)]


def test_a_full_disk_keeps_everything() -> None:
    """The spool holds it until there is room."""
    sink = sink_to(Path("/dev/full"))

    outcome = sink.send((count(),))
    sink.close()

    assert outcome == Outcome(
        unsent=(count(),),
        failures=1,
        error="Writing to /dev/full failed: No space left on device.",
    )


# -- names, and the check --------------------------------------------------------------------------


def test_a_dimension_called_like_a_metric_ends_the_start() -> None:
    """Both would be the same member of one object."""
    with pytest.raises(SettingsError, match="'TasksSent', which the sink `emf` needs"):
        EmfSink(Settings(dimensions=(("TasksSent", "x"),)))


def test_what_cloudwatch_would_refuse_is_dropped_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line with it would be refused as a whole, silently."""
    sink = sink_to(tmp_path / "metrics.emf")
    metrics = (count(value=float("nan")), count("A", 1, A="x"), count())

    outcomes = [sink.send(metrics), sink.send(metrics)]
    sink.close()

    assert outcomes == [Outcome(dropped=2)] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "dropped 1 of TasksSent, which CloudWatch refuses: a value is not a finite number",
        "dropped 1 of A, which CloudWatch refuses: 'A' is the name of a dimension too",
    ]


def test_a_check_says_where_lines_go_and_writes_nothing(tmp_path: Path) -> None:
    """Whether CloudWatch Logs gets them is not for us to know."""
    path = tmp_path / "metrics.emf"

    assert list(sink_to(path).check()) == [
        SinkFinding("emf", "ok", f"lines go to {path}; CloudWatch Logs has to get them from there")
    ]
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("", "it is a directory"), ("no/metrics.emf", "there is no directory {}/no")],
)
def test_a_check_says_why_a_file_cannot_be_written_to(
    tmp_path: Path, name: str, problem: str
) -> None:
    """With the setting to correct."""
    path = tmp_path / name

    (finding,) = sink_to(path).check()

    assert finding.status == "failed"
    assert finding.message == f"{path} cannot be written to: {problem.format(tmp_path)}"
    assert "emf_file" in finding.remedy
