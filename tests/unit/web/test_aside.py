"""Aside: what may wait is waited for beside the loop, and not for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from event_monitor.web.aside import Aside, Busy
from event_monitor.web.frames import Frames


def test_a_function_runs_in_another_thread_and_its_value_comes_back() -> None:
    """So does what it raises."""
    aside = Aside()
    aside.open()
    assert asyncio.run(aside.run(threading.get_ident)) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(aside.run(lambda: 1 / 0))
    aside.close()


def test_who_waits_behind_something_that_hangs_is_told_so() -> None:
    """And what nobody waits for any more is not done."""
    # Given something that hangs
    hangs = threading.Event()
    done: list[str] = []
    aside = Aside(patience_seconds=0.05)
    aside.open()
    with pytest.raises(Busy):
        asyncio.run(aside.run(lambda: hangs.wait(60)))

    # When something else is asked for
    with pytest.raises(Busy):
        asyncio.run(aside.run(lambda: done.append("given up")))

    # Then
    hangs.set()
    asyncio.run(until_done(aside, done))
    assert done == ["asked again"]
    aside.close()


async def until_done(aside: Aside, done: list[str]) -> None:
    """Ask until it is free."""
    while not done:
        try:
            await aside.run(lambda: done.append("asked again"))
        except Busy:
            continue


def test_a_frame_is_made_once_for_all_who_watch() -> None:
    """However many they are."""
    made = []

    async def frame() -> bytes:
        made.append(1)
        return b"{}"

    async def watch() -> list[bytes]:
        frames = Frames(frame)
        streams = [frames.watch(comment_seconds=15) for _ in range(10)]
        return list(await asyncio.gather(*(anext(stream) for stream in streams if stream)))

    assert asyncio.run(watch()) == [b"event: live\ndata: {}\n\n"] * 10
    assert len(made) == 1


def test_too_many_who_watch_are_refused_until_some_leave() -> None:
    """Each is a connection that stays."""

    async def frame() -> bytes:
        return b"{}"

    async def watch() -> tuple[int, bool]:
        frames = Frames(frame)
        streams: list[AsyncGenerator[bytes, None]] = []
        while (stream := frames.watch(comment_seconds=15)) is not None and len(streams) < 1_000:
            await anext(stream)
            streams.append(stream)
        for stream in streams[:10]:
            await stream.aclose()
        return len(streams), frames.watch(comment_seconds=15) is not None

    assert asyncio.run(watch()) == (100, True)
