"""Screen: runs the app of ``top`` without a terminal, and reads what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.pilot import Pilot

from event_monitor.live import Look, Source, Top

__all__ = ["Shown", "play"]

SOON_SECONDS = 60.0  # only a broken screen, or a very slow machine, takes that long


class Shown:
    """The screen of a running app, and its keyboard."""

    def __init__(self, app: Top, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        """Return what stands on the screen, without trailing spaces."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        """Return the same as one text."""
        return "\n".join(self.lines)

    def rows(self, name: str) -> list[str]:
        """Return the rows that a section shows, its titles first."""
        section = self.app.query_one(f"#{name}")
        area = section.region
        return [line[area.x : area.right].rstrip() for line in self.lines[area.y : area.bottom]]

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until they are worked off."""
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; fail with the screen if it never is."""

        async def wait() -> None:
            while not is_so():
                await self._pilot.pause(0.02)

        try:
            await asyncio.wait_for(wait(), SOON_SECONDS)
        except asyncio.TimeoutError:
            raise AssertionError(self.text) from None


def play(
    source: Source,
    script: Callable[[Shown], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    first: Look | None = None,
    seconds: float = 0.3,
) -> None:
    """Run the app in that size while the script reads and types."""
    look = source.look() if first is None else first

    async def run() -> None:
        app = Top(source, look, seconds=seconds)
        async with app.run_test(size=size) as pilot:
            shown = Shown(app, pilot)
            await pilot.pause()
            await shown.until(lambda: shown.lines[1].strip() != "")
            await script(shown)

    asyncio.run(run())
