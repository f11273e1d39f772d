"""Screenshot: plays the demo, and takes pictures of page and terminal once they have news."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from event_monitor.live import Monitor, Top

from .chromium import Watched, chromium

_LOSS = "TasksOrphaned"  # what the demo prints once the killed worker's loss has been noticed
_NEWS = "unfinished"
_NEWS_SECONDS = 20.0
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # of another host; any fixed width will do


def take(page: Path, terminal: Path) -> int:
    """Save what both show of the demo after its worker was killed; return the exit code."""
    command = [sys.executable, "-u", "-m", "event_monitor", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        address = ""
        for line in demo.stdout or ():
            sys.stdout.write(line)
            found = re.search(r"http://127\.0\.0\.1:\d+$", line.strip())
            address = address or (found[0] if found else "")
            if _LOSS in line:
                asyncio.run(_both(address, page, terminal))
                break
        for line in demo.stdout or ():
            sys.stdout.write(line)
    return demo.returncode or (0 if page.exists() and terminal.exists() else 1)


async def _both(address: str, page: Path, terminal: Path) -> None:
    """Save both at once: the demo does not wait for us."""
    drawing = asyncio.wait_for(_drawing(address), _NEWS_SECONDS)
    svg, _ = await asyncio.gather(drawing, asyncio.to_thread(_photograph, address, page))
    terminal.write_text(svg, encoding="utf-8")


async def _drawing(address: str) -> str:
    """Return the screen of ``top`` as SVG, once the unfinished task is on it."""
    monitor = Monitor(address)
    app = Top(monitor, monitor.look(), seconds=0.5)
    async with app.run_test(size=(112, 24)) as pilot:
        svg = ""
        while _NEWS not in svg:
            await pilot.pause(0.1)
            svg = app.export_screenshot(title="event-monitor top")
        return _FONTS.sub("", svg)


def _photograph(address: str, picture: Path) -> None:
    with chromium() as browser:
        size = {"width": 1280, "height": 900}
        watched = Watched(browser, address, viewport=size, color_scheme="light")
        watched.page.goto("/")
        watched.page.get_by_text("live", exact=True).wait_for()
        watched.page.get_by_text(_NEWS).first.wait_for()
        watched.page.screenshot(path=picture, full_page=True)
        watched.close()


if __name__ == "__main__":
    sys.exit(take(Path(sys.argv[1]), Path(sys.argv[2])))
