"""Children: they end with the process that has started them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..support.processes import has_ended
from ..support.waiting import wait_until

STARTS = """\
import subprocess, sys, threading, time
from event_monitor.children import end_at_once, end_with_us, starting

OPTIONS = {"start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
runs = threading.Event()

def start():
    with starting():
        child = subprocess.Popen(["sleep", "1000"], **OPTIONS)
        print(child.pid, flush=True)
        runs.set()
        time.sleep(0.2)  # as another thread may have its turn here
        end_with_us(child)

threading.Thread(target=start, daemon=True).start()
runs.wait()
"""


@pytest.mark.parametrize("end", ["", "end_at_once(0)"], ids=["at exit", "at once"])
def test_a_child_that_is_just_being_started_ends_with_us(end: str) -> None:
    """It runs before anybody knows it."""
    done = subprocess.run(
        [sys.executable, "-c", STARTS + end], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    wait_until(lambda: has_ended(done.stdout.strip()), 60, "it was killed")


FORKS = """\
import os, threading
from event_monitor.children import starting

forked, holds = threading.Event(), threading.Event()

def start():
    with starting():
        holds.set()
        forked.wait()

threading.Thread(target=start, daemon=True).start()
holds.wait()
if not os.fork():
    with starting():
        os._exit(7)
forked.set()
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_who_is_forked_meanwhile_waits_for_nobody() -> None:
    """The thread that starts one is not there."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "7\n"
