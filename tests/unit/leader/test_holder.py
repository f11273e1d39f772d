"""Holder: which process holds a lease, and whether it still runs."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from event_monitor.leader.holder import Holder


def test_this_process_runs() -> None:
    """Also after its text has been on a broker."""
    holder = Holder.here()
    assert Holder.decode(holder.encode()) == holder
    assert not holder.has_ended()


def test_two_of_one_process_differ() -> None:
    """Several services may be in one."""
    assert Holder.here() != Holder.here()


def test_a_process_that_was_killed_has_ended() -> None:
    """Before anybody has asked for its exit code, too."""
    code = "from event_monitor.leader.holder import Holder; print(Holder.here().encode()); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        holder = Holder.decode(process.stdout.readline())
        assert holder is not None
        assert not holder.has_ended()

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert holder.has_ended()
    assert holder.has_ended()


def test_nothing_is_known_of_a_process_elsewhere() -> None:
    """Of another machine, another boot or another container."""
    here = Holder.here()
    for field in ("host", "boot", "pids"):
        elsewhere = msgspec.structs.replace(here, pid=2**22 + 1, **{field: "another"})
        assert not elsewhere.has_ended()
    assert msgspec.structs.replace(here, pid=2**22 + 1).has_ended()


def test_what_is_no_holder_is_none() -> None:
    """Anybody may write to the key."""
    assert Holder.decode(b"mine!") is None
    assert Holder.decode(b"[]") is None
    assert Holder.decode(None) is None
