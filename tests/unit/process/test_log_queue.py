"""Log queue: who logs never waits, whatever the handlers do, and every dropped line is counted."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from event_monitor.process.log_queue import LogQueue, settled

from ...support.waiting import wait_until


class Reader(logging.Handler):
    """A handler whose reader may stall: then it blocks in the middle of a line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.reads = threading.Event()
        self.reads.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.reads.wait()
        self.lines.append(record.getMessage())


@pytest.fixture
def reader() -> Iterator[Reader]:
    """The handler of a logger of ours, which passes nothing on."""
    log = logging.getLogger("event_monitor.test_log_queue")
    handler = Reader()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield handler
    handler.reads.set()
    log.handlers.clear()


log = logging.getLogger("event_monitor.test_log_queue")


def test_lines_come_in_order_and_all_of_them_by_the_close(reader: Reader) -> None:
    queue = LogQueue()
    queue.open()
    for number in range(100):
        log.info("line %d", number)

    assert queue.close(deadline_seconds=30) is True
    assert reader.lines == [f"line {number}" for number in range(100)]
    assert reader in log.handlers


def test_a_stalled_reader_stops_nobody_and_what_is_dropped_is_told(reader: Reader) -> None:
    """Told once, when it reads again."""
    # Given a queue of ten lines before a reader that does not read
    queue = LogQueue(most=10)
    queue.open()
    reader.reads.clear()
    log.info("taken")
    wait_until(lambda: len(queue) == 0, 30, "the line is being written")

    # When more come than there is room for
    for number in range(30):
        log.info("line %d", number)
    reader.reads.set()
    queue.close(deadline_seconds=30)

    # Then the first ten are there, and the number of the others
    assert reader.lines == [
        "taken",
        *(f"line {number}" for number in range(10)),
        "20 log lines were dropped: nobody read the log in time",
    ]


def test_a_close_does_not_wait_for_a_reader_for_ever(reader: Reader) -> None:
    """False says that the interpreter must not wait for it either."""
    queue = LogQueue()
    queue.open()
    reader.reads.clear()
    log.info("stuck")

    assert queue.close(deadline_seconds=0.01) is False


def test_a_handler_keeps_its_level_and_one_that_fails_does_not_stop_the_log(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: logging.LogRecord) -> None:
        raise OSError(record.getMessage())

    queue = LogQueue()
    reader.setLevel(logging.WARNING)
    queue.open()
    with monkeypatch.context() as patch:
        patch.setattr(reader, "handle", fail)
        log.warning("fails")
        wait_until(lambda: len(queue) == 0, 30, "it is handed over")
        queue.close(deadline_seconds=30)
    queue = LogQueue()
    queue.open()
    log.info("too low")
    log.warning("seen")
    queue.close(deadline_seconds=30)

    assert reader.lines == ["seen"]


def test_a_thread_that_dies_is_in_the_log(reader: Reader) -> None:
    """Python itself would write to stderr, and wait for its reader."""
    ours = logging.getLogger("event_monitor")
    ours.addHandler(reader)
    queue = LogQueue()
    queue.open()
    thread = threading.Thread(target=lambda: 1 / 0, name="victim")
    thread.start()
    thread.join()
    queue.close(deadline_seconds=30)
    ours.removeHandler(reader)

    assert reader.lines == ["the thread victim died"]


def test_a_name_can_neither_forge_a_line_nor_steer_a_terminal() -> None:
    """Escape sequences, line breaks, marks of direction, lone surrogates."""
    name = "a\x1b[2J\n2026 ERROR forged\u202e\ud800"
    record = logging.LogRecord("event_monitor.x", logging.INFO, "", 0, "task %s", (name,), None)

    assert settled(record).getMessage() == r"task a\x1b[2J\n2026 ERROR forged\u202e\ud800"


def test_a_traceback_keeps_its_lines_and_loses_what_steers_a_terminal() -> None:
    try:
        raise ValueError("\x1b[31m red")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "%d", ("?",), sys.exc_info())

    text = settled(record)

    assert text.getMessage() == "%d"  # a mistake in the arguments loses no line
    assert text.exc_text is not None
    assert text.exc_text.splitlines()[-1] == r"ValueError: \x1b[31m red"
