"""Fields: what leaves the process of an event, and what does not even stay in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from event_monitor import events as ev
from event_monitor.errors import InvalidEvent
from event_monitor.over_sqs.fields import TASK_FIELDS, WORKER_FIELDS, encoded, strip

AT = {"hostname": "celery@one", "pid": 7, "clock": 3, "utcoffset": 0, "timestamp": 1_000.5}


def fail(error: InvalidEvent) -> None:
    """Take no event that the monitor would not take."""
    raise error


def sent(**fields: Any) -> Any:
    """Return what is sent of an event."""
    event = {**AT, **fields}
    strip(event)
    return json.loads(encoded(event))


def test_what_is_sent_is_what_the_monitor_decodes() -> None:
    """Nothing it counts by is missing, and nothing else costs money."""
    tasks = set(ev.RelatedTaskEvent.__struct_fields__) - {"traceback"}
    assert (set(TASK_FIELDS), len(TASK_FIELDS)) == (tasks, len(tasks))
    workers = {*ev.WorkerEvent.__struct_fields__, "facts"}
    assert (set(WORKER_FIELDS), len(WORKER_FIELDS)) == (workers, len(workers))


def test_of_a_receipt_neither_arguments_nor_what_is_implied_is_sent() -> None:
    """A task that nothing called is its own root."""
    received = sent(
        type="task-received", uuid="u1", name="proj.add", args="('secret',)", kwargs="{}",
        root_id="u1", parent_id=None, retries=0, eta=None, expires=None,
    )  # fmt: skip
    assert received == {
        "hostname": "celery@one", "pid": 7, "uuid": "u1", "name": "proj.add", "retries": 0,
        "timestamp": 1_000.5, "type": "task-received",
    }  # fmt: skip


def test_of_a_task_that_another_called_its_relatives_are_sent() -> None:
    """They make the tree of a history."""
    received = sent(type="task-received", uuid="u2", name="n", root_id="u1", parent_id="u1")
    assert (received["root_id"], received["parent_id"]) == ("u1", "u1")


TRACEBACK = """Traceback (most recent call last):
  File "proj.py", line 1, in fail
    raise Odd("secret")
proj.Odd: secret
"""


@pytest.mark.parametrize(
    ("exception", "traceback", "cut"),
    [
        ("ValueError('secret')", "", "ValueError()"),
        ("<3 secrets>", TRACEBACK, "Odd()"),
        ("ExceptionWithTraceback()", TRACEBACK, "Odd()"),
        ("secret", "", "secret()"),
        ("no class, but a secret", "", "unknown()"),
        ("reject requeue=False: secret", "", "reject requeue=False"),
    ],
)
def test_an_exception_is_cut_to_its_class(exception: str, traceback: str, cut: str) -> None:
    """By the monitor's own rules, which give the same class for what is left."""
    failed = sent(type="task-failed", uuid="u1", exception=exception, traceback=traceback)
    assert (failed["exception"], "traceback" in failed) == (cut, False)
    [event] = ev.decode([json.dumps(failed).encode()], on_invalid=fail)
    [whole] = ev.decode(
        [json.dumps({**failed, "exception": exception, "traceback": traceback}).encode()],
        on_invalid=fail,
    )
    assert isinstance(event, ev.TaskEvent)
    assert isinstance(whole, ev.TaskEvent)
    assert ev.exception_type(event) == ev.exception_type(whole)
    assert ev.is_rejection(event) == ev.is_rejection(whole)


def test_what_waits_to_be_sent_holds_nothing_private() -> None:
    """A dump of the process's memory has no more of it than without us."""
    event = {
        **AT, "type": "task-failed", "uuid": "u1", "args": "secret", "kwargs": "secret",
        "result": "secret", "exception": "ValueError('secret')", "traceback": TRACEBACK,
    }  # fmt: skip
    strip(event)
    assert "secret" not in str(event)


def test_an_event_of_the_application_s_own_is_its_type() -> None:
    """Nothing else of it is read."""
    assert sent(type="shop-bought", secret="secret") == {"type": "shop-bought"}
    assert sent(type="task-bought", secret="secret") == {"type": "task-bought"}


def test_a_hostile_name_is_ascii_on_the_wire() -> None:
    """XML, which SQS speaks as well, forbids most control characters."""
    line = encoded(
        {**AT, "type": "task-received", "uuid": "u\x00\x1b", "name": "é\n\ud800\U0001f600"}
    )
    assert line.isascii()
    assert b"\n" not in line
    assert json.loads(line)["name"] == "é\n?\U0001f600"
