"""Where a task failed: the innermost frame of the app's own code, from the text of a traceback."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.state.place import MAX_PLACE, place_of

TRACE = "/venv/lib/python3.12/site-packages/celery/app/trace.py"
APP = "/app/shop.py"


def raw(text: str) -> msgspec.Raw:
    """Return the text as an event has it."""
    return msgspec.Raw(msgspec.json.encode(text))


def frames(*calls: tuple[str, str]) -> str:
    """Return the text of a traceback through these files and functions, a line each."""
    lines = [
        f'  File "{path}", line {number}, in {function}\n    code({number})\n'
        for number, (path, function) in enumerate(calls, 1)
    ]
    return f"Traceback (most recent call last):\n{''.join(lines)}ValueError: of course\n"


@pytest.mark.parametrize(
    ("calls", "place"),
    [
        ([(TRACE, "trace_task"), (APP, "pay")], f"{APP}:2 in pay"),
        ([(TRACE, "trace_task"), (APP, "pay"), (APP, "charge")], f"{APP}:3 in charge"),
        (
            [(APP, "pay"), ("/venv/lib/python3.12/site-packages/requests/api.py", "get")],
            f"{APP}:1 in pay",
        ),
        (
            [(APP, "pay"), ("/usr/lib/python3/dist-packages/redis/client.py", "get")],
            f"{APP}:1 in pay",
        ),
        ([(APP, "pay"), ("/usr/lib/python3.11/json/decoder.py", "decode")], f"{APP}:1 in pay"),
        ([(APP, "pay"), ("<frozen importlib._bootstrap>", "_load")], f"{APP}:1 in pay"),
        ([(APP, "pay"), ("/src/celery/celery/app/trace.py", "trace_task")], f"{APP}:1 in pay"),
        ([(APP, "pay"), ("/src/billiard/billiard/pool.py", "_on_hard")], f"{APP}:1 in pay"),
        ([(APP, "<module>")], f"{APP}:1 in <module>"),
        ([("/srv/celery/tasks.py", "pay")], "/srv/celery/tasks.py:1 in pay"),
        ([("/app/größe 3.py", "zählen")], "/app/größe 3.py:1 in zählen"),
        ([(TRACE, "trace_task")], None),
        ([], None),
    ],
)
def test_the_innermost_frame_of_the_app(calls: list[tuple[str, str]], place: str | None) -> None:
    """Installed packages, Python's library and Celery itself are not the app."""
    assert place_of(raw(frames(*calls))) == place


def test_of_chained_exceptions_the_last_one_counts() -> None:
    """It is the one that the task raised."""
    text = (
        f"{frames((APP, 'charge'))}\n"
        "During handling of the above exception, another exception occurred:\n\n"
        f"{frames((TRACE, 'trace_task'), (APP, 'pay'))}"
    )
    assert place_of(raw(text)) == f"{APP}:2 in pay"


def test_what_python_itself_writes_is_read() -> None:
    """Also of a group of exceptions, whose frames have a bar before them."""

    def pay() -> None:
        raise ValueError('"quoted" \\ and\nin two lines')

    try:
        pay()
    except ValueError:
        text = traceback.format_exc()
        expected = f"{__file__}:{_line_of(sys.exc_info()[2])} in pay"
    assert place_of(raw(text)) == expected
    assert place_of(raw("".join(f"  | {line}\n" for line in text.splitlines()))) == expected


def _line_of(trace: TracebackType | None) -> int:
    assert trace is not None
    assert trace.tb_next is not None
    return trace.tb_next.tb_lineno


def test_a_windows_path_is_read() -> None:
    """Its backslashes are escaped twice in JSON."""
    path = r"C:\shop\tasks.py"
    assert place_of(raw(frames((path, "pay")))) == f"{path}:1 in pay"
    foreign = r"C:\venv\Lib\site-packages\celery\app\trace.py"
    assert place_of(raw(frames((foreign, "pay")))) is None


@pytest.mark.parametrize("value", [b"null", b"17", b'"', b'"\xff\xfe File \\"', b""])
def test_what_is_no_traceback_has_no_place(value: bytes) -> None:
    """Whatever was sent."""
    assert place_of(msgspec.Raw(value)) is None


@given(path=st.text(), function=st.text(), rest=st.text())
def test_hostile_texts_have_a_bounded_place_or_none(path: str, function: str, rest: str) -> None:
    """Nothing is raised."""
    text = f'{rest}  File "{path}", line 3, in {function}\n{rest}'
    encoded = text.encode("utf-8", "replace").decode()
    place = place_of(raw(encoded))
    assert place is None or len(place) <= MAX_PLACE


@pytest.mark.parametrize("part", ['File \\"', 'File \\"a\\", line 1, in ', "\\", '\\"' * 2, "a"])
def test_hostile_repetitions_are_bounded_in_time(part: str) -> None:
    """A megabyte of what looks like the beginning of frames; the test has a time limit."""
    text = b'"' + part.encode() * (1_000_000 // len(part)) + b'"'
    place = place_of(msgspec.Raw(text))
    assert place is None or len(place) <= MAX_PLACE
