"""Memory: what one thread frees, another can use."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_ARENAS = """\
import ctypes, os, sys, threading
from event_monitor.process.memory import share_one_arena

if sys.argv[1] == "share":
    share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)


def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()


threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
@pytest.mark.parametrize(("how", "is_one"), [("share", True), ("leave", False)])
def test_all_threads_share_one_arena(how: str, is_one: bool) -> None:
    run = subprocess.run(
        [sys.executable, "-c", COUNT_ARENAS, how], capture_output=True, text=True, check=True
    )

    assert (run.stdout.count("<heap nr=") == 1) is is_one
